/** QUEUE waits for the barrier: who is no dispatcher any more hears no container that is committed after that, however late the cut is. */
import assert from "node:assert/strict";
import { runBridge } from "../../../bridge/main.ts";
import { subjectsOf } from "../../../core/subjects.ts";
import { until } from "../../../dev/testing/until.ts";
import { createScope } from "../../../runtime/scope.ts";
import { hostService } from "../../../runtime/service-host.ts";
import { type Login, Logins } from "../../support/checks/logins.ts";
import { NO_BARRIER } from "../../support/worlds/bridge-guards.ts";
import { lateKicks } from "../../support/worlds/callout-process.ts";
import { startTestStack, type TestStack } from "../../support/worlds/stack.ts";

const DISPATCHERS = "zzzzz-j7d0g-dispatchers0000";
const { root, queue } = subjectsOf("zzzzz");
/** Late enough that what does not wait for the cut comes before it. */
const KICK_MS = 400;

type Dispatcher = { uuid: string; token: string; nc: Login["nc"]; heard: string[] };

class Scene {
  readonly logins: Logins = new Logins(() => this.stack);
  stack!: TestStack;

  async start(barrier: boolean): Promise<void> {
    const overrides = { roles: `${DISPATCHERS}=dispatch` };
    const authcallout = { system: lateKicks(KICK_MS) };
    this.stack = await startTestStack({
      log: this.logins.log,
      overrides,
      authcallout,
      bridge: barrier ? {} : NO_BARRIER,
    });
    await this.stack.arvados.tx(async (operations, tx) => {
      const { uuid } = await operations.createRole({ name: "dispatchers" });
      for (const end of ["head_uuid", "tail_uuid"])
        await tx.query(`UPDATE links SET ${end} = $1 WHERE ${end} = $2`, [DISPATCHERS, uuid]);
      await tx.query("UPDATE groups SET uuid = $1 WHERE uuid = $2", [DISPATCHERS, uuid]);
    });
  }

  async dispatcher(username: string): Promise<Dispatcher> {
    const { arvados } = this.stack;
    const { uuid } = await arvados.createUser({ username });
    await arvados.addToRole(uuid, DISPATCHERS);
    const { v2: token } = await arvados.issueToken(uuid);
    await this.logins.isKnown(token);
    const { nc } = await this.logins.login(token);
    const heard: string[] = [];
    nc.subscribe(`${root}.queue.>`, { callback: (_, message) => void heard.push(message.subject) });
    await nc.flush();
    return { uuid, token, nc, heard };
  }

  async container(): Promise<string> {
    const { arvados, cluster } = this.stack;
    const by = cluster.users.alice.uuid;
    const { uuid } = await arvados.createContainerRequest({
      ...{ name: "Another", owner: cluster.projects.run1, command: ["true"], by },
    });
    return queue((await arvados.commitContainerRequest(uuid, { by })).container);
  }

  /** What the former dispatcher has heard of it by the time that one who stays has. */
  async formerHears(): Promise<{ isHeard: boolean; former: Dispatcher; staying: Dispatcher; entry: string }> {
    const staying = await this.dispatcher("staying");
    const former = await this.dispatcher("former");
    const before = await this.container();
    await until(() => [staying, former].every(({ heard }) => heard.includes(before)), "an entry of before");
    await this.stack.arvados.removeFromRole(former.uuid, DISPATCHERS);
    const entry = await this.container();
    await until(() => staying.heard.includes(entry), "the entry of after");
    await former.nc.closed();
    return { isHeard: former.heard.includes(entry), former, staying, entry };
  }
}

describe("a dispatcher whose role is taken away", () => {
  const scene = new Scene();
  before(() => scene.start(true));
  after(() => scene.stack?.[Symbol.asyncDispose]());

  it("hears no container that is committed after that, and one who stays hears it", async () => {
    assert.equal((await scene.formerHears()).isHeard, false);
  });

  it("hears none that was queued while no bridge ran, either", async () => {
    const staying = await scene.dispatcher("staying2");
    const former = await scene.dispatcher("former2");
    await scene.stack.endService("bridge");
    await scene.stack.arvados.removeFromRole(former.uuid, DISPATCHERS);
    const entry = await scene.container();
    await using scope = createScope();
    const { config } = scene.stack;
    await hostService({ name: "bridge", start: (context) => runBridge(context), config, log: scene.logins.log, scope });
    await until(() => staying.heard.includes(entry), "the entry");
    await former.nc.closed();
    assert.ok(!former.heard.includes(entry));
  });
});

describe("a dispatcher whose role is taken away, where nothing waits for the barrier", () => {
  const scene = new Scene();
  before(() => scene.start(false));
  after(() => scene.stack?.[Symbol.asyncDispose]());

  it("hears the next container: what the guard is good for", async () => {
    assert.equal((await scene.formerHears()).isHeard, true);
  });
});
