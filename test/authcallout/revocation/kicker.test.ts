import assert from "node:assert/strict";
import { Kicker, type KickerParts } from "../../../authcallout/revocation/kicker.ts";
import type { SessionAction } from "../../../authcallout/revocation/revocation-plan.ts";
import { Servers } from "../../../authcallout/sessions/servers.ts";
import { until } from "../../../dev/testing/until.ts";
import { silentLog } from "../../../runtime/log/log.ts";

const CUT = { session: { server: "A", cid: 7 }, do: "cut", because: "permissionsChanged" } as unknown as SessionAction;

/** What happens, in order; the flush of notices ends when it is told to. */
function kicker() {
  const steps: string[] = [];
  let flushed = () => {};
  const servers = new Servers();
  servers.seen("n1", "A");
  const parts = {
    app: { flush: () => new Promise<void>((resolve) => (flushed = resolve)) },
    notices: { beforeCut: () => void steps.push("told") },
    system: {
      async kick() {
        steps.push("kicked");
        return true;
      },
    },
    sessions: { remove: () => {} },
    servers,
    log: silentLog(),
    signal: new AbortController().signal,
  };
  return { kicker: new Kicker(parts as unknown as KickerParts), steps, flushed: () => flushed() };
}

describe("who is cut", () => {
  it("is told before, which stands in its queue when it is kicked", async () => {
    const { kicker: one, steps, flushed } = kicker();
    const cutting = one.cut([CUT], () => {});
    assert.deepEqual(steps, ["told"]);
    flushed();
    await cutting;
    assert.deepEqual(steps, ["told", "kicked"]);
  });

  it("is kicked all the same where nobody takes the notice", async () => {
    const { kicker: one, steps } = kicker();
    void one.cut([CUT], () => {});
    await until(() => steps.includes("kicked"), "the kick", 1_000);
  });
});
