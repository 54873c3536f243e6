/** The console page on a real HTTP server and the real edge, over the stub service; with the demo's API, or without. */
import { mkdtemp, rm } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { createApp } from "../../../proxy/app.ts";
import { buildConsole } from "../../../proxy/console/build.ts";
import type { ActionResult, DemoAction, DemoDescription } from "../../../proxy/console/demo.ts";
import { createPublicListener } from "../../../proxy/public-listener.ts";
import type { StubService } from "./stub-service.ts";

export const PROJECT = { uuid: "zzzzz-j7d0g-genomes00000000", name: "Genomes" };
export const COLLECTION = { uuid: "zzzzz-4zz18-reference000000", name: "Reference genome" };
export const CONTAINER = "zzzzz-dz642-align0000000000";

export type ConsoleSite = AsyncDisposable & { readonly url: string };

export async function startConsoleSite(service: StubService, { demo }: { demo: boolean }): Promise<ConsoleSite> {
  const { nats, users } = service;
  const { subjects } = nats;
  const dir = await mkdtemp(join(tmpdir(), "arvados-nats-console-"));
  await buildConsole(dir);
  const app = createApp({
    clusterId: nats.clusterId,
    publicWebsocketUrl: null,
    publicNatsUrl: null,
    serviceVersion: "0.0.0",
    consoleDir: dir,
  });
  const own = [...users.bob.grants];
  const shared = [...own, subjects.live(`alice.${PROJECT.uuid}.>`)];
  let made = 0;

  const act = async (action: DemoAction): Promise<Omit<ActionResult, "action">> => {
    const at = () => new Date().toISOString();
    const place = `alice.${PROJECT.uuid}`;
    if (action === "share" || action === "unshare") {
      const committedAt = at();
      await service.regrant(users.bob, action === "share" ? shared : own, action === "share");
      return { uuid: "zzzzz-o0j2j-share0000000000", committedAt };
    }
    if (action === "update") {
      const { uuid } = COLLECTION;
      return { uuid, committedAt: await service.store(`${place}.${uuid}.collections`, uuid) };
    }
    made += 1;
    const uuid = `zzzzz-4zz18-${String(made).padStart(15, "0")}`;
    const event = { type: "create", name: `Sample ${made}` };
    return { uuid, committedAt: await service.store(`${place}.${uuid}.collections`, uuid, event) };
  };

  if (demo) {
    app.get("/demo/cluster", (_request, response) => {
      const { alice, bob } = users;
      const cluster: DemoDescription = {
        clusterId: nats.clusterId,
        users: {
          alice: { uuid: "zzzzz-tpzed-111111111111111", token: alice.token },
          bob: { uuid: "zzzzz-tpzed-222222222222222", token: bob.token },
          admin: { uuid: "zzzzz-tpzed-333333333333333", token: "" },
        },
        project: PROJECT,
        collections: [COLLECTION],
        container: { uuid: CONTAINER, request: "zzzzz-xvhdp-align0000000000", files: ["stdout.txt"] },
        shared: bob.grants.length > own.length,
      };
      response.json(cluster);
    });
    app.post("/demo/do/:action", async (request, response) => {
      const action = request.params.action as DemoAction;
      response.json({ action, ...(await act(action)) } satisfies ActionResult);
    });
  }
  const { server, edge } = createPublicListener(app, {
    natsWebsocketUrl: nats.server.websocketUrl,
    seed: nats.keys.edge.seed,
    isForwarder: () => false,
    connectWithin: 1_500,
    stalledAfter: 10_000,
    now: Date.now,
    log: pino({ level: "silent" }),
    onEnded: () => {},
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async [Symbol.asyncDispose]() {
      edge.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(dir, { recursive: true, force: true });
    },
  };
}
