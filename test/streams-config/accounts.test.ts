import assert from "node:assert/strict";
import {
  ACCOUNT_NAMES,
  ACCOUNTS,
  accountExports,
  accountOf,
  NATS_SERVICE_NAMES,
  SERVICE_ACCOUNTS,
  serviceInbox,
  servicePermissions,
  serviceUsers,
} from "../../streams-config/accounts.ts";

const users = serviceUsers(servicePermissions("zzzzz"));

describe("accounts", () => {
  it("have a reason each", () => {
    for (const account of ACCOUNT_NAMES) assert.match(ACCOUNTS[account].why, /\w{3,} \w/);
    for (const share of accountExports("zzzzz")) assert.match(share.why, /\w{3,} \w/);
  });

  it("hold no service where users are: users cannot take a service's place", () => {
    assert.deepEqual(
      users.filter(({ account }) => accountOf(account) === "APP"),
      [],
    );
  });

  it("keep JetStream away from users", () => {
    assert.equal(ACCOUNTS.APP.jetstream, false);
  });

  it("let nothing cross but live, queue, log and sys from and to STORE, and requests, answers and notices at the DOOR", () => {
    const crossing = accountExports("zzzzz").map(({ kind, subject, from, to }) => `${kind} ${subject} ${from} ${to}`);
    assert.deepEqual(crossing.sort(), [
      "service arvados.zzzzz.log.> STORE APP",
      "service arvados.zzzzz.sys.> STORE APP",
      "stream _INBOX.> DOOR APP",
      "stream arvados.zzzzz.api.> APP DOOR",
      "stream arvados.zzzzz.live.> STORE APP",
      "stream arvados.zzzzz.notice.> DOOR APP",
      "stream arvados.zzzzz.queue.> STORE APP",
    ]);
  });
});

describe("permissions of services", () => {
  it("exist for each service in each account it works in", () => {
    const places = users.map(({ service, account }) => `${service} ${account}`);
    assert.deepEqual(
      places,
      NATS_SERVICE_NAMES.flatMap((service) => SERVICE_ACCOUNTS[service].map((account) => `${service} ${account}`)),
    );
  });

  it("are never an empty list, which would allow everything, and never end in `*`, which would admit `>`", () => {
    for (const { service, account, value } of users) {
      for (const subjects of [value.publish, value.subscribe]) {
        assert.ok(subjects.length > 0, `${service} in ${account}`);
        for (const subject of subjects) assert.doesNotMatch(subject, /(^|\.)\*$|^>$/, `${service} in ${account}`);
      }
    }
  });

  it("give login requests to authcallout alone", () => {
    const readers = users.filter(({ value }) =>
      value.subscribe.some((subject) => subject.startsWith("$SYS.REQ.USER.")),
    );
    assert.deepEqual(
      readers.map(({ service, account }) => `${service} ${account}`),
      ["authcallout CORE"],
    );
  });

  it("give the graph, marks and records to the bridge alone", () => {
    for (const subject of ["graph.>", "barrier.mark", "beat", "rec.>", "moved.>", "queue.>"]) {
      const writers = users.filter(({ value }) => value.publish.includes(`arvados.zzzzz.${subject}`));
      assert.deepEqual(
        writers.map(({ service }) => service),
        ["bridge"],
        subject,
      );
    }
  });

  it("let nobody delete or purge, and only `streams` create or update", () => {
    for (const { service, value } of users) {
      for (const subject of value.publish) {
        assert.doesNotMatch(subject, /^\$JS\.API\.(>|STREAM\.(>|\*|PURGE|DELETE|MSG\.DELETE|RESTORE|SNAPSHOT))/);
        if (service !== "streams") assert.doesNotMatch(subject, /^\$JS\.API\.STREAM\.(CREATE|UPDATE)/);
      }
    }
  });

  it("let each service listen for replies in its own inbox only", () => {
    for (const { service, value } of users) {
      const inboxes = value.subscribe.filter((subject) => subject.startsWith("_INBOX"));
      assert.deepEqual(inboxes, [`${serviceInbox(service)}.>`]);
    }
  });
});
