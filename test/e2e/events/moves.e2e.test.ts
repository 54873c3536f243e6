/** What changes and does not end a session: whether it gets a notice, and what it hears afterwards, before and after a new login. */
import assert from "node:assert/strict";
import type { CloseName } from "../../../core/close-codes.ts";
import { parseLsn } from "../../../core/lsn.ts";
import { until } from "../../../dev/testing/until.ts";
import { lsnOf, noticesTo, startListener } from "../../support/checks/listener.ts";
import { Logins } from "../../support/checks/logins.ts";
import { type Done, People, type Person } from "../../support/checks/people.ts";
import { startTestStack, type TestStack } from "../../support/worlds/stack.ts";

describe("a session", () => {
  let stack: TestStack;
  const logins = new Logins(() => stack);
  const people = new People(() => stack, logins);

  before(async () => {
    stack = await startTestStack({ log: logins.log });
  });
  after(() => stack?.[Symbol.asyncDispose]());

  describe("stays", () => {
    type Row<P extends Person = Person> = {
      when: string;
      given: () => Promise<P>;
      done: (one: P) => Promise<Done>;
      notice?: CloseName;
      /** Does it see what it saw before: as it is, and after a new login? */
      sees: boolean;
      afterwards?: boolean;
    };
    const row = <P extends Person>(one: Row<P>) => one as unknown as Row;
    const rows: Row[] = [
      row({
        when: "something else is shared, and gets a notice",
        given: people.withOwn,
        done: async ({ user }) =>
          stack.arvados.share(user, await people.project(people.alice), "can_read", { by: people.alice }),
        notice: "permissionsGrown",
        sees: true,
      }),
      row({
        when: "what was shared moves into another project, and gets a notice with the new place",
        given: people.withShare,
        done: async ({ project }) =>
          stack.arvados.move(project, await people.project(people.alice), { by: people.alice }),
        notice: "objectsMoved",
        sees: false,
        afterwards: true,
      }),
      row({
        when: "what was shared gets another owner, and gets a notice with the new place",
        given: people.withShare,
        done: async ({ project }) => stack.arvados.move(project, await people.user(), { by: people.alice }),
        notice: "objectsMoved",
        sees: false,
        afterwards: true,
      }),
      row({
        when: "a project moves from one share into another",
        given: async () => {
          const { user, ...share } = await people.withShare();
          const other = await people.project(people.alice);
          await stack.arvados.share(user, other, "can_read", { by: people.alice });
          const project = await people.project(share.project);
          return { ...(await people.person(user, await people.collection(project))), project, other };
        },
        done: ({ project, other }) => stack.arvados.move(project, other, { by: people.alice }),
        sees: true,
      }),
      row({
        when: "a project moves out of a share, but was shared by itself too",
        given: async () => {
          const { user, ...share } = await people.withShare();
          const project = await people.project(share.project);
          await stack.arvados.share(user, project, "can_read", { by: people.alice });
          return { ...(await people.person(user, await people.collection(project))), project };
        },
        done: ({ project }) => stack.arvados.move(project, people.alice, { by: people.alice }),
        notice: "objectsMoved",
        sees: false,
        afterwards: true,
      }),
      row({
        when: "one of two ways to the same goes",
        given: async () => {
          const one = await people.withRole();
          await stack.arvados.share(one.user, one.project, "can_read", { by: people.alice });
          return { ...one, ...(await people.person(one.user, one.sees)) };
        },
        done: ({ role, project }) => stack.arvados.unshare({ tail: role, head: project }),
        sees: true,
      }),
      row({
        when: "a project moves out of a share, and hears no more of it",
        given: async () => {
          const { user, ...share } = await people.withShare();
          const project = await people.project(share.project);
          return { ...(await people.person(user, await people.collection(project))), project };
        },
        done: ({ project }) => stack.arvados.move(project, people.alice, { by: people.alice }),
        sees: false,
      }),
      row({
        when: "what was shared goes to the trash",
        given: people.withShare,
        done: ({ project }) => stack.arvados.trash(project, { by: people.alice }),
        sees: true,
      }),
      row({
        when: "it goes to the trash within a frozen project, and hears no more of it",
        given: async () => {
          const one = await people.withShare();
          const project = await people.project(one.project);
          await stack.arvados.freeze(one.project, { by: people.alice });
          return { ...(await people.person(one.user, await people.collection(project))), project };
        },
        done: ({ project }) => stack.arvados.trash(project, { by: people.alice }),
        sees: false,
      }),
      row({
        when: "what was shared with everybody is taken back, and hears no more of it",
        given: async () => {
          const [user, project] = [await people.user(), await people.project(people.alice)];
          const sees = await people.collection(project);
          const { uuid } = await stack.arvados.share(stack.arvados.known.allUsersGroup, project, "can_read");
          return { ...(await people.person(user, sees)), link: uuid };
        },
        done: ({ link }) => stack.arvados.unshare(link),
        sees: false,
      }),
      row({
        when: "another token of its user ends",
        given: async () => {
          const one = await people.withOwn();
          return { ...one, other: (await stack.arvados.issueToken(one.user)).uuid };
        },
        done: ({ other }) => stack.arvados.deleteToken(other),
        sees: true,
      }),
      row({
        when: "its token was used",
        given: people.withOwn,
        done: ({ tokenUuid }) => stack.arvados.useToken(tokenUuid),
        sees: true,
      }),
      row({
        when: "a container ends that was given its token, which it sent without the container",
        given: async () => {
          const one = await people.container(true);
          return { ...one, token: one.plain };
        },
        done: ({ container }) => stack.arvados.completeContainer(container),
        sees: true,
      }),
    ];
    for (const { when, given, done, notice, sees, afterwards = sees } of rows) {
      it(`when ${when}`, async () => {
        const one = await given();
        const session = await people.hearing(one);
        await done(one);
        const before = session.about(one.sees).length;
        await people.update(one.sees);
        const marker = await people.collection(one.user);
        await until(() => session.about(marker).length > 0, "what was committed last");
        assert.equal(session.about(one.sees).length - before, Number(sees));
        if (notice) await until(() => session.notices.length > 0, "the notice");
        assert.deepEqual(noticesTo(session), notice ? [notice] : []);
        assert.ok(!session.nc.isClosed());
        await session.nc.close();
        const next = await startListener(logins, one.token);
        const { lsn } = await people.update(one.sees);
        const last = await people.collection(one.user);
        await until(() => next.about(last).length > 0, "what was committed last");
        const heard = next.about(one.sees).some((event) => lsnOf(event) >= parseLsn(lsn));
        assert.equal(heard, afterwards);
        await next.nc.close();
      });
    }
  });
});
