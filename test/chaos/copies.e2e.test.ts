/** The copies of a commit's only event go one by one: a bridge that dies between two of them leaves the others to the next one. */
import assert from "node:assert/strict";
import { HEADER } from "../../core/wire/wire.ts";
import { until } from "../../dev/testing/until.ts";
import { startTcpRelay } from "../support/servers/relay.ts";
import { leading, prepare } from "./scene.ts";
import { startChaosWorld } from "./world.ts";

describe("an event of which one copy is stored when the bridge dies", () => {
  it("is stored once under its other subjects by the next bridge, before all later events", async () => {
    await using world = await startChaosWorld();
    const { arvados } = world;
    const { allUsersGroup } = arvados.known;
    const { project, publish } = await prepare(world);
    await using wire = await startTcpRelay({ to: () => [Number(new URL(world.nats.server.url).port)] });
    const old = world.bridge("old", { natsUrl: `nats://127.0.0.1:${wire.port}` });
    await leading(old);
    await arvados.share(allUsersGroup, project, "can_read");
    await publish(1);
    const create = () => arvados.createCollection({ name: "shared", owner: project });
    const copiesOf = async (object: string) => (await world.records()).filter((record) => record.object === object);

    wire.hold();
    const { uuid } = await create();
    const second = `${HEADER.copy}: 2/2`;
    await until(() => wire.held().includes(second), "both copies to be on their way");
    wire.releaseBefore(second);
    await until(async () => (await copiesOf(uuid)).length === 1, "the first copy");
    await old.stop();
    assert.equal((await copiesOf(uuid)).length, 1);

    const next = world.bridge("next");
    await leading(next);
    const { uuid: later } = await create();
    await until(async () => (await copiesOf(later)).length === 2, "what follows");
    const copies = await copiesOf(uuid);
    const [first = copies[0]] = await copiesOf(later);
    assert.deepEqual(
      copies.map(({ subject }) => subject.includes("@role")),
      [false, true],
    );
    assert.equal(new Set(copies.map(({ eventId }) => eventId)).size, 1);
    assert.ok(copies.every(({ sequence }) => sequence < (first?.sequence ?? 0)));
  });
});
