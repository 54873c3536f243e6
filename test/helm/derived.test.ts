import assert from "node:assert/strict";
import { parse } from "yaml";
import { isNewEnough } from "../../core/nats-version.ts";
import { allSettings } from "../../runtime/config/table.ts";
import { DERIVED, readDerived } from "../../scripts/derived.ts";
import { allMetrics } from "../../scripts/metrics.ts";
import { STREAM_PROFILES } from "../../streams-config/streams.ts";

describe("files that say again what the code declares", () => {
  for (const [path, derive] of Object.entries(DERIVED)) {
    it(`${path} is in step (else: npm run derive)`, () => {
      const current = readDerived(path);
      assert.equal(derive(current), current);
    });
  }

  it("the reference holds every setting and every metric", () => {
    const page = readDerived("docs/reference.md");
    for (const { setting } of allSettings()) assert.ok(page.includes(`\`${setting.env}\``), setting.env);
    const metrics = allMetrics();
    assert.ok(metrics.length > 10);
    for (const { name, help } of metrics) assert.ok(page.includes(`\`${name}\``) && help.length > 5, name);
  });
});

describe("values for the official NATS chart", () => {
  const values = parse(readDerived("helm/nats-values.yaml"));

  it("reload nothing, restart instead, and spread their servers", () => {
    assert.equal(values.reloader.enabled, false);
    assert.equal(values.podTemplate.configChecksumAnnotation, true);
    assert.equal(
      values.podTemplate.topologySpreadConstraints["kubernetes.io/hostname"].whenUnsatisfiable,
      "DoNotSchedule",
    );
    assert.ok(values.config.merge.lame_duck_duration);
  });

  it("take a server that is new enough", () => {
    const own = parse(readDerived("helm/arvados-nats/values.yaml"));
    for (const { tag } of [values.container.image, own.nats.image]) {
      assert.ok(isNewEnough(String(tag).replace(/-alpine$/, "")), tag);
    }
  });

  it("have room for the streams of three servers", () => {
    const { recordsBytes, logsBytes, graphLogBytes, syslogBytes } = STREAM_PROFILES.cluster;
    const gib = (text: string) => Number(/^(\d+)Gi$/.exec(text)?.[1]) * 1024 ** 3;
    const { pvc, maxSize } = values.config.jetstream.fileStore;
    assert.ok(gib(maxSize) > recordsBytes + logsBytes + graphLogBytes + syslogBytes);
    assert.ok(gib(pvc.size) > gib(maxSize));
  });

  it("have TLS for clients, WebSocket and routes, and name who may open one", () => {
    for (const part of ["cluster", "nats", "websocket"]) assert.equal(values.config[part].tls.enabled, true, part);
    assert.ok(values.config.cluster.merge.tls.verify && values.tlsCA.enabled);
    assert.ok(values.config.websocket.merge.allowed_origins.length > 0);
  });

  it("tell clients no pod's address, and ping them before a proxy cuts them off", () => {
    assert.equal(values.config.cluster.noAdvertise, true);
    assert.equal(values.config.merge.ping_interval, "20s");
  });

  it("trust the edge's key", () => {
    assert.deepEqual(values.config.merge.proxies, { trusted: [{ key: "<< $ARVADOS_NATS_PUBLIC_EDGE >>" }] });
  });

  it("reads every key that they name from a Secret, and hold no seed", () => {
    const text = JSON.stringify(values.config);
    const named = new Set([...text.matchAll(/<< \$(\w+) >>/g)].map(([, name]) => name));
    assert.deepEqual(
      [...named].sort(),
      Object.keys(values.container.env)
        .filter((name) => name !== "GOMEMLIMIT")
        .sort(),
    );
    assert.doesNotMatch(JSON.stringify(values), /S[AUX][A-Z2-7]{56}/);
  });
});
