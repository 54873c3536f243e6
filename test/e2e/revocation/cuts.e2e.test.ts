/** Every reason for which a session ends: the notice it gets, that no later commit reaches it, and whether it may reconnect. */
import assert from "node:assert/strict";
import { runAuthcallout } from "../../../authcallout/main.ts";
import { CLOSE_CODES, type CloseName } from "../../../core/close-codes.ts";
import { parseLsn } from "../../../core/lsn.ts";
import { until } from "../../../dev/testing/until.ts";
import { createScope } from "../../../runtime/scope.ts";
import { hostService } from "../../../runtime/service-host.ts";
import { lsnOf, noticesTo } from "../../support/checks/listener.ts";
import { Logins } from "../../support/checks/logins.ts";
import { type Done, People, type Person } from "../../support/checks/people.ts";
import { AFTERMATH_MS, GRAVE_MS, watchStalls } from "../../support/servers/stalls.ts";
import { lateKicks } from "../../support/worlds/callout-process.ts";
import { type StackListener, startTestStack, type TestStack } from "../../support/worlds/stack.ts";

const AUDITORS = "zzzzz-j7d0g-auditors0000000";
const ANONYMOUS = "anonymoussecretanonymoussecret00";
const KICK_MS = 100;

describe("a session", () => {
  let stack: TestStack;
  let witness: StackListener;
  const logins = new Logins(() => stack);
  const people = new People(() => stack, logins);

  before(async () => {
    // An inactive user loses nothing else then.
    const settings = { roles: `${AUDITORS}=auditor`, roleGroupsVisibleToAll: false };
    const overrides = { ...settings, anonymousUserToken: ANONYMOUS, guessesPerMinute: 100_000 };
    // Late enough that whatever does not wait for a cut comes before it.
    stack = await startTestStack({ log: logins.log, overrides, authcallout: { system: lateKicks(KICK_MS) } });
    witness = await stack.witness();
    await stack.arvados.tx(async (operations, tx) => {
      const { uuid } = await operations.createRole({ name: "auditors" });
      for (const end of ["head_uuid", "tail_uuid"])
        await tx.query(`UPDATE links SET ${end} = $1 WHERE ${end} = $2`, [AUDITORS, uuid]);
      await tx.query("UPDATE groups SET uuid = $1 WHERE uuid = $2", [AUDITORS, uuid]);
    });
  });
  after(() => stack?.[Symbol.asyncDispose]());

  describe("is cut", () => {
    type Row<P extends Person = Person> = {
      when: string;
      given: () => Promise<P>;
      done: (one: P) => Promise<Done>;
      notice: CloseName;
      /** The code for which it may not come back. */
      refusal?: string;
    };
    const row = <P extends Person>(one: Row<P>) => one as unknown as Row;
    const rows: Row[] = [
      row({
        when: "what was shared is taken back",
        given: people.withShare,
        done: ({ link }) => stack.arvados.unshare(link, { by: people.alice }),
        notice: "permissionsChanged",
      }),
      row({
        when: "the link goes past the models",
        given: people.withShare,
        done: ({ link }) => people.raw("DELETE FROM links WHERE uuid = $1", link),
        notice: "permissionsChanged",
      }),
      row({
        when: "the link's name becomes one that gives nothing",
        given: people.withShare,
        done: ({ link }) => people.raw("UPDATE links SET name = 'can_sing' WHERE uuid = $1", link),
        notice: "permissionsChanged",
      }),
      row({
        when: "what was shared is deleted",
        given: people.withShare,
        done: ({ project }) => stack.arvados.deleteObject(project),
        notice: "permissionsChanged",
      }),
      row({
        when: "its user leaves the role",
        given: people.withRole,
        done: ({ user, role }) => stack.arvados.removeFromRole(user, role),
        notice: "permissionsChanged",
      }),
      row({
        when: "the role loses what it was given",
        given: people.withRole,
        done: ({ role, project }) => stack.arvados.unshare({ tail: role, head: project }),
        notice: "permissionsChanged",
      }),
      row({
        when: "the role goes to the trash",
        given: people.withRole,
        done: ({ role }) => stack.arvados.trash(role),
        notice: "permissionsChanged",
      }),
      row({
        when: "a user whom its user manages is managed by others",
        given: async () => {
          const [manager, other] = [await people.user(), await people.user()];
          const sees = await people.collection(other);
          const { uuid: link } = await stack.arvados.share(manager, other, "can_manage");
          return { ...(await people.person(manager, sees)), link };
        },
        done: ({ link }) => stack.arvados.unshare(link),
        notice: "permissionsChanged",
      }),
      row({
        when: "a user whom its user owns moves to another owner",
        given: async () => {
          const [owner, other] = [await people.user(), await people.user()];
          const sees = await people.collection(other);
          await stack.arvados.move(other, owner);
          return { ...(await people.person(owner, sees)), other };
        },
        done: ({ other }) => stack.arvados.move(other, stack.arvados.known.rootUser),
        notice: "permissionsChanged",
      }),
      row({
        when: "the flag of an admin is taken",
        given: async () => people.person(await people.user({ isAdmin: true }), await people.collection(people.alice)),
        done: ({ user }) => stack.arvados.setAdmin(user, false),
        notice: "permissionsChanged",
      }),
      row({
        when: "its user leaves a group to which the settings give a role",
        given: async () => {
          const user = await people.user();
          await stack.arvados.addToRole(user, AUDITORS);
          return people.person(user, await people.collection(people.alice));
        },
        done: ({ user }) => stack.arvados.removeFromRole(user, AUDITORS),
        notice: "permissionsChanged",
      }),
      row({
        when: "its token's scopes are changed",
        given: people.withOwn,
        done: ({ tokenUuid }) => stack.arvados.setTokenScopes(tokenUuid, ["GET /arvados/v1/users/current"]),
        notice: "permissionsChanged",
      }),
      row({
        when: "its user, of such a group, is set inactive and nothing else",
        given: async () => {
          const user = await people.user();
          await stack.arvados.addToRole(user, AUDITORS);
          return people.person(user, await people.collection(people.alice));
        },
        done: ({ user }) => people.raw("UPDATE users SET is_active = false WHERE uuid = $1", user),
        notice: "permissionsChanged",
      }),
      row({
        when: "its user is merged into another, who has the token then",
        given: people.withOwn,
        done: async ({ user }) => stack.arvados.mergeUser(user, await people.user()),
        notice: "permissionsChanged",
      }),
      row({
        when: "its user is deactivated",
        given: people.withOwn,
        done: ({ user }) => stack.arvados.deactivateUser(user),
        notice: "userDeactivated",
        refusal: "token.unknown",
      }),
      row({
        when: "its user is deleted",
        given: people.withOwn,
        done: ({ user }) => stack.arvados.deleteObject(user),
        notice: "userDeactivated",
        refusal: "token.user",
      }),
      row({
        when: "its user is merged into another, who does not get the token",
        given: people.withOwn,
        done: async ({ user }) =>
          people.raw(
            "UPDATE users SET redirect_to_user_uuid = $2, is_active = false WHERE uuid = $1",
            user,
            await people.user(),
          ),
        notice: "userDeactivated",
        refusal: "token.user",
      }),
      row({
        when: "its token is deleted",
        given: people.withOwn,
        done: ({ tokenUuid }) => stack.arvados.deleteToken(tokenUuid),
        notice: "tokenEnded",
        refusal: "token.unknown",
      }),
      row({
        when: "its token is deleted past the models",
        given: people.withOwn,
        done: ({ tokenUuid }) => people.raw("DELETE FROM api_client_authorizations WHERE uuid = $1", tokenUuid),
        notice: "tokenEnded",
        refusal: "token.unknown",
      }),
      row({
        when: "its token, which it sent without a uuid, is deleted past the models",
        given: async () => {
          const one = await people.withOwn();
          return { ...one, token: one.token.split("/")[2] as string };
        },
        done: ({ tokenUuid }) => people.raw("DELETE FROM api_client_authorizations WHERE uuid = $1", tokenUuid),
        notice: "tokenEnded",
        refusal: "token.unknown",
      }),
      row({
        when: "its user logs out",
        given: people.withOwn,
        done: ({ tokenUuid }) => stack.arvados.logoutToken(tokenUuid),
        notice: "tokenEnded",
        refusal: "token.expired",
      }),
      row({
        when: "its token is ended through the API",
        given: people.withOwn,
        done: ({ tokenUuid }) => stack.arvados.expireToken(tokenUuid),
        notice: "tokenEnded",
        refusal: "token.expired",
      }),
      row({
        when: "the container ends whose token it has",
        given: () => people.container(false),
        done: ({ container }) => stack.arvados.completeContainer(container),
        notice: "tokenEnded",
        refusal: "token.expired",
      }),
      row({
        when: "the container ends whose token it has, sent without the container",
        given: async () => {
          const one = await people.container(false);
          return { ...one, token: one.plain };
        },
        done: ({ container }) => stack.arvados.completeContainer(container),
        notice: "tokenEnded",
        refusal: "token.expired",
      }),
      row({
        when: "the container ends that was given its token",
        given: () => people.container(true),
        done: ({ container }) => stack.arvados.completeContainer(container),
        notice: "tokenEnded",
        refusal: "token.container",
      }),
      row({
        when: "the container goes back to the queue that was given its token",
        given: () => people.container(true),
        done: ({ container }) => people.raw("UPDATE containers SET state = 'Queued' WHERE uuid = $1", container),
        notice: "tokenEnded",
        refusal: "token.container",
      }),
    ];
    for (const { when, given, done, notice, refusal } of rows) {
      it(`when ${when}`, async () => {
        const one = await given();
        const session = await people.hearing(one);
        const { lsn } = await done(one);
        const seen = witness.events.length;
        await people.update(one.sees);
        await session.nc.closed();
        await witness.event(one.sees, seen);
        const { code, reconnect } = CLOSE_CODES[notice];
        assert.deepEqual(
          session.notices.map((notice) => [notice.notice, notice.code, notice.reconnect]),
          [[notice, code, reconnect]],
        );
        const later = session.events.filter((event) => lsnOf(event) > parseLsn(lsn));
        assert.deepEqual(later, []);
        assert.equal(reconnect, refusal === undefined, "the table says whether it may come back");
        if (refusal === undefined) await (await logins.login(one.token)).nc.close();
        else assert.equal(await logins.refusalOf(() => logins.login(one.token)), refusal);
      });
    }

    it("when its token has to be vouched for again, and may reconnect once it is", async () => {
      const one = await people.withOwn();
      const session = await people.hearing(one);
      const refreshed = (at: string) =>
        people.raw("UPDATE api_client_authorizations SET refreshes_at = $2 WHERE uuid = $1", one.tokenUuid, at);
      await refreshed("2000-01-01");
      await session.nc.closed();
      assert.deepEqual(noticesTo(session), ["tokenUncertain"]);
      assert.equal(await logins.refusalOf(() => logins.login(one.token)), "token.refresh");
      await refreshed("2100-01-01");
      const back = await until(() => logins.login(one.token).catch(() => null), "it to come back");
      await back.nc.close();
    });
  });

  describe("with a token that ends by itself", () => {
    const SOON_MS = 10_000;
    type Column = "expires_at" | "refreshes_at";
    type Row = {
      when: string;
      column: Column;
      /** What is set before the login, and what while the session lives; left out: never. */
      first?: "soon";
      later?: "soon" | "late";
      bare?: boolean;
      notice: CloseName[];
      refusal?: string;
    };
    const rows: Row[] = [
      {
        when: "it stood at the login",
        column: "expires_at",
        first: "soon",
        notice: ["tokenEnded"],
        refusal: "token.expired",
      },
      {
        when: "it was set later",
        column: "expires_at",
        later: "soon",
        notice: ["tokenEnded"],
        refusal: "token.expired",
      },
      {
        when: "it was set later, of a token sent without its uuid",
        column: "expires_at",
        later: "soon",
        bare: true,
        notice: ["tokenEnded"],
        refusal: "token.expired",
      },
      {
        when: "by then it has to be vouched for again",
        column: "refreshes_at",
        first: "soon",
        notice: ["tokenUncertain"],
        refusal: "token.refresh",
      },
      { when: "it was put off", column: "expires_at", first: "soon", later: "late", notice: [] },
      { when: "it has been vouched for again", column: "refreshes_at", first: "soon", later: "late", notice: [] },
    ];
    let ended: Awaited<ReturnType<typeof life>>[];
    before(async () => {
      ended = await Promise.all(rows.map(life));
    });

    /** A session of such a token, from its begin to its end. */
    async function life({ column, first, later, bare }: Row) {
      const stalls = watchStalls();
      const end = Date.now() + SOON_MS;
      const times = { soon: new Date(end).toISOString().replace("Z", ""), late: "2100-01-01" };
      const sql = `UPDATE api_client_authorizations SET ${column} = $2 WHERE uuid = $1`;
      const user = await people.user();
      const { value } = await stack.arvados.tx(async (operations, tx) => {
        const token = await operations.issueToken(user);
        if (first) await tx.query(sql, [token.uuid, times[first]]);
        return token;
      });
      const token = bare ? value.secret : value.v2;
      const sees = await people.collection(user);
      const session = await people.hearing({ user, token, tokenUuid: value.uuid, sees });
      if (later) await people.raw(sql, value.uuid, times[later]);
      await session.nc.closed();
      return { token, sees, session, end, closedAt: Date.now(), stalled: stalls() };
    }

    for (const [place, { when, first, notice, refusal }] of rows.entries()) {
      it(`ends before it${refusal ? ", and knows why," : ", and may come back,"} when ${when}`, async () => {
        const { token, sees, session, end, closedAt, stalled } = ended[place] as (typeof ended)[number];
        const isDisturbed = stalled > GRAVE_MS;
        const borne = isDisturbed ? stalled + AFTERMATH_MS : 0;
        assert.ok(
          closedAt < end + borne,
          `it ended ${closedAt - end} ms after its token, ${stalled} of them in stalls`,
        );
        // After a stall nats-server may come first, which says nothing; of an end that was set later it does not know.
        const isSilent = isDisturbed && first === "soon" && session.notices.length === 0;
        if (!isSilent) assert.deepEqual(noticesTo(session), notice);
        await until(() => Date.now() > end, "the end");
        const [heard, seen] = [session.about(sees).length, witness.events.length];
        await people.update(sees);
        await witness.event(sees, seen);
        assert.equal(session.about(sees).length, heard);
        if (refusal) assert.equal(await logins.refusalOf(() => logins.login(token)), refusal);
        else await (await logins.login(token)).nc.close();
      });
    }
  });

  // Last, since another callout stands in for the first then.
  describe("of an anonymous user", () => {
    it("is cut when the settings allow no anonymous user any more", async () => {
      const [user, project] = [stack.arvados.known.anonymousUser, await people.project(people.alice)];
      const sees = await people.collection(project);
      await stack.arvados.share(stack.arvados.known.anonymousGroup, project, "can_read");
      // Whoever knows of a later token knows of the share.
      await (await people.hearing(await people.withOwn())).nc.close();
      const session = await people.hearing({ user, token: ANONYMOUS, tokenUuid: "", sees });
      await using scope = createScope();
      const config = { ...stack.config, anonymousUserToken: "" };
      await hostService({ name: "authcallout", start: runAuthcallout, config, log: logins.log, scope });
      await stack.services.authcallout.drain();
      await session.nc.closed();
      assert.deepEqual(noticesTo(session), ["tokenEnded"]);
      assert.equal(await logins.refusalOf(() => logins.login(ANONYMOUS)), "token.unknown");
    });
  });
});
