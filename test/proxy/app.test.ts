/** What the proxy's own pages say of where they are, and to whom the demo's hand out tokens. */
import assert from "node:assert/strict";
import { Demo } from "../../dev/demo-routes.ts";
import { type LoopbackServer, startLoopbackServer } from "../../dev/servers/loopback-server.ts";
import { createApp } from "../../proxy/app.ts";
import { askRaw } from "../support/clients/raw-http.ts";

const ABOUT = {
  clusterId: "zzzzz",
  publicWebsocketUrl: null,
  publicNatsUrl: null,
  serviceVersion: "0",
  consoleDir: "/none",
};

function request(line: string, headers: Record<string, string>): string {
  const lines = Object.entries({ Connection: "close", ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${line} HTTP/1.1\r\n${lines.join("")}\r\n`;
}

describe("discovery", () => {
  async function discovered(
    headers: Record<string, string>,
    options: Partial<Parameters<typeof createApp>[0]> = {},
  ): Promise<string> {
    await using site = await startLoopbackServer(
      createApp({ ...ABOUT, isForwarder: (address) => address === "127.0.0.1", ...options }),
    );
    const answer = await askRaw(
      site.url,
      request("GET /.well-known/arvados-nats", { Host: "e.example:8443", ...headers }),
    );
    return /"websocketUrl":"([^"]*)"/.exec(answer)?.[1] ?? answer.slice(0, "HTTP/1.1 400".length);
  }

  it("says wss:// where a forwarder of the site has ended TLS, or the setting says so", async () => {
    assert.equal(await discovered({ "X-Forwarded-Proto": "https" }), "wss://e.example:8443/nats");
    assert.equal(await discovered({ Forwarded: "for=1.1.1.1;proto=https" }), "wss://e.example:8443/nats");
    assert.equal(await discovered({}), "ws://e.example:8443/nats");
    assert.equal(await discovered({ "X-Forwarded-Proto": "http" }), "ws://e.example:8443/nats");
    const publicWebsocketUrl = "wss://other.example/nats";
    assert.equal(await discovered({}, { publicWebsocketUrl }), publicWebsocketUrl);
  });

  it("believes nobody else", async () => {
    assert.equal(
      await discovered({ "X-Forwarded-Proto": "https" }, { isForwarder: () => false }),
      "ws://e.example:8443/nats",
    );
  });

  it("repeats no Host that is none", async () => {
    for (const Host of [
      "",
      "e.example/x",
      "e.example?x",
      "u@e.example",
      "e.example:80:80",
      'e"x',
      "[::1",
      "e.example:x",
    ]) {
      assert.equal(await discovered({ Host }), "HTTP/1.1 400", Host);
    }
    for (const Host of ["e.example", "[2001:db8::1]:8443", "127.0.0.1:1"]) {
      assert.equal(await discovered({ Host }), `ws://${Host}/nats`);
    }
  });
});

describe("the demo's door", () => {
  const SECRET = "v2/secret";
  let site: LoopbackServer;
  let pressed = 0;
  before(async () => {
    const app = createApp(ABOUT);
    const demo = new Demo({} as never, {} as never);
    Object.assign(demo, {
      info: () => ({ token: SECRET }),
      actions: { create: async () => ({ uuid: `made ${++pressed}` }) },
    });
    demo.addRoutes(app);
    site = await startLoopbackServer(app);
  });
  after(() => site[Symbol.asyncDispose]());

  const port = () => new URL(site.url).port;
  const ask = (line: string, headers: Record<string, string>) => askRaw(site.url, request(line, headers));

  it("hands out tokens under the address at which it is served", async () => {
    for (const name of ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"]) {
      const Host = `${name}:${port()}`;
      assert.match(await ask("GET /demo/cluster", { Host }), /^HTTP\/1\.1 200 [\s\S]*v2\/secret/, name);
      const own = { Host, Origin: `http://${Host}`, "Sec-Fetch-Site": "same-origin" };
      assert.match(await ask("GET /demo/cluster", own), /^HTTP\/1\.1 200 /);
    }
    const before = pressed;
    const Host = `localhost:${port()}`;
    assert.match(await ask("POST /demo/do/create", { Host, Origin: `http://${Host}` }), /^HTTP\/1\.1 200 /);
    assert.equal(pressed, before + 1);
  });

  it("and to no page of another name or origin", async () => {
    const own = `127.0.0.1:${port()}`;
    const names = [
      "rebound.example",
      "127.0.0.1.evil.example",
      "localhost.evil.example",
      "evil@127.0.0.1",
      "0.0.0.0",
      "[::]",
    ];
    const hosts = [
      ...names.map((name) => `${name}:${port()}`),
      "127.0.0.1",
      "127.0.0.1:1",
      "rebound.example",
      "",
      `localhost.:${port()}`,
    ];
    const refused: Record<string, string>[] = [
      ...hosts.map((Host) => ({ Host })),
      ...[
        "http://evil.example",
        "null",
        "",
        "nonsense",
        `https://${own}`,
        "http://127.0.0.1:1",
        `http://localhost:${port()}`,
      ].map((Origin) => ({ Host: own, Origin })),
      ...["cross-site", "same-site"].map((site) => ({ Host: own, "Sec-Fetch-Site": site })),
    ];
    const before = pressed;
    for (const headers of refused) {
      for (const line of ["GET /demo/cluster", "HEAD /demo/cluster", "POST /demo/do/create", "GET /DEMO/cluster/"]) {
        const answer = await ask(line, headers);
        assert.match(answer, /^HTTP\/1\.1 403 /, `${line} ${JSON.stringify(headers)}`);
        assert.doesNotMatch(answer, /secret/);
      }
    }
    assert.equal(pressed, before);
  });
});
