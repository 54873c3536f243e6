/** Tokens that Arvados' database does not have: its API is asked, a row decides where one comes, and the API's word ends on time. */
import assert from "node:assert/strict";
import { connect } from "@nats-io/transport-node";
import { runAuthcallout } from "../../../authcallout/main.ts";
import { sessionId } from "../../../client/mod.ts";
import { oidcSecret, saltedSecret } from "../../../core/token/token.ts";
import { until } from "../../../dev/testing/until.ts";
import type { ConfigOverrides } from "../../../runtime/config/config.ts";
import { createScope, type Scope } from "../../../runtime/scope.ts";
import { type HostedService, hostService } from "../../../runtime/service-host.ts";
import { noticesTo, startListener } from "../../support/checks/listener.ts";
import { Logins } from "../../support/checks/logins.ts";
import { watchStalls } from "../../support/servers/stalls.ts";
import { type StubArvadosApi, startStubArvadosApi } from "../../support/servers/stub-arvados-api.ts";
import { startTestStack, type TestStack } from "../../support/worlds/stack.ts";

const KEEP_MS = 10_000;
const ACA = "/arvados/v1/api_client_authorizations/current";
let count = 0;
const remote = () => `yyyyy-gj3su-${String(++count).padStart(15, "0")}`;

describe("a token that the database does not have", () => {
  let stack: TestStack;
  let api: StubArvadosApi;
  let scope: Scope;
  let callout: HostedService;
  const logins = new Logins(() => stack);
  const alice = () => stack.cluster.users.alice;
  const bob = () => stack.cluster.users.bob;

  before(async () => {
    scope = createScope();
    api = scope.use("API", await startStubArvadosApi(), (it) => it[Symbol.asyncDispose]());
    const overrides = { arvadosApiUrl: api.url, lookupKeep: KEEP_MS };
    stack = await startTestStack({ log: logins.log, overrides });
    scope.defer("stack", () => stack[Symbol.asyncDispose]());
    callout = stack.services.authcallout;
  });
  after(() => scope?.close());
  beforeEach(() => {
    api.state = "up";
    api.asked.length = 0;
  });

  const signIn = (pass: string) => () =>
    connect({ servers: stack.nats.url, user: sessionId(), pass, reconnect: false });
  const refusalOf = (token: string) => logins.refusalOf(signIn(token));
  /** What Arvados does when another authority has vouched for a token. */
  const insert = (uuid: string, secret: string, user: string) => () =>
    stack.arvados.tx(async (operations, tx) => {
      const token = await operations.issueToken(user);
      const end = new Date(Date.now() + 300_000).toISOString().replace("Z", "");
      await tx.query(
        "UPDATE api_client_authorizations SET uuid = $1, api_token = $2, refreshes_at = $3 WHERE uuid = $4",
        [uuid, secret, end, token.uuid],
      );
    });
  /** In the place of the one before, with other settings. */
  async function restart(overrides: ConfigOverrides): Promise<void> {
    const own = scope.child("callout");
    const config = { ...stack.config, ...(overrides as object) };
    const next = await hostService({ name: "authcallout", start: runAuthcallout, config, log: logins.log, scope: own });
    await callout.drain();
    callout = next;
  }

  describe("of another cluster", () => {
    it("is known by the row that Arvados puts into its database, and asked about once", async () => {
      const uuid = remote();
      const salted = saltedSecret("secret", "zzzzz");
      api.holders.set(`v2/${uuid}/${salted}`, { uuid, user: alice().uuid, seen: insert(uuid, salted, alice().uuid) });
      const who = await logins.whoIs(`v2/${uuid}/${salted}`);
      assert.deepEqual([who.user_uuid, who.token_uuid], [alice().uuid, uuid]);
      await logins.whoIs(`v2/${uuid}/${salted}`);
      assert.equal(api.asked.filter((path) => path === ACA).length, 1);
    });

    it("is not let in any more once that row is gone, whatever the API said before", async () => {
      const uuid = remote();
      const token = `v2/${uuid}/s`;
      api.holders.set(token, { uuid, user: alice().uuid, seen: insert(uuid, "s", alice().uuid) });
      const { nc } = await logins.login(token);
      api.holders.delete(token);
      await stack.arvados.deleteToken(uuid);
      await nc.closed();
      assert.equal(await refusalOf(token), "token.unknown");
    });

    it("is known without a row, with its own scopes, for as long as the API's word counts", async () => {
      const uuid = remote();
      const token = `v2/${uuid}/s`;
      api.holders.set(token, { uuid, user: alice().uuid, scopes: ["GET /"] });
      const begun = Date.now();
      const stalls = watchStalls();
      const { nc, whoami } = await logins.login(token);
      const who = await until(() => whoami().catch(() => null), "the gateway to know it");
      assert.deepEqual([who.user_uuid, who.token_uuid], [alice().uuid, uuid]);
      const again = await logins.login(token);
      assert.equal(api.asked.filter((path) => path === ACA).length, 1);
      await Promise.all([nc.closed(), again.nc.closed()]);
      const lived = Date.now() - begun;
      assert.ok(lived > KEEP_MS - 2_500 && lived < KEEP_MS + 500 + stalls(), `it lived ${lived} ms`);
      await logins.whoIs(token);
      assert.equal(
        api.asked.filter((path) => path === ACA).length,
        2,
        "the API is asked again about a session that comes back",
      );
    });

    it("is cut when a row for it comes that has another secret, and lives on with one that has its own", async () => {
      for (const [secret, isCut] of [
        ["other", true],
        ["s", false],
      ] as const) {
        const uuid = remote();
        const token = `v2/${uuid}/s`;
        api.holders.set(token, { uuid, user: alice().uuid });
        const session = await startListener(logins, token);
        const begun = performance.now();
        await insert(uuid, secret, alice().uuid)();
        const { value: collection } = await stack.arvados.tx((operations) =>
          operations.createCollection({ name: "after the row", owner: alice().uuid, by: alice().uuid }),
        );
        if (!isCut) await until(() => session.about(collection.uuid).length > 0, "an event behind the row");
        else {
          await session.nc.closed();
          assert.ok(performance.now() - begun < KEEP_MS / 2, "cut, not ended");
          assert.deepEqual(session.about(collection.uuid), []);
          assert.deepEqual(noticesTo(session), ["tokenUncertain"]);
          api.holders.delete(token);
        }
        await session.nc.close();
      }
    });

    it("is refused where its user is not active, or not there", async () => {
      const { uuid: inactive } = await stack.arvados.createUser({ username: "ines", isActive: false });
      await logins.isKnown((await stack.arvados.issueToken(alice().uuid)).v2);
      for (const user of [inactive, "yyyyy-tpzed-nobodynobodynob"]) {
        const uuid = remote();
        api.holders.set(`v2/${uuid}/s`, { uuid, user });
        assert.equal(await refusalOf(`v2/${uuid}/s`), "user.inactive");
      }
    });

    it("is refused where Arvados does not know it, and ones of our own are not asked about", async () => {
      assert.equal(await refusalOf(`v2/${remote()}/s`), "token.unknown");
      assert.equal(api.asked.length, 1);
      assert.equal(await refusalOf("v2/zzzzz-gj3su-nosuchtoken0000/s"), "token.unknown");
      assert.equal(api.asked.length, 1);
    });

    it("goes with its container, or not", async () => {
      const uuid = remote();
      const suffixed = `v2/${uuid}/s/${stack.cluster.container.uuid}`;
      api.holders.set(suffixed, { uuid, user: alice().uuid });
      assert.equal(await refusalOf(suffixed), "token.container");
    });
  });

  describe("of an OIDC provider", () => {
    it("is known by the row that Arvados puts into its database", async () => {
      const uuid = "zzzzz-gj3su-oidcrowoidcrow0";
      const stored = oidcSecret("oidc.with.row", stack.config.systemRootToken);
      api.holders.set("oidc.with.row", { uuid, user: alice().uuid, seen: insert(uuid, stored, alice().uuid) });
      const who = await logins.whoIs("oidc.with.row");
      assert.deepEqual([who.user_uuid, who.token_uuid], [alice().uuid, uuid]);
    });

    it("is cut like every other when its user loses a right, though no row stands for it", async () => {
      api.holders.set("oidc.of.bob", { uuid: "zzzzz-gj3su-oidcofbobnorow0", user: bob().uuid });
      const pattern = `arvados.zzzzz.live.${alice().uuid}.${stack.cluster.projects.genomes}.>`;
      await stack.demo.actions.share?.();
      const { nc } = await until(async () => {
        const { nc, whoami } = await logins.login("oidc.of.bob");
        const who = await until(() => whoami().catch(() => null), "the gateway to know it");
        if (who.grants.subscribe.includes(pattern)) return { nc };
        await nc.close();
        return null;
      }, "bob to have the share");
      const begun = performance.now();
      await stack.demo.actions.unshare?.();
      await nc.closed();
      assert.ok(performance.now() - begun < KEEP_MS / 2, "cut, not ended");
      const { grants } = await logins.whoIs("oidc.of.bob");
      assert.ok(!grants.subscribe.includes(pattern));
    });

    it("is cut when a row for it comes, with a notice that it may reconnect, which it does by the row", async () => {
      const uuid = "zzzzz-gj3su-comesandstays00";
      api.holders.set("oidc.comes", { uuid, user: alice().uuid });
      const session = await startListener(logins, "oidc.comes");
      await insert(uuid, oidcSecret("oidc.comes", stack.config.systemRootToken), alice().uuid)();
      await session.nc.closed();
      assert.deepEqual(noticesTo(session), ["tokenUncertain"]);
      api.state = "silent";
      assert.equal((await logins.whoIs("oidc.comes")).token_uuid, uuid);
    });

    it("is cut when a row for it comes and goes", async () => {
      const uuid = "zzzzz-gj3su-comesandgoes000";
      api.holders.set("oidc.comes.and.goes", { uuid, user: alice().uuid });
      const { nc } = await logins.login("oidc.comes.and.goes");
      const begun = performance.now();
      await insert(uuid, oidcSecret("oidc.comes.and.goes", stack.config.systemRootToken), alice().uuid)();
      api.holders.delete("oidc.comes.and.goes");
      await stack.arvados.deleteToken(uuid);
      await nc.closed();
      assert.ok(performance.now() - begun < KEEP_MS / 2, "cut, not ended");
      assert.equal(await refusalOf("oidc.comes.and.goes"), "token.unknown");
    });
  });

  describe("while the API has trouble", () => {
    it("gets an outage as the reason at once, and is never let in", async () => {
      for (const state of ["failing", "nonsense", "silent"] as const) {
        api.state = state;
        assert.equal(await refusalOf(`v2/${remote()}/s`), "lookup.unavailable", state);
      }
    });

    it("waits for nats-server's own timeout where outages are not to be spoken of", async () => {
      await restart({ onOutage: "abort", lookupTimeout: 500 });
      api.state = "failing";
      const begun = performance.now();
      assert.equal(await refusalOf(`v2/${remote()}/s`), "lookup.unavailable");
      assert.ok(performance.now() - begun > stack.config.authTimeout * 0.9);
      assert.equal(await refusalOf("v2/zzzzz-gj3su-nosuchtoken0000/s"), "token.unknown", "a refusal is one still");
    });

    it("is not asked about where the settings leave it out", async () => {
      await restart({ lookupKinds: "remote" });
      assert.equal(await refusalOf("another.oidc.token"), "token.unknown");
      await restart({ arvadosApiUrl: null });
      assert.equal(await refusalOf(`v2/${remote()}/s`), "token.unknown");
      assert.deepEqual(api.asked, []);
    });
  });

  describe("and the logs", () => {
    it("never meet", () => {
      assert.ok(logins.lines.length > 50 && api.holders.size > 5);
      for (const [token] of api.holders) for (const line of logins.lines) assert.ok(!line.includes(token), line);
    });
  });
});
