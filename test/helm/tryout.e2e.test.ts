/** The try-out as the chart renders it, run for real. */
import assert from "node:assert/strict";
import { type ChartRun, prepareChart } from "../support/chart/chart-run.ts";
import { findManifest } from "../support/chart/helm.ts";

describe("a try-out as the chart renders it", () => {
  let run: ChartRun;
  before(async () => {
    run = await prepareChart();
  });
  after(() => run?.[Symbol.asyncDispose]());

  it("starts nats-server on the ConfigMap and the pod's environment", () => run.startNats());
  it("runs the Jobs", () => run.runJobs());
  it("brings every service to the readiness that its probe asks for", () => run.startServices());

  it("passes helm test: a login, who one is, and an event", async () => {
    const { ended } = run.startOurs(findManifest(run.manifests, "Pod", "-test"));
    await run.write(ended);
    const { code, text } = await ended;
    assert.equal(code, 0, text);
    assert.match(text, /^gateway: zzzzz-tpzed-0{15}, /m);
    assert.match(text, /^event: create of zzzzz-j7d0g-/m);
    assert.ok(!text.includes(run.secrets.arvados?.systemRootToken ?? "?"));
  });

  it("fails helm test where nothing happens, and where there is no proxy, and says so", async () => {
    const env = run.environmentOf(run.containerOf(findManifest(run.manifests, "Pod", "-test")));
    const probe = (url: string) => run.processes.cli(["probe", "--url", url, "--event-seconds", "1"], env).ended;
    const [quiet, nobody] = await Promise.all([
      probe(`http://127.0.0.1:${run.ports.http}`),
      probe("http://127.0.0.1:1"),
    ]);
    assert.deepEqual([quiet.code, nobody.code], [2, 2]);
    assert.match(quiet.text, /failed: no event within 1 s\n.*the bridge is ready/);
    assert.match(nobody.text, /^arvados-nats: the probe of http:\/\/127\.0\.0\.1:1 failed: .*\n.*the proxy runs/);
  });

  it("fails helm test for a token that nobody knows", async () => {
    run.secrets.arvados = { systemRootToken: "unknown".repeat(8) };
    const { code, text } = await run.startOurs(findManifest(run.manifests, "Pod", "-test")).ended;
    assert.equal(code, 2, text);
    assert.match(text, /failed: the token is refused\n.*authcallout's log says why/);
  });
});
