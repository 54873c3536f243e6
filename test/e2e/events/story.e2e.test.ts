/**
 * The product's story, as every kind of client sees it: alice sees her collection change, bob sees nothing until she shares, sees it
 * then, and sees nothing of what is committed after she takes it back. The same for the log of her running container.
 */
import assert from "node:assert/strict";
import type { Browser } from "playwright-core";
import { type LogWriter, logLine, openLogWriter } from "../../../dev/log-writer.ts";
import { type Viewer, viewers } from "../../support/checks/viewers.ts";
import { launchChromium } from "../../support/servers/chromium.ts";
import { type StackListener, startTestStack, type TestStack } from "../../support/worlds/stack.ts";

const FILE = "stdout.txt";

describe("the story", () => {
  let stack: TestStack;
  let chromium: Browser;
  let witness: StackListener;
  let writer: LogWriter;

  before(async () => {
    stack = await startTestStack();
    chromium = await launchChromium();
    witness = await stack.witness();
    const { container, clusterId } = stack.cluster;
    writer = await openLogWriter({
      url: stack.nats.url,
      clusterId,
      container: container.uuid,
      file: FILE,
      token: container.token.withContainer,
    });
    await say("the first line");
  });

  after(async () => {
    await writer?.close();
    await chromium?.close();
    await stack?.[Symbol.asyncDispose]();
  });

  const say = (text: string) => writer.write(logLine(text, Date.now()));

  /** Commits an update of alice's collection and waits until the witness has seen it. */
  async function update(): Promise<string> {
    const { uuid } = await stack.demo.actions.update!();
    return uuid;
  }

  for (const { name, open } of viewers) {
    it(`is seen as it should be by ${name}`, async () => {
      const { users, projects, collections, container } = stack.cluster;
      const start = { stack, chromium };
      await using alice: Viewer = await open(start, users.alice.token.v2);
      await using bob: Viewer = await open(start, users.bob.token.v2);
      const reads = collections.reads;

      let seen = witness.events.length;
      await update();
      const event = await alice.event(reads);
      assert.equal(event.event_type, "update");
      // A time zone would be a quarter of an hour or more.
      assert.ok(Math.abs(event.delay) < 600_000, `${event.delay} ms after COMMIT`);
      await witness.event(reads, seen);
      assert.equal(await bob.count(reads), 0, "bob has no right yet");
      await bob.tailRefused(container.uuid, FILE);

      await stack.demo.actions.share!();
      await bob.mayRead(projects.genomes);
      await update();
      await bob.event(reads);
      await bob.tail(container.uuid, FILE);
      await bob.tailShows("the first line");
      await say(`seen by ${name}`);
      await bob.tailShows(`seen by ${name}`);

      const before = await bob.count(reads);
      seen = witness.events.length;
      await stack.demo.actions.unshare!();
      await update();
      await witness.event(reads, seen);
      // Log lines do not pass through the barrier: those of the first milliseconds, before GRAPH tells of the removal, may still come.
      await say(`not for ${name}`);
      assert.equal((await bob.tailEnd()).name, "readRevoked");
      await bob.mayNotRead(projects.genomes);
      assert.equal(await bob.count(reads), before, "the update after the unshare was published, and not to bob");
      assert.ok(!(await bob.tailText()).includes(`not for ${name}`));
      assert.equal(await alice.count(reads), 3, "alice saw all three, once each");
    });
  }
});
