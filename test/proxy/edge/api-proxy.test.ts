/** The Arvados API on the edge's own origin: what goes over, what does not, and what happens without Arvados. */
import assert from "node:assert/strict";
import { createServer, type IncomingHttpHeaders } from "node:http";
import { gzipSync } from "node:zlib";
import { type LoopbackServer, startLoopbackServer } from "../../../dev/servers/loopback-server.ts";
import { createApp } from "../../../proxy/app.ts";
import { passToArvados } from "../../../proxy/edge/api-proxy.ts";
import { apiTarget } from "../../../proxy/edge/api-request.ts";
import { silentLog } from "../../../runtime/log/log.ts";

describe("the Arvados API through the edge", () => {
  type Asked = { method: string; url: string; headers: IncomingHttpHeaders; body: string };
  let asked: Asked[] = [];
  let statuses: number[] = [];
  let arvados: LoopbackServer;
  let site: LoopbackServer;
  before(async () => {
    arvados = await startLoopbackServer(async (request, response) => {
      let body = "";
      for await (const part of request) body += part;
      asked.push({ method: request.method ?? "", url: request.url ?? "", headers: request.headers, body });
      response.writeHead(request.url?.includes("missing") ? 404 : 200, {
        "Content-Type": "text/html",
        "Content-Encoding": "gzip",
        "Set-Cookie": "a=b",
        "Content-Security-Policy": "default-src *",
      });
      response.end(gzipSync("<script>"));
    });
    site = await startSite(arvados.url);
  });
  beforeEach(() => {
    [asked, statuses] = [[], []];
  });
  after(async () => {
    await site[Symbol.asyncDispose]();
    await arvados[Symbol.asyncDispose]();
  });

  function startSite(url: string): Promise<LoopbackServer> {
    const api = passToArvados({
      url,
      isForwarder: (address) => address === "127.0.0.1",
      log: silentLog(),
      onAnswer: (status) => void statuses.push(status),
    });
    const about = { clusterId: "zzzzz", publicWebsocketUrl: null, publicNatsUrl: null, serviceVersion: "0" };
    return startLoopbackServer(createApp({ ...about, consoleDir: "/none", api }));
  }

  it("hands over method, path, query, body and token, and the client's address", async () => {
    await fetch(`${site.url}/arvados/v1/collections?limit=1&filters=%5B%5D`, {
      method: "POST",
      headers: { authorization: "Bearer mine", "x-forwarded-for": "1.1.1.1, 203.0.113.7", cookie: "c=d" },
      body: "name=x",
    });
    const [{ method, url, headers, body }] = asked as [Asked];
    assert.deepEqual([method, url, body], ["POST", "/arvados/v1/collections?limit=1&filters=%5B%5D", "name=x"]);
    assert.equal(headers.authorization, "Bearer mine");
    assert.equal(headers["x-forwarded-for"], "203.0.113.7");
    assert.equal(headers.host, new URL(arvados.url).host);
    assert.equal(headers.cookie, undefined, "a page of another origin could have made the browser send it");
  });

  it("hands back what Arvados answers, which is no page of this origin and sets nothing in it", async () => {
    const answer = await fetch(`${site.url}/arvados/v1/container_requests/x/log/y/missing.html`);
    assert.equal(answer.status, 404);
    assert.equal(await answer.text(), "<script>");
    assert.equal(answer.headers.get("content-security-policy"), "default-src 'none'; sandbox");
    assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
    assert.equal(answer.headers.get("set-cookie"), null);
    assert.deepEqual(statuses, [404]);
  });

  it("serves the API's description, and nothing else of Arvados", async () => {
    await fetch(`${site.url}/discovery/v1/apis/arvados/v1/rest`);
    for (const path of ["/login", "/logout", "/arvados/v1", "/arvados/v10/", "//arvados/v1/x", "/static/../arvados"]) {
      assert.equal((await fetch(`${site.url}${path}`)).status, 404, path);
    }
    assert.deepEqual(
      asked.map(({ url }) => url),
      ["/discovery/v1/apis/arvados/v1/rest"],
    );
  });

  it("takes no path with dots, which could be another one behind it", () => {
    for (const path of [
      "/arvados/v1/../../login",
      "/arvados/v1/x/..",
      "/arvados/v1/%2e%2E/x",
      "/arvados/v1/x%2f..%2fy",
    ]) {
      assert.ok(["unclear", null].includes(apiTarget(path)), path);
    }
    assert.equal(apiTarget("/arvados/v1/x/log/y/..z.txt?a=/../"), "/arvados/v1/x/log/y/..z.txt?a=/../");
  });

  it("says 502 in Arvados' own form while Arvados is away", async () => {
    const gone = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => gone.once("listening", resolve));
    const { port } = gone.address() as { port: number };
    await new Promise((resolve) => gone.close(resolve));
    await using lost = await startSite(`http://127.0.0.1:${port}`);
    const answer = await fetch(`${lost.url}/arvados/v1/users/current`);
    assert.equal(answer.status, 502);
    const { errors } = (await answer.json()) as { errors: string[] };
    assert.match(errors[0] ?? "", /^The Arvados API does not answer/);
    assert.ok(!errors[0]?.includes(String(port)), "where it lies inside is nobody's business");
    assert.deepEqual(statuses, [502]);
  });
});
