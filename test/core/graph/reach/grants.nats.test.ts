import assert from "node:assert/strict";
import type { NatsConnection } from "@nats-io/nats-core";
import type { PermissionGraph } from "../../../../core/graph/permission-graph.ts";
import type { ObjectFacts } from "../../../../core/graph-types.ts";
import { startNats, type TestNats } from "../../../support/servers/nats.ts";
import { startTestCallout } from "../../../support/worlds/callout.ts";
import { type Bounds, engineFor } from "../../../vectors/judge.ts";
import { graphRows, NOW, readVectors, type World, worldObjects } from "../../../vectors/world.ts";

const FOLDER = "test/vectors/permissions";
const SAMPLE = ["V08", "V16", "E17-cr-3", "E28-links", "E30-manage-user-everything", "E34-seeded-sharing"];
const worlds = [
  ...SAMPLE.flatMap((name) => readVectors(`${FOLDER}/named/${name}.json`).worlds),
  ...readVectors(`${FOLDER}/random.json.gz`).worlds.slice(0, 3),
];

/** A token that lets its holder publish; every other names a user of the world at hand. */
const PUBLISHER = "publisher";

describe("grants, as a real nats-server enforces them", () => {
  let nats: TestNats;
  let graph: PermissionGraph;
  /** Takes from a user's patterns what a negative control wants gone. */
  let withheld: (pattern: string) => boolean = () => false;

  before(async () => {
    nats = await startNats({ streams: false });
    await startTestCallout(nats, ({ auth_token: token = "" }) => {
      if (token === PUBLISHER) return { name: token, publish: [nats.subjects.live(">")], subscribe: ["_INBOX.>"] };
      const patterns = graph.grants(token).patterns.filter((pattern) => !withheld(pattern));
      const [first = "nothing", ...rest] = patterns.map(nats.subjects.live);
      return { name: token, publish: ["nothing"], subscribe: [first, ...rest] };
    });
  });

  after(() => nats[Symbol.asyncDispose]());

  /** Which objects' events reach a user who listens to `subjects`: the server drops the subscriptions it refuses. */
  async function heard(user: string, subjects: readonly string[], objects: ObjectFacts[]): Promise<Set<string>> {
    const publisher = await nats.connectUser({ token: PUBLISHER });
    const listener = await nats.connectUser({ token: user });
    const reached = new Set<string>();
    for (const subject of new Set(subjects)) {
      listener.subscribe(nats.subjects.live(subject), {
        callback: (error, message) => {
          if (!error) reached.add(message.string());
        },
      });
    }
    await listener.flush();
    for (const object of objects) {
      for (const tail of graph.route(object, NOW)) publisher.publish(nats.subjects.live(tail), object.uuid);
    }
    await settled(publisher, listener);
    await Promise.all([publisher.close(), listener.close()]);
    return reached;
  }

  /** All that was published has been routed once the publisher's flush returns, and delivered once the listener's does. */
  async function settled(publisher: NatsConnection, listener: NatsConnection): Promise<void> {
    await publisher.flush();
    await listener.flush();
  }

  function load(world: World, bounds: Bounds): ObjectFacts[] {
    graph = engineFor(world, bounds);
    graph.apply([...graphRows(world).values()]);
    return worldObjects(world);
  }

  for (const bounds of [{ audienceMin: 0 }, { audienceMin: 3, heavyMin: 3, crowdMin: 3 }]) {
    it(`let through exactly what each user may read, with ${JSON.stringify(bounds)}`, async () => {
      for (const world of worlds) {
        const objects = load(world, bounds);
        const routes = objects.flatMap((object) => graph.route(object, NOW));
        for (const { uuid } of world.users) {
          const readable = world.expect.readable[uuid];
          const byPattern = await heard(uuid, graph.grants(uuid).patterns, objects);
          assert.deepEqual([...byPattern].sort(), readable, `${world.name} ${uuid} by pattern`);
          const bySubject = await heard(uuid, routes, objects);
          assert.deepEqual([...bySubject].sort(), readable, `${world.name} ${uuid} by subject`);
        }
      }
    });
  }

  it("let less through when one grant is withheld", async () => {
    const [world] = worlds as [World];
    const objects = load(world, { audienceMin: 3 });
    const user = world.users[2]?.uuid as string;
    const subjects = objects.flatMap((object) => graph.route(object, NOW));
    withheld = (pattern) => pattern === `${user}.>`;
    const less = await heard(user, subjects, objects);
    withheld = () => false;
    const all = await heard(user, subjects, objects);
    assert.ok(less.size < all.size);
  });
});
