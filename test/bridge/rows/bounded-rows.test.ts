import assert from "node:assert/strict";
import { boundedChanges } from "../../../bridge/rows/bounded-rows.ts";
import { GraphWriter } from "../../../bridge/streams/graph-writer.ts";
import type { ContainerRow, LinkRow, Replacement, TokenRow } from "../../../core/rows.ts";
import { subjectsOf } from "../../../core/subjects.ts";

const LINK = "zzzzz-o0j2j-000000000000001";
const CONTAINER = "zzzzz-dz642-000000000000001";
const TOKEN = "zzzzz-gj3su-000000000000001";
const HUGE = "x".repeat(2_000_000);

const link = (more: Partial<LinkRow> = {}): LinkRow => ({
  id: 1,
  uuid: LINK,
  tail_uuid: "t",
  head_uuid: "h",
  name: "can_read",
  ...more,
});
const linkTo = (row: LinkRow | null, replaced: LinkRow | null = null): Replacement => ({
  kind: "link",
  uuid: LINK,
  row,
  replaced,
});
const container: ContainerRow = {
  id: 1,
  uuid: CONTAINER,
  state: "Running",
  auth_uuid: HUGE,
  runtime_token_sha256: null,
};
const token = (scopes: string[]): TokenRow => ({
  id: 1,
  uuid: TOKEN,
  user_uuid: "u",
  scopes,
  expires_at: null,
  refreshes_at: null,
  secret_sha256: "",
  salted_sha256: "",
});

describe("a row that is larger than nats-server accepts", () => {
  it("grants nothing, whether it is the new or the former row, and others are unchanged", () => {
    const small = linkTo(link());
    const { changes, over } = boundedChanges([
      small,
      linkTo(link({ name: HUGE })),
      linkTo(link(), link({ name: HUGE })),
    ]);
    assert.deepEqual(changes, [small, linkTo(null), linkTo(link(), null)]);
    assert.equal(over.length, 2);
  });

  it("of a container admits no token, like a deleted container", () => {
    const { changes } = boundedChanges([{ kind: "container", uuid: CONTAINER, row: container, replaced: null }]);
    const [{ row } = { row: null }] = changes;
    assert.ok(row && "state" in row && row.state === "unreadable");
  });

  it("of a token counts all of its scopes", () => {
    const scopes = Array.from({ length: 20_000 }, (_, n) => `GET /arvados/v1/collections/${n}`);
    const { changes } = boundedChanges([{ kind: "token", uuid: TOKEN, row: token(scopes), replaced: null }]);
    assert.equal(changes[0]?.row, null);
  });

  it("has no subject where its uuid is longer than any", () => {
    const uuid = HUGE;
    assert.deepEqual(boundedChanges([{ kind: "link", uuid, row: link({ uuid }), replaced: null }]).changes, []);
  });

  it("leaves GRAPH and GRAPHLOG messages that fit, and is named", async () => {
    const bodies: number[] = [];
    const publisher = {
      promisedSequence: 0,
      acknowledged: async () => {},
      push: (messages: { body: string; subject: string }[]) => {
        for (const { body, subject } of messages) bodies.push(body.length + subject.length);
        return 1;
      },
    };
    const logged: Replacement[] = [];
    const log = {
      write: async (changes: Replacement[]) => {
        logged.push(...changes);
        return 1;
      },
    };
    const named: string[] = [];
    const place = { epoch: 1, system: { id: "1", timeline: 1 } };
    const writer = new GraphWriter(publisher as never, log as never, subjectsOf("zzzzz"), place, ({ uuid }) =>
      named.push(uuid),
    );
    await writer.write([linkTo(link({ name: HUGE }), link({ head_uuid: HUGE }))], 1n, 0);
    assert.ok(Math.max(...bodies) < 1_000 && JSON.stringify(logged).length < 1_000);
    assert.deepEqual(named, [LINK]);
  });
});
