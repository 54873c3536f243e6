/** Nobody locks somebody else out by giving: more single shares than one session can carry. */
import assert from "node:assert/strict";
import { until } from "../../../dev/testing/until.ts";
import { startTestStack, type TestStack } from "../../support/worlds/stack.ts";

const SHARES = 4_001;
const uuid = (infix: string) => `'zzzzz-${infix}-many' || lpad(n::text, 11, '0')`;
const each = `FROM generate_series(1, ${SHARES}) AS n`;
const collection = (n: number) => `zzzzz-4zz18-many${String(n).padStart(11, "0")}`;

describe("a user with whom the owner of 4,001 collections shares each", () => {
  let stack: TestStack;
  before(async () => {
    stack = await startTestStack();
  });
  after(() => stack?.[Symbol.asyncDispose]());

  async function shareEach(): Promise<void> {
    const { alice, bob } = stack.cluster.users;
    await stack.arvados.tx(async (_, tx) => {
      await tx.query(
        `INSERT INTO collections (uuid, owner_uuid, created_at, updated_at, modified_at, name, current_version_uuid)
         SELECT ${uuid("4zz18")}, $1, now(), now(), now(), 'many ' || n, ${uuid("4zz18")} ${each}`,
        [alice.uuid],
      );
      await tx.query(
        `INSERT INTO links (uuid, owner_uuid, link_class, name, tail_uuid, head_uuid, created_at, updated_at)
         SELECT ${uuid("o0j2j")}, $1, 'permission', 'can_read', $2, ${uuid("4zz18")}, now(), now() ${each}`,
        [stack.arvados.known.rootUser, bob.uuid],
      );
    });
  }

  /** Each of the collections gets a new name. */
  async function rename(name: string): Promise<void> {
    const { alice } = stack.cluster.users;
    await stack.arvados.tx(async (_, tx) => {
      await tx.query(`UPDATE collections SET name = $1 || uuid WHERE uuid LIKE 'zzzzz-4zz18-many%'`, [name]);
      await tx.query(
        `INSERT INTO logs (uuid, owner_uuid, object_uuid, object_owner_uuid, event_type, event_at, created_at, updated_at, properties)
         SELECT overlay(uuid placing $1 from 7 for 9), owner_uuid, uuid, owner_uuid, 'update', now(), now(), now(),
           json_build_object('old_attributes', '{}'::json,
             'new_attributes', json_build_object('uuid', uuid, 'owner_uuid', owner_uuid, 'name', name))::text
         FROM collections WHERE uuid LIKE 'zzzzz-4zz18-many%' AND owner_uuid = $2`,
        [`57u5n-${name}`, alice.uuid],
      );
    });
  }

  const waited = async () => {
    const text = await (await fetch(`${stack.services.bridge.adminUrl}/metrics`)).text();
    return Number(/^arvados_nats_bridge_barrier_wait_seconds_count (\d+)$/m.exec(text)?.[1] ?? Number.NaN);
  };

  it("signs in, hears each, and hears no more of one that is taken back, without being cut or anything waiting", async () => {
    const { arvados, cluster } = stack;
    const { bob } = cluster.users;
    await shareEach();
    const witness = await stack.witness();
    const client = await until(() => stack.connectClient(bob.token.v2).catch(() => null), "bob to be let in");
    const heard = new Map<string, string[]>();
    const listener = client.events({
      resource: "collections",
      onEvent: ({ event }) => {
        const name = String(event.attributes?.name ?? "");
        heard.set(name.slice(0, 3), [...(heard.get(name.slice(0, 3)) ?? []), event.object_uuid]);
      },
    });
    await listener.ready;
    const { grants } = await client.whoami();
    assert.ok(grants.subscribe.length < 100, `${grants.subscribe.length}`);

    await rename("one");
    await until(() => heard.get("one")?.length === SHARES, "bob to hear of each");
    assert.equal(new Set(heard.get("one")).size, SHARES);

    const held = await waited();
    await arvados.unshare({ tail: bob.uuid, head: collection(7) });
    const seen = witness.events.length;
    await rename("two");
    await until(() => heard.get("two")?.length === SHARES - 1, "bob to hear of the others");
    await until(
      () => witness.events.slice(seen).filter(({ event }) => event.object_uuid === collection(7)),
      "the last",
    );
    await client.whoami();
    assert.ok(!heard.get("two")?.includes(collection(7)));
    assert.equal(heard.get("two")?.length, SHARES - 1);
    assert.equal(await waited(), held);
    assert.deepEqual((await client.whoami()).grants.subscribe, grants.subscribe);
  });
});
