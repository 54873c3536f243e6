import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Fault } from "../../core/errors.ts";
import { startAdminServer } from "../../runtime/admin-server.ts";
import { defaultConfig } from "../../runtime/config/config.ts";
import { urlOf } from "../../runtime/config/setting.ts";
import { deferred } from "../../runtime/deferred.ts";
import { listen } from "../../runtime/listen.ts";
import { silentLog } from "../../runtime/log/log.ts";
import { createMetrics } from "../../runtime/metrics.ts";
import { createScope, type Scope } from "../../runtime/scope.ts";
import type { Readiness, ServiceContext } from "../../runtime/service.ts";
import { hostService } from "../../runtime/service-host.ts";

const anyPort = { host: "127.0.0.1", port: 0 };

async function ask(url: string, init?: RequestInit) {
  const response = await fetch(url, init);
  return { status: response.status, type: response.headers.get("content-type"), text: await response.text() };
}

/** An address that was free a moment ago. */
async function freeAddress() {
  const holder = createServer();
  const address = await listen(holder, anyPort, { what: "holder", setting: "-" });
  await new Promise((resolve) => holder.close(resolve));
  return address;
}

describe("the admin port", () => {
  let scope: Scope;
  beforeEach(() => {
    scope = createScope();
  });
  afterEach(() => scope.close());

  async function admin(readiness: () => Readiness) {
    const metrics = createMetrics("bridge");
    const server = await startAdminServer({ address: anyPort, what: "it", setting: "x", readiness, metrics });
    scope.defer("admin", () => server.close());
    return { url: server.url, metrics };
  }

  it("is alive as long as it answers, ready or not", async () => {
    const { url } = await admin(() => ({ graph: { ok: false, says: "loading" } }));
    assert.deepEqual(await ask(`${url}/livez`), { status: 200, type: "text/plain", text: "ok\n" });
  });

  it("reports why it is not ready, and when it is", async () => {
    let says = "loading";
    const { url } = await admin(() => ({
      graph: { ok: says !== "loading", says },
      nats: { ok: true, says: "connected" },
    }));
    const before = await ask(`${url}/readyz`);
    assert.equal(before.status, 503);
    assert.deepEqual(JSON.parse(before.text), {
      ready: false,
      conditions: { graph: { ok: false, says: "loading" }, nats: { ok: true, says: "connected" } },
    });
    says = "following at sequence 8812";
    const after = await ask(`${url}/readyz?verbose`);
    assert.equal(after.status, 200);
    assert.match(after.text, /following at sequence 8812/);
  });

  it("is not ready when the readiness of the service throws", async () => {
    const { url } = await admin(() => {
      throw new Error("no graph");
    });
    const { status, text } = await ask(`${url}/readyz`);
    assert.equal(status, 503);
    assert.match(text, /cannot tell: no graph/);
  });

  it("serves metrics of the service under its prefix, and those of the process", async () => {
    const { url, metrics } = await admin(() => ({}));
    metrics.counter("commits_total", "Commits", ["result"]).inc({ result: "ok" }, 2);
    metrics.gauge("lag_seconds", "Lag", [], () => 1.5);
    metrics.histogram("wait_seconds", "Wait").observe(0.003);
    const { status, type, text } = await ask(`${url}/metrics`);
    assert.equal(status, 200);
    assert.match(String(type), /^text\/plain; version=0\.0\.4/);
    assert.match(text, /^arvados_nats_bridge_commits_total\{result="ok"\} 2$/m);
    assert.match(text, /^arvados_nats_bridge_lag_seconds 1\.5$/m);
    assert.match(text, /^arvados_nats_bridge_wait_seconds_bucket\{le="0\.005"\} 1$/m);
    assert.match(text, /^process_cpu_seconds_total /m);
  });

  it("knows no other page and no other method", async () => {
    const { url } = await admin(() => ({}));
    assert.equal((await ask(`${url}/`)).status, 404);
    assert.equal((await ask(`${url}/constructor`)).status, 404);
    assert.equal((await ask(`${url}/metrics`, { method: "POST" })).status, 405);
    assert.equal((await ask(`${url}/livez`, { method: "HEAD" })).status, 200);
  });
});

describe("metrics of two services in one process", () => {
  it("do not mix", async () => {
    const [bridge, proxy] = [createMetrics("bridge"), createMetrics("proxy")];
    bridge.counter("requests_total", "x").inc();
    proxy.counter("requests_total", "x").inc(5);
    assert.match(await proxy.text(), /arvados_nats_proxy_requests_total 5/);
    assert.ok(!(await proxy.text()).includes("arvados_nats_bridge"));
  });

  it("keep to Prometheus' grammar", () => {
    assert.throws(() => createMetrics("bridge").counter("requests", "x"), /ends in _total/);
    assert.throws(() => createMetrics("bridge").gauge("lag-seconds", "x"), /not a metric name/);
  });
});

describe("listen", () => {
  it("names the setting when the port is in use", async () => {
    const holder = createServer();
    const address = await listen(holder, anyPort, { what: "holder", setting: "-" });
    try {
      await assert.rejects(
        listen(createServer(), address, { what: "the proxy", setting: "proxy.listen (ARVADOS_NATS_LISTEN)" }),
        (error) => {
          assert.ok(error instanceof Fault);
          assert.equal(error.code, "port.occupied");
          assert.equal(error.message, `the proxy cannot listen on 127.0.0.1:${address.port}: the port is in use`);
          assert.match(error.remedy, /proxy\.listen \(ARVADOS_NATS_LISTEN\)/);
          return true;
        },
      );
    } finally {
      holder.close();
    }
  });

  it("reports an address that is not this host's", async () => {
    const elsewhere = listen(createServer(), { host: "192.0.2.1", port: 1 }, { what: "it", setting: "x" });
    await assert.rejects(elsewhere, {
      code: "port.unusable",
      message: /it cannot listen on 192\.0\.2\.1:1: .*EADDRNOTAVAIL/,
    });
  });
});

describe("hostService", () => {
  it("answers while the service starts, works and drains", async () => {
    await using scope = createScope();
    const config = defaultConfig({ admin: { bridge: await freeAddress() } });
    const url = urlOf("http", config.admin.bridge);
    const starting = deferred<ServiceContext>();
    const letStart = deferred();
    const done = deferred();
    const hosting = hostService({
      name: "bridge",
      config,
      log: silentLog(),
      scope,
      start: async (context) => {
        starting.resolve(context);
        await letStart.promise;
        return {
          readiness: () => ({ slot: { ok: true, says: "leading" } }),
          drain: async () => done.resolve(),
          done: done.promise,
        };
      },
    });
    assert.equal((await starting.promise).config, config);
    const early = await ask(`${url}/readyz`);
    assert.equal(early.status, 503);
    assert.match(early.text, /"says":"starting"/);
    letStart.resolve();
    const service = await hosting;
    assert.equal(service.adminUrl, url);
    assert.equal((await ask(`${url}/readyz`)).status, 200);
    await service.drain();
    const draining = await ask(`${url}/readyz`);
    assert.equal(draining.status, 503);
    assert.match(draining.text, /"says":"draining"/);
    assert.equal((await ask(`${url}/livez`)).status, 200);
    await scope.close();
    await assert.rejects(fetch(`${url}/livez`));
  });

  it("starts nothing when the admin port is in use", async () => {
    await using scope = createScope();
    const holder = createServer();
    scope.defer("holder", () => holder.close());
    await listen(holder, anyPort, { what: "holder", setting: "-" });
    const { port } = holder.address() as AddressInfo;
    let started = false;
    const hosting = hostService({
      name: "bridge",
      config: defaultConfig({ admin: { bridge: { host: "127.0.0.1", port } } }),
      log: silentLog(),
      scope,
      start: async () => {
        started = true;
        return { readiness: () => ({}), drain: async () => {}, done: Promise.resolve() };
      },
    });
    await assert.rejects(hosting, (error) => {
      assert.ok(error instanceof Fault);
      assert.match(error.remedy, /admin\.bridge \(ARVADOS_NATS_ADMIN_BRIDGE\)/);
      return true;
    });
    assert.equal(started, false);
  });
});
