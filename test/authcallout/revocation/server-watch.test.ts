/** A server that an admin gave up and that goes on nevertheless. */
import assert from "node:assert/strict";
import { ServerWatch } from "../../../authcallout/revocation/server-watch.ts";
import { Servers } from "../../../authcallout/sessions/servers.ts";
import { Sessions } from "../../../authcallout/sessions/sessions.ts";
import type { SystemAccount } from "../../../authcallout/sessions/system-account.ts";
import type { BarrierEntry } from "../../../core/barrier/entry.ts";
import { silentLog } from "../../../runtime/log/log.ts";

describe("a nats-server that was given up and goes on", () => {
  it("is written into BARRIER again, and its sessions are looked at", async () => {
    const said: BarrierEntry[] = [];
    let returned = 0;
    let seen: (server: { name: string; id: string }) => void = () => {};
    const system: SystemAccount = {
      kick: async () => true,
      sessionsOf: async () => [],
      servers: async () => [{ name: "n1", id: "N1" }],
      watch: (on) => {
        seen = on.seen;
      },
    };
    const watch = new ServerWatch({
      member: { publish: async (entry) => void said.push(entry) },
      system,
      sessions: new Sessions(),
      servers: new Servers(),
      log: silentLog(),
      now: () => 0,
      signal: new AbortController().signal,
      onSession: () => {},
      onReturn: () => returned++,
    });
    await watch.start();
    watch.told("n1", "N1");
    seen({ name: "n1", id: "N1" });
    assert.equal(said.length, 1, "once while it is known");
    watch.told("n1", null);
    seen({ name: "n1", id: "N1" });
    assert.deepEqual(said.at(-1), { kind: "server", name: "n1", id: "N1" });
    assert.equal(said.length, 2);
    assert.equal(returned, 1);
  });
});
