/**
 * Every form in which a token is shown, and every column of its row: what becomes of the live session when the row changes past Arvados'
 * models. A session that was let in by a secret that the row has no more is cut, also by a callout that starts later.
 */
import assert from "node:assert/strict";
import { runAuthcallout } from "../../../authcallout/main.ts";
import { CLOSE_CODES, type CloseName } from "../../../core/close-codes.ts";
import { parseLsn } from "../../../core/lsn.ts";
import { oidcSecret, saltedSecret } from "../../../core/token/token.ts";
import { until } from "../../../dev/testing/until.ts";
import { createScope, type Scope } from "../../../runtime/scope.ts";
import { hostService } from "../../../runtime/service-host.ts";
import { type Listener, lsnOf, noticesTo } from "../../support/checks/listener.ts";
import { Logins } from "../../support/checks/logins.ts";
import { type Done, People, type Person } from "../../support/checks/people.ts";
import { type StackListener, startTestStack, type TestStack } from "../../support/worlds/stack.ts";

describe("a session whose token's row changes", () => {
  let stack: TestStack;
  let witness: StackListener;
  let scope: Scope;
  let count = 0;
  const logins = new Logins(() => stack);
  const people = new People(() => stack, logins);

  before(async () => {
    scope = createScope();
    stack = await startTestStack({ log: logins.log, overrides: { guessesPerMinute: 100_000 } });
    scope.defer("stack", () => stack[Symbol.asyncDispose]());
    witness = await stack.witness();
  });
  after(() => scope?.close());

  const row = (column: string) => `UPDATE api_client_authorizations SET ${column} = $2 WHERE uuid = $1`;
  const withToken = async (make: (secret: string, uuid: string) => string): Promise<Person> => {
    const one = await people.withOwn();
    return { ...one, token: make(one.token.split("/")[2] as string, one.tokenUuid) };
  };

  const FORMS = {
    v2: people.withOwn,
    bare: () => withToken((secret) => secret),
    salted: () => withToken((secret, uuid) => `v2/${uuid}/${saltedSecret(secret, "zzzzz")}`),
    "of an OIDC provider": async () => {
      const one = await people.withOwn();
      const token = `oidc.access.token.${++count}`;
      await people.raw(row("api_token"), one.tokenUuid, oidcSecret(token, stack.config.systemRootToken));
      return { ...one, token };
    },
    "made for a container": () => people.container(false),
    "made for a container, sent without it": async () => {
      const one = await people.container(false);
      return { ...one, token: one.plain };
    },
    "that a container was given": async () => {
      const one = await people.container(true);
      return { ...one, tokenUuid: one.plain.split("/")[1] as string };
    },
  } satisfies Record<string, () => Promise<Person>>;
  type Form = keyof typeof FORMS;

  type Change = {
    done: (one: Person) => Promise<Done>;
    notice: CloseName;
    /** The code for which the same token is not let in again; left out: it is. One of an OIDC provider is found by its secret alone. */
    refusal?: string;
    /** Forms for which the row is as good as before. */
    lives?: (form: Form) => boolean;
  };
  const CHANGES: Record<string, Change> = {
    api_token: {
      done: ({ tokenUuid }) => people.raw(row("api_token"), tokenUuid, `anothersecret${++count}`),
      notice: "tokenEnded",
      refusal: "token.unknown",
    },
    uuid: {
      done: ({ tokenUuid }) => people.raw(row("uuid"), tokenUuid, `zzzzz-gj3su-${String(++count).padStart(15, "0")}`),
      notice: "tokenEnded",
      refusal: "token.unknown",
      lives: (form) => form === "bare",
    },
    user_id: {
      done: async ({ tokenUuid }) =>
        people.raw(
          "UPDATE api_client_authorizations SET user_id = (SELECT id FROM users WHERE uuid = $2) WHERE uuid = $1",
          tokenUuid,
          await people.user(),
        ),
      notice: "permissionsChanged",
    },
    scopes: {
      done: ({ tokenUuid }) => people.raw(row("scopes"), tokenUuid, '["GET /arvados/v1/users/current"]'),
      notice: "permissionsChanged",
    },
    expires_at: {
      done: ({ tokenUuid }) => people.raw(row("expires_at"), tokenUuid, "2000-01-01"),
      notice: "tokenEnded",
      refusal: "token.expired",
    },
    refreshes_at: {
      done: ({ tokenUuid }) => people.raw(row("refreshes_at"), tokenUuid, "2000-01-01"),
      notice: "tokenUncertain",
      refusal: "token.refresh",
    },
  };

  /** Whether it has heard of a later commit by the time that the witness has. */
  async function judged(session: Listener, { lsn }: Done, { sees }: Person): Promise<void> {
    const seen = witness.events.length;
    await people.update(sees);
    await session.nc.closed();
    await witness.event(sees, seen);
    assert.deepEqual(
      session.events.filter((event) => lsnOf(event) > parseLsn(lsn)),
      [],
    );
  }

  for (const [column, { done, notice, refusal, lives }] of Object.entries(CHANGES)) {
    describe(column, () => {
      for (const form of Object.keys(FORMS) as Form[]) {
        const goesOn = lives?.(form) ?? false;
        it(`${goesOn ? "lives" : "is cut"}, where the token is ${form}`, async () => {
          const one = await FORMS[form]();
          const session = await people.hearing(one);
          const change = await done(one);
          if (goesOn) {
            const seen = session.about(one.sees).length;
            await people.update(one.sees);
            await until(() => session.about(one.sees).length > seen, "the next event");
            return session.nc.close();
          }
          await judged(session, change, one);
          assert.deepEqual(noticesTo(session), [notice]);
          assert.equal(CLOSE_CODES[notice].reconnect, refusal === undefined || notice === "tokenUncertain");
          const isFound = column === "uuid" && form === "of an OIDC provider";
          if (refusal && !isFound) assert.equal(await logins.refusalOf(() => logins.login(one.token)), refusal);
          else await (await logins.login(one.token)).nc.close();
        });
      }
    });
  }

  it("lives where the row is written and says the same as before", async () => {
    const one = await people.withOwn();
    const session = await people.hearing(one);
    const touch = "UPDATE api_client_authorizations SET last_used_at = now(), api_token = api_token WHERE uuid = $1";
    await people.raw(touch, one.tokenUuid);
    await people.raw(row("expires_at"), one.tokenUuid, "2100-01-01");
    const seen = session.about(one.sees).length;
    await people.update(one.sees);
    await until(() => session.about(one.sees).length > seen, "the next event");
    await session.nc.close();
  });

  it("is cut where the token becomes another user's who may do just the same", async () => {
    const sees = await people.collection(people.alice);
    const one = await people.person(await people.user({ isAdmin: true }), sees);
    const other = await people.user({ isAdmin: true });
    const session = await people.hearing(one);
    const change = await people.raw(
      "UPDATE api_client_authorizations SET user_id = (SELECT id FROM users WHERE uuid = $2) WHERE uuid = $1",
      one.tokenUuid,
      other,
    );
    await judged(session, change, one);
    assert.deepEqual(noticesTo(session), ["permissionsChanged"]);
    assert.equal((await logins.whoIs(one.token)).user_uuid, other);
  });

  it("is cut where the container that was given its token is given another one", async () => {
    const one = await people.container(true);
    const session = await people.hearing(one);
    const change = await people.raw(
      "UPDATE containers SET runtime_token = $2 WHERE uuid = $1",
      one.container,
      (await people.withOwn()).token,
    );
    await judged(session, change, one);
    assert.deepEqual(noticesTo(session), ["tokenEnded"]);
    assert.equal(await logins.refusalOf(() => logins.login(one.token)), "token.container");
  });

  // Last: another callout stands in for the first from then on.
  it("is cut by a callout that starts after its secret went, and nobody else is", async () => {
    const forms = Object.keys(FORMS) as Form[];
    const ones = await Promise.all(forms.map((form) => FORMS[form]()));
    const sessions = await Promise.all(ones.map((one) => people.hearing(one)));
    const bystander = await people.withOwn();
    const staying = await people.hearing(bystander);
    await stack.services.authcallout.drain();
    for (const one of ones) await CHANGES.api_token?.done(one);
    await hostService({ name: "authcallout", start: runAuthcallout, config: stack.config, log: logins.log, scope });
    await Promise.all(sessions.map((session) => session.nc.closed()));
    for (const session of sessions) assert.deepEqual(noticesTo(session), ["tokenEnded"]);
    const seen = staying.about(bystander.sees).length;
    await people.update(bystander.sees);
    await until(() => staying.about(bystander.sees).length > seen, "the next event");
    await staying.nc.close();
  });
});
