/** Who is let in, with what, and what a refused client and its admin get to know. */
import assert from "node:assert/strict";
import { errors } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import { connectOptions, sessionId } from "../../../client/mod.ts";
import { oidcSecret } from "../../../core/token/token.ts";
import { openLogWriter } from "../../../dev/log-writer.ts";
import { until } from "../../../dev/testing/until.ts";
import { createLog } from "../../../runtime/log/log.ts";
import { startTestStack, type TestStack } from "../../support/worlds/stack.ts";

describe("a login", () => {
  let stack: TestStack;
  const lines: string[] = [];
  const said = (part: string) => until(() => lines.find((line) => line.includes(part)), `the log to say ${part}`);

  before(async () => {
    const log = createLog({ level: "debug", format: "json", sink: { write: (line) => lines.push(line) } });
    stack = await startTestStack({ log });
  });
  after(() => stack?.[Symbol.asyncDispose]());

  async function login(token: string, sid = sessionId()) {
    return connect({ servers: stack.nats.url, ...(await connectOptions(token, sid)), reconnect: false });
  }
  async function assertRefused(token: string, code: string, sid?: string) {
    lines.length = 0;
    await assert.rejects(login(token, sid), (error) => error instanceof errors.AuthorizationError);
    await said(code);
  }

  it("with an unknown token is an Authorization Violation, and its reason stands in our log without the secret", async () => {
    await assertRefused("v2/zzzzz-gj3su-000000000000001/verysecretindeed", "token.unknown");
    assert.ok(!lines.some((line) => line.includes("verysecretindeed")));
    await said("zzzzz-gj3su-000000000000001");
  });

  it("with an OIDC token that Arvados has stored is found by the gateway, outlives others' removals, and ends with its scopes", async () => {
    const { uuid: user } = stack.cluster.users.alice;
    const { uuid } = await stack.arvados.issueToken(user);
    const access = "oidc.access.token.of.alice";
    const stored = oidcSecret(access, stack.config.systemRootToken);
    await stack.arvados.tx((_, tx) =>
      tx.query("UPDATE api_client_authorizations SET api_token = $1 WHERE uuid = $2", [stored, uuid]),
    );
    const nc = await until(() => login(access).catch(() => null), "the token to be known");
    const client = await stack.connectClient(access);
    const who = await until(() => client.whoami().catch(() => null), "the gateway to know it");
    assert.deepEqual([who.user_uuid, who.token_uuid], [user, uuid]);
    await stack.demo.actions.share?.();
    await stack.demo.actions.unshare?.();
    const witness = await stack.witness();
    await stack.demo.actions.update?.();
    await until(() => witness.events.length > 0, "what stands behind the removal");
    assert.ok(!nc.isClosed(), "a round of cutting leaves it alone");
    await stack.arvados.setTokenScopes(uuid, ["GET /arvados/v1/users/current"]);
    await nc.closed();
  });

  it("ends with its token, wherever that was ended", async () => {
    for (const end of ["deleteToken", "expireToken", "logoutToken"] as const) {
      const token = await stack.arvados.issueToken(stack.cluster.users.alice.uuid);
      const nc = await until(() => login(token.v2).catch(() => null), "the new token to be known");
      await stack.arvados[end](token.uuid);
      await nc.closed();
      await assert.rejects(login(token.v2), (error) => error instanceof errors.AuthorizationError, end);
    }
  });

  it("of a container may write its own log, and nothing else anywhere", async () => {
    const { container, clusterId } = stack.cluster;
    const options = { url: stack.nats.url, clusterId, token: container.token.withContainer };
    const own = await openLogWriter({ ...options, container: container.uuid, file: "stdout.txt" });
    await own.write("mine\n");
    await own.close();
    const other = await openLogWriter({ ...options, container: "zzzzz-dz642-000000000000001", file: "stdout.txt" });
    await assert.rejects(other.write("not mine\n"));
    await other.close();
  });

  it("leaves no secret in any log", async () => {
    const { users, container } = stack.cluster;
    const secrets = [
      users.alice.token.secret,
      users.bob.token.secret,
      container.token.secret,
      stack.config.systemRootToken,
    ];
    const { config } = stack;
    secrets.push(config.issuerSeed, config.xkeySeed, config.nkeys.bridge.CORE, config.nkeys.authcallout.SYS);
    await (await stack.connectClient(users.alice.token.v2)).whoami();
    for (const line of lines) for (const secret of secrets) assert.ok(!line.includes(secret), line);
    assert.ok(!lines.some((line) => /eyJ[A-Za-z0-9_-]{20}/.test(line)), "no JWT either");
  });
});
