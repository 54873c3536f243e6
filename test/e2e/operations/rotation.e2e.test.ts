/** All keys changed as docs/operate.md says, while people work: nobody is refused, and who was in stays or comes back by itself. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromCurveSeed, fromSeed } from "@nats-io/nkeys";
import { connect } from "@nats-io/transport-node";
import { runAuthcallout } from "../../../authcallout/main.ts";
import { runBridge } from "../../../bridge/main.ts";
import { connectOptions, type LiveEvent, sessionId } from "../../../client/mod.ts";
import { environmentOf } from "../../../dev/testing/environment.ts";
import { until } from "../../../dev/testing/until.ts";
import { runProxy } from "../../../proxy/main.ts";
import { isReady } from "../../../runtime/admin-server.ts";
import { type Config, loadConfig } from "../../../runtime/config/config.ts";
import { createLog } from "../../../runtime/log/log.ts";
import { createScope } from "../../../runtime/scope.ts";
import type { StartService } from "../../../runtime/service.ts";
import { hostService, type ServiceName } from "../../../runtime/service-host.ts";
import { type AccountName, type NatsServiceName, perServiceUser } from "../../../streams-config/accounts.ts";
import { publicKeyNames } from "../../../streams-config/key-variables.ts";
import type { PublicKeys } from "../../../streams-config/keys.ts";
import { spawnCli } from "../../support/clients/cli.ts";
import { connectLine, openRawClient } from "../../support/clients/raw-client.ts";
import { answers } from "../../support/servers/processes.ts";
import { inTurns, startTcpRelay } from "../../support/servers/relay.ts";
import { inSpiteOfStalls } from "../../support/servers/stalls.ts";
import { startTestStack, type TestStack } from "../../support/worlds/stack.ts";

const START: Record<ServiceName, StartService> = { bridge: runBridge, authcallout: runAuthcallout, proxy: runProxy };
/** Two callouts, as the chart has them: one answers while the other goes to another nats-server. */
const GENERATION: readonly ServiceName[] = ["bridge", "authcallout", "authcallout", "proxy"];

/** As a supervisor would: long enough for services to go elsewhere (5 s), not for each client. */
const LAME_DUCK_MS = 8_000;

type Env = Record<string, string>;

function readEnv(...files: string[]): Env {
  const lines = files.flatMap((file) => readFileSync(file, "utf8").trim().split("\n"));
  return Object.fromEntries(lines.map((line) => line.split(/=(.*)/s).slice(0, 2)));
}

function publicKeysOf(env: Env): PublicKeys {
  const { issuer, xkey, edge } = publicKeyNames();
  const of = (name: string) => env[name] ?? "";
  const user = (service: string, account: AccountName) => of(`ARVADOS_NATS_PUBLIC_${service.toUpperCase()}_${account}`);
  return { issuer: of(issuer), xkey: of(xkey), edge: of(edge), users: perServiceUser(user) };
}

/** The public halves of what a configuration holds. */
function publicKeysIn({ issuerSeed, xkeySeed, edgeKey, nkeys }: Config): PublicKeys {
  const bytes = (seed: string) => new TextEncoder().encode(seed);
  const user = (service: NatsServiceName, account: AccountName) =>
    fromSeed(bytes((nkeys[service] as Record<string, string>)[account] ?? "")).getPublicKey();
  return {
    issuer: fromSeed(bytes(issuerSeed)).getPublicKey(),
    xkey: fromCurveSeed(bytes(xkeySeed)).getPublicKey(),
    edge: edgeKey,
    users: perServiceUser(user),
  };
}

describe("changing all keys", () => {
  let stack: TestStack;
  let dir: string;
  /** Ends the generation of services that runs. */
  let ends: Record<ServiceName, (() => Promise<void>)[]>;
  let door: string;
  /** nats-servers under one address each, as in an installation. */
  let throughBalancers: Env;
  const rest = createScope();
  /** What the new generations say. */
  const lines: string[] = [];
  const log = createLog({ format: "json", sink: { write: (line) => void lines.push(line) } });

  before(async () => {
    stack = await startTestStack({ servers: 3 });
    ends = {
      bridge: [() => stack.endService("bridge")],
      authcallout: [() => stack.endService("authcallout")],
      proxy: [() => stack.endService("proxy")],
    };
    door = stack.url;
    const portOf = (url: string) => Number(new URL(url).port);
    const nats = await startTcpRelay({ to: inTurns(() => stack.servers.map(({ url }) => portOf(url))) });
    const websocket = await startTcpRelay({
      to: inTurns(() => stack.servers.map(({ websocketUrl }) => portOf(websocketUrl))),
    });
    for (const balancer of [nats, websocket]) rest.defer("a balancer", () => balancer[Symbol.asyncDispose]());
    throughBalancers = {
      ARVADOS_NATS_URL: `nats://127.0.0.1:${nats.port}`,
      ARVADOS_NATS_WEBSOCKET_URL: `ws://127.0.0.1:${websocket.port}`,
    };
    dir = mkdtempSync(join(tmpdir(), "arvados-nats-rotation-"));
    const inUse = Object.entries(environmentOf(stack.config)).filter(([name]) => /_SEED$|_NKEY_/.test(name));
    writeFileSync(join(dir, "in-use.env"), inUse.map(([name, value]) => `${name}=${value}\n`).join(""));
    const made = await spawnCli(["keys", "--write", join(dir, "new"), "--replace", dir]);
    assert.equal(made.code, 0, made.text);
  });
  after(async () => {
    await rest.close();
    await stack?.[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true, force: true });
  });

  const oneServer = (place: number) => {
    const server = stack.servers[place];
    assert.ok(server);
    return server;
  };

  async function restartServer(place: number, keys: PublicKeys): Promise<void> {
    const server = oneServer(place);
    await server.retire(LAME_DUCK_MS);
    await server.restart({ keys });
    await until(() => answers(`${server.monitorUrl}/healthz`), "the server to be healthy");
  }

  /** The next generation is ready before the last one ends, as in a rolling update. */
  async function replaceServices(config: Config): Promise<void> {
    const last = ends;
    ends = { bridge: [], authcallout: [], proxy: [] };
    for (const name of GENERATION) {
      const scope = rest.child(name);
      let url = "";
      const start: StartService = async (context) => {
        const service = await START[name](context);
        if ("url" in service) url = String(service.url);
        return service;
      };
      const service = await hostService({ name, start, config, log, scope });
      // A bridge waits for the last one to let go of the slot.
      if (name !== "bridge") await until(() => isReady(service.readiness()), name);
      if (name === "proxy") door = url;
      ends[name].push(async () => {
        await service.drain();
        await scope.close();
      });
      await last[name].pop()?.();
      await until(() => isReady(service.readiness()), name);
    }
    await Promise.all(Object.values(last).flatMap((left) => left.map((end) => end())));
  }

  type Outcome = "in" | "refused" | "broken";

  /** A native client at any of the servers, or at one. `broken`: nobody there, or gone meanwhile; a client tries the next. */
  async function logIn(token: string, servers = stack.servers.map(({ url }) => url)): Promise<Outcome> {
    const options = { servers, ...(await connectOptions(token, sessionId())), reconnect: false, timeout: 6_000 };
    try {
      await (await connect(options)).close();
      return "in";
    } catch (error) {
      return /authoriz|authentic/i.test(String(error)) ? "refused" : "broken";
    }
  }

  async function logInAtTheEdge(token: string): Promise<Outcome> {
    const client = await openRawClient(`${door.replace(/^http/, "ws")}/nats`);
    let over = false;
    void client.closed.then(() => {
      over = true;
    });
    client.send(`${connectLine({ auth_token: token, user: sessionId() })}PING\r\n`);
    const answer = await until(() => /PONG|-ERR '[^']*'/.exec(client.text())?.[0] ?? (over && "closed"), "an answer");
    client.socket.close();
    return answer === "PONG" ? "in" : answer === "closed" ? "broken" : "refused";
  }

  it("would refuse logins at a nats-server with new keys if the services did not get them first", async () => {
    const { v2 } = stack.cluster.users.alice.token;
    const [before, changed] = [publicKeysIn(stack.config), readEnv(join(dir, "new", "nats-server.env"))];
    await oneServer(2).restart({ keys: publicKeysOf(changed) });
    assert.equal(await logIn(v2, [oneServer(2).url]), "refused");
    await oneServer(2).restart({ keys: before });
    assert.equal(await until(async () => (await logIn(v2, [oneServer(2).url])) === "in", "a login"), true);
  });

  it("as documented refuses nobody at either port, and a session hears events throughout", async () => {
    const { alice } = stack.cluster.users;
    const session = await stack.connectClient(alice.token.v2);
    const heard: LiveEvent[] = [];
    await session.events({ onEvent: (event) => void heard.push(event) }).ready;

    const none = () => ({ in: 0, refused: 0, broken: 0 });
    const counts = { services: none(), servers: none() };
    let phase: keyof typeof counts = "services";
    let over = false;
    const keepOn = async (attempt: () => Promise<Outcome>) => {
      while (!over) {
        const begun = phase;
        const outcome = await inSpiteOfStalls(attempt, (end) => end === "refused");
        // A login that a nats-server took with it may be refused when that is back.
        counts[begun === "servers" ? begun : phase][outcome]++;
      }
    };
    const people = [keepOn(() => logIn(alice.token.v2)), keepOn(() => logInAtTheEdge(alice.token.v2))];

    const programs = ["bridge", "authcallout", "proxy"].map((name) => `${name}.env`);
    const configOf = (folder: string) => {
      const env = readEnv(...programs.map((file) => join(dir, folder, file)));
      return loadConfig({ env: { ...environmentOf(stack.config), ...throughBalancers, ...env } }).config;
    };
    try {
      await replaceServices(configOf("new/both"));
      const keys = publicKeysOf(readEnv(join(dir, "new", "nats-server.env")));
      phase = "servers";
      for (const place of stack.servers.keys()) await restartServer(place, keys);
      phase = "services";
      await replaceServices(configOf("new"));
    } finally {
      over = true;
      await Promise.all(people);
    }
    const { services, servers } = counts;
    const refusals = lines.flatMap((line) => /"code":"[^"]+"/.exec(line)?.[0] ?? []);
    const shown = JSON.stringify({ ...counts, refusals });
    assert.equal(services.refused, 0, shown);
    // With a nats-server a leader of JetStream's goes, and with it at times a login that was on its way: a second try succeeds.
    assert.ok(servers.refused <= servers.in / 100, shown);
    assert.ok(services.in > 20 && servers.in > 100, shown);
    const wrongKey = lines.filter((line) => /cannot be decrypted|login\.statement|proxy is not trusted/.test(line));
    assert.deepEqual(wrongKey, []);
    assert.deepEqual(
      lines.filter((line) => line.includes("graphStale")),
      [],
      "another nats-server is no reason to end sessions",
    );

    const project = await stack.arvados.createProject({ name: "after it", owner: alice.uuid });
    await until(() => heard.some(({ event }) => event.object_uuid === project.uuid), "the event");
  });
});
