/** Arvados' API, asked whose a token is: what counts as yes, as no, and as no answer. */
import assert from "node:assert/strict";
import { TokenApi } from "../../../authcallout/lookup/token-api.ts";
import { Fault } from "../../../core/errors.ts";
import { startLoopbackServer } from "../../../dev/servers/loopback-server.ts";
import { type StubArvadosApi, startStubArvadosApi } from "../../support/servers/stub-arvados-api.ts";

const UUID = "yyyyy-gj3su-000000000000001";
const USER = "yyyyy-tpzed-000000000000001";

describe("Arvados' API", () => {
  let stub: StubArvadosApi;
  before(async () => {
    stub = await startStubArvadosApi();
  });
  after(() => stub?.[Symbol.asyncDispose]());
  beforeEach(() => {
    stub.state = "up";
    stub.asked.length = 0;
  });

  const api = (url = stub.url, timeout = 2_000, signal = new AbortController().signal) =>
    new TokenApi({ url, timeout, signal });
  async function reason(asked: Promise<unknown>): Promise<unknown> {
    const failure = await asked.then(
      () => assert.fail("an answer"),
      (error) => error,
    );
    assert.ok(failure instanceof Fault && failure.code === "lookup.unavailable", String(failure));
    return failure.facts.reason;
  }

  it("vouches for a token: uuid, user, scopes, end", async () => {
    stub.holders.set("one", { uuid: UUID, user: USER, scopes: ["all"], expiresAt: 1_900_000_000_000 });
    assert.deepEqual(await api().voucher("one"), {
      token: UUID,
      user: USER,
      scopes: ["all"],
      until: 1_900_000_000_000,
    });
    assert.deepEqual(stub.asked, ["/arvados/v1/api_client_authorizations/current", "/arvados/v1/users/current"]);
  });

  it("vouches for a token whose scopes keep its user from it", async () => {
    const scopes = ["GET /arvados/v1/collections/yyyyy-4zz18-000000000000001"];
    stub.holders.set("narrow", { uuid: UUID, user: USER, scopes });
    assert.deepEqual(await api().voucher("narrow"), {
      token: UUID,
      user: USER,
      scopes,
      until: Number.POSITIVE_INFINITY,
    });
  });

  it("reduces the scopes of a token, and refuses one that has more than count, without blaming the API", async () => {
    const object = (n: number) => `GET /arvados/v1/collections/yyyyy-4zz18-${String(n).padStart(15, "0")}`;
    const many = (count: number) => Array.from({ length: count }, (_, n) => object(n));
    stub.holders.set("few", { uuid: UUID, user: USER, scopes: ["POST /x", object(1), object(1)] });
    assert.deepEqual((await api().voucher("few"))?.scopes, [object(1)]);
    stub.holders.set("many", { uuid: UUID, user: USER, scopes: many(1_000) });
    const voucher = await api().voucher("many");
    assert.deepEqual([voucher?.scopes, voucher?.scopes_over], [[], true]);
    stub.holders.set("megabyte", { uuid: UUID, user: USER, scopes: many(20_000) });
    assert.equal(await api().voucher("megabyte"), null);
  });

  it("takes an end that it cannot read for one that has come, without blaming the API", async () => {
    const token = JSON.stringify({ uuid: UUID, owner_uuid: USER, scopes: ["all"], expires_at: "-infinity" });
    const user = JSON.stringify({ uuid: USER });
    await using odd = await startLoopbackServer(
      (request, response) => void response.writeHead(200).end(request.url?.includes("users") ? user : token),
    );
    assert.equal(await api(odd.url).voucher("one"), null);
  });

  it("refuses a token it does not know, in one request", async () => {
    assert.equal(await api().voucher("unheard"), null);
    assert.equal(stub.asked.length, 1);
  });

  it("gives no answer where it fails, talks nonsense, is silent or is not there", async () => {
    stub.state = "failing";
    assert.equal(await reason(api().voucher("one")), "HTTP 502");
    stub.state = "nonsense";
    assert.equal(await reason(api().voucher("one")), "SyntaxError");
    stub.state = "silent";
    assert.equal(await reason(api(stub.url, 100).voucher("one")), "TimeoutError");
    const gone = await startStubArvadosApi();
    await gone[Symbol.asyncDispose]();
    assert.equal(await reason(api(gone.url).voucher("one")), "ECONNREFUSED");
  });

  it("gives no answer where what it says is not of Arvados, or has no end", async () => {
    const bodies = ["null", "{}", `{"uuid":"${UUID}","owner_uuid":"${UUID}"}`, `"${"x".repeat(300_000)}"`];
    for (const body of bodies) {
      await using odd = await startLoopbackServer((_, response) => void response.writeHead(200).end(body));
      await reason(api(odd.url).voucher("one"));
    }
  });

  it("is the only one to get the token: a redirect is not followed", async () => {
    await using elsewhere = await startLoopbackServer(
      (_, response) => void response.writeHead(302, { Location: stub.url }).end(),
    );
    await reason(api(elsewhere.url).voucher("one"));
    assert.deepEqual(stub.asked, []);
  });

  it("is not waited for once the service ends", async () => {
    stub.state = "silent";
    const ending = new AbortController();
    const asked = reason(api(stub.url, 60_000, ending.signal).voucher("one"));
    ending.abort();
    assert.equal(await asked, "AbortError");
  });
});
