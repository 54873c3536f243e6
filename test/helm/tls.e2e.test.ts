/** The chart with TLS on its nats-server, run for real: what gets in, what does not, and what is said about it. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { connect as dial } from "node:net";
import { WebSocket } from "ws";
import { CHART_SERVICES, type ChartRun, prepareChart } from "../support/chart/chart-run.ts";
import { findManifest } from "../support/chart/helm.ts";
import { createAuthority } from "../support/servers/certificates.ts";

const MOUNTED = "/etc/nats-tls";
const CA = "/etc/arvados-nats/ca/ca.crt";

describe("an installation with TLS as the chart renders it", () => {
  const authority = createAuthority();
  const server = authority.issue(["localhost"]);
  let run: ChartRun;
  before(async () => {
    run = await prepareChart({
      host: "localhost",
      values: { nats: { tls: { existingSecret: "nats-tls" } }, tls: { caSecret: { name: "nats-tls" } } },
      files: { [`${MOUNTED}/tls.crt`]: server.cert, [`${MOUNTED}/tls.key`]: server.key, [CA]: authority.cert },
    });
    await run.startNats();
    await run.runJobs();
  });
  after(() => run?.[Symbol.asyncDispose]());

  const bridge = (env: Record<string, string>) =>
    run.startOurs(findManifest(run.manifests, "Deployment", "-bridge"), env).ended;

  it("becomes ready", () => run.startServices());

  it("lets a user in through the edge, and shows an event", async () => {
    const { ended } = run.startOurs(findManifest(run.manifests, "Pod", "-test"));
    await run.write(ended);
    const { code, text } = await ended;
    assert.equal(code, 0, text);
    assert.match(text, /^event: create of zzzzz-j7d0g-/m);
  });

  it("is left alone by services that have another CA, and they say what to do", async () => {
    const other = `${run.dir}/other-ca.crt`;
    writeFileSync(other, createAuthority().cert);
    for (const service of CHART_SERVICES) {
      const deployment = findManifest(run.manifests, "Deployment", `-${service}`);
      const ports = {
        ARVADOS_NATS_LISTEN: "127.0.0.1:0",
        [`ARVADOS_NATS_ADMIN_${service.toUpperCase()}`]: "127.0.0.1:0",
      };
      const { code, text } = await run.startOurs(deployment, { ...ports, NODE_EXTRA_CA_CERTS: other }).ended;
      assert.equal(code, 2, text);
      assert.match(text, /the certificate of nats-server at tls:\/\/localhost:\d+ is not trusted/, service);
      assert.match(text, /→ give this process the CA that signed the certificate \(NODE_EXTRA_CA_CERTS=/, service);
    }
  });

  it("is left alone by services that know it by a name that is not in its certificate", async () => {
    const { code, text } = await bridge({
      ARVADOS_NATS_ADMIN_BRIDGE: "127.0.0.1:0",
      ARVADOS_NATS_URL: `tls://127.0.0.1:${run.ports.nats}`,
    });
    assert.equal(code, 2, text);
    assert.match(text, /not trusted: .*IP: 127\.0\.0\.1 is not in the cert's list/);
    assert.match(text, /the certificate must contain the host name of the URL/);
  });

  it("hears no plain connection: not a client's, not a WebSocket's", async () => {
    const plain = dial(run.ports.nats, "127.0.0.1");
    let said = "";
    plain.setEncoding("utf8").on("data", (text: string) => {
      said += text;
      if (text.startsWith("INFO")) plain.write('CONNECT {"auth_token":"x"}\r\nPING\r\n');
    });
    await new Promise((resolve) => plain.on("close", resolve).on("error", () => {}));
    assert.match(said, /"tls_required":true/);
    assert.doesNotMatch(said, /PONG/);

    const socket = new WebSocket(`ws://127.0.0.1:${run.ports.websocket}`);
    const outcome = await new Promise((resolve) => socket.on("open", () => resolve("open")).on("error", resolve));
    assert.notEqual(outcome, "open");
  });
});
