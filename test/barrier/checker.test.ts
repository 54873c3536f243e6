/** The checker finds each kind of fault in a made history: else its silence would mean nothing. */
import assert from "node:assert/strict";
import { C, G, L, U } from "../core/graph/cast.ts";
import type { ColumnTexts, DecodedChange } from "../support/servers/pgoutput.ts";
import { type BarrierFinding, checkRound, type Heard, type RecordedSession } from "./checker.ts";
import { History } from "./history.ts";

let ids = 0;
const row = (table: string, columns: ColumnTexts): DecodedChange => ({
  table,
  op: "insert",
  columns: { id: String(++ids), ...columns },
});
const user = (name: string, is_admin = "f") =>
  row("users", { uuid: U(name), owner_uuid: U("root"), is_admin, is_active: "t" });
const collection = (name: string, owner_uuid: string) => row("collections", { uuid: C(name), owner_uuid });
const share = row("links", {
  uuid: L("share"),
  owner_uuid: U("root"),
  link_class: "permission",
  name: "can_read",
  tail_uuid: U("bob"),
  head_uuid: G("plan"),
});
const plan = row("groups", { uuid: G("plan"), owner_uuid: U("ann"), group_class: "project" });
const [c, d, marker] = [collection("c", G("plan")), collection("d", G("plan")), collection("marker", U("bob"))];
const change = (of: DecodedChange, op: "update" | "delete", columns: ColumnTexts = {}): DecodedChange[] => {
  const { id, uuid, ...rest } = { ...of.columns, ...columns };
  const tells = row("logs", { object_uuid: uuid ?? "", event_type: op, properties: "{}" });
  return [
    { table: of.table, op, columns: op === "delete" ? { id: id ?? "" } : { id: id ?? "", uuid: uuid ?? "", ...rest } },
    tells,
  ];
};

/** Bob's right to ann's project comes with the first state and goes at the fourth commit; all is changed once at the end. */
const COMMITS: [lsn: bigint, changes: DecodedChange[]][] = [
  [1n, change(marker, "update")],
  [2n, change(c, "update")],
  [3n, [...change(c, "update"), ...change(d, "update")]],
  [4n, change(share, "delete")],
  [5n, change(c, "update")],
  [6n, change(d, "delete")],
  [7n, change(marker, "update")],
];
const QUIET = { from: 6n, to: 7n };
const timeOf = (lsn: bigint) => 1_000 * Number(lsn);

function history(commits = COMMITS): History {
  const made = new History([user("root", "t"), user("ann"), user("bob"), plan, share, c, d, marker], true);
  for (const [lsn, changes] of commits) made.add({ lsn: `0/${lsn}`, time: timeOf(lsn), changes });
  return made;
}

const LIVE = "arvados.zzzzz.live.";
const IN_PLAN = `${LIVE}${U("ann")}.${G("plan")}.`;
const OWN = `${LIVE}${U("bob")}.`;
let sequence = 0;
const event = (lsn: bigint, object: string, type: string, place: string, resource = "collections"): Heard => ({
  subject: `${place}${object}.${resource}`,
  sequence: ++sequence,
  lsn,
  eventId: `0/${lsn}:${sequence}`,
  object,
  type,
});
const mark = event(1n, C("marker"), "update", OWN);
const first = event(2n, C("c"), "update", IN_PLAN);
const both = [event(3n, C("c"), "update", IN_PLAN), event(3n, C("d"), "update", IN_PLAN)] as const;
const unshared = event(4n, L("share"), "delete", `${LIVE}${U("root")}.`, "links");
const later = event(5n, C("c"), "update", IN_PLAN);
const deleted = event(6n, C("d"), "delete", IN_PLAN);
const quiet = event(7n, C("marker"), "update", OWN);
const RECORDS = [mark, first, ...both, unshared, later, deleted, quiet];

function session(heard: readonly Heard[], more: Partial<RecordedSession> = {}): RecordedSession {
  const patterns = [`${IN_PLAN}>`, `${OWN}>`];
  const withPattern = heard.map((one) => ({
    ...one,
    at: timeOf(one.lsn),
    pattern: one.subject.startsWith(OWN) ? `${OWN}>` : `${IN_PLAN}>`,
  }));
  return {
    user: U("bob"),
    name: "bob",
    opened: 0,
    patterns,
    since: 1n,
    lives: false,
    heeds: true,
    ...more,
    heard: withPattern,
  };
}
/** Bob's sessions: until he is cut, and after he has come back with what is his own. */
const before = session([mark, first, ...both]);
const after = session([quiet], { opened: timeOf(5n), patterns: [`${OWN}>`], since: 6n, lives: true });

const findings = (sessions: RecordedSession[]): BarrierFinding[] =>
  checkRound(history(), { sessions, records: RECORDS, quiet: QUIET });
const kinds = (...sessions: RecordedSession[]) => [...new Set(findings(sessions).map(({ what }) => what))];

describe("the barrier's checker", () => {
  it("is silent where everybody saw what he might, and nothing else", () => {
    assert.deepEqual(findings([before, after]), []);
    assert.deepEqual(
      kinds(session([mark])),
      [],
      "what comes after the last event may have been lost with the connection",
    );
    assert.deepEqual(
      kinds(session([both[0], both[1]], { since: 2n })),
      [],
      "nothing from before the marker is expected",
    );
  });

  const faults: Record<string, [BarrierFinding["what"], RecordedSession]> = {
    "an event of after the right's end": ["leaked", session([mark, first, ...both, later])],
    "a deletion of after the right's end": ["leaked", session([mark, first, ...both, later, deleted])],
    "an event that is missing": ["missed", session([mark, ...both])],
    "half a commit": ["torn", session([mark, first, both[1]])],
    "a client that hears nothing": ["withheld", { ...after, heard: [] }],
    "an event that came twice": ["repeated", session([mark, first, first, ...both])],
    "events out of order": ["out of order", session([mark, ...both, first])],
    "an event of no commit": [
      "foreign",
      session([mark, first, ...both, { ...both[1], lsn: 9n, sequence: unshared.sequence }]),
    ],
  };
  for (const [name, [what, faulty]] of Object.entries(faults)) {
    it(`finds ${name}`, () => assert.deepEqual(kinds(faulty, after), [what]));
  }

  it("takes log rows of any content, which anybody may write", () => {
    const contents = ["not json", "null", "[]", '{"old_attributes":{"owner_uuid":{}}}', "[".repeat(10_000), null];
    const rows = contents.map((properties) => row("logs", { object_uuid: null, event_type: null, properties }));
    const forged = history([...COMMITS, [8n, rows]]);
    assert.deepEqual(checkRound(forged, { sessions: [before, after], records: RECORDS, quiet: QUIET }), []);
  });

  it("lets a login that is later than a commit hear it by the rights at that moment, as by history", () => {
    const again = history([...COMMITS, [8n, [share]]]);
    const late = (opened: number) => session([later], { opened, since: null });
    const judged = (one: RecordedSession) =>
      checkRound(again, { sessions: [one], records: [], quiet: { from: 8n, to: 8n } }).length;
    assert.equal(judged(late(timeOf(8n))), 0);
    assert.equal(judged(late(timeOf(7n))), 1, "not before the right came back");
  });

  it("lets what is said of a permission link go where the link's head lives when it is said", () => {
    const link = row("links", { ...share.columns, uuid: L("other"), tail_uuid: U("ann"), head_uuid: C("c") });
    const logged = row("logs", { object_uuid: L("other"), event_type: "create", properties: "{}" });
    const moved = history([...COMMITS, [8n, [link, logged]], [9n, change(c, "update", { owner_uuid: U("bob") })]]);
    const place = `${LIVE}@manage.${U("bob")}.@.${C("c")}.`;
    const heard = (at: number) => {
      const one = session([event(8n, L("other"), "create", place, "links")], { since: null });
      return { ...one, heard: one.heard.map((message) => ({ ...message, at })) };
    };
    const judged = (one: RecordedSession) =>
      checkRound(moved, { sessions: [one], records: [], quiet: { from: 9n, to: 9n } }).length;
    assert.equal(judged(heard(timeOf(9n))), 0);
    assert.equal(judged(heard(timeOf(8n))), 1, "not before it has moved there");
  });

  describe("knows that deletions reach those who may read what the last owner owns (docs/arvados-permissions.md 6)", () => {
    it("so that of a permission link, which root owns, only admins hear", () => {
      assert.equal(share.columns.owner_uuid, U("root"));
      const heard = [{ ...unshared, pattern: `${LIVE}>`, at: timeOf(unshared.lsn) }];
      const by = (name: string) => ({ ...session([]), user: U(name), name, patterns: [], heard });
      assert.deepEqual(kinds(by("bob")), ["leaked"], "though the link was about him");
      assert.deepEqual(kinds(by("ann")), ["leaked"], "though she manages what it shared");
      assert.deepEqual(kinds(by("root")), []);
    });
  });
});
