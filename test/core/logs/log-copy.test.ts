import assert from "node:assert/strict";
import fc from "fast-check";
import {
  advanceLogCopy,
  type ContainerPhase,
  chunkLength,
  type LogCopyInput,
  type LogCopyRules,
  type LogCopyStep,
  type LogMessage,
  placeAfter,
  type StoredLog,
  startFollow,
} from "../../../core/logs/log-copy.ts";

const rules: LogCopyRules = { pollMin: 100, pollMax: 1_000, believeAfter: 500, readBytes: 64, chunkBytes: 16 };
const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array) => new TextDecoder().decode(data);

/** LOGS on one subject, as it takes messages: each names the sequence that it follows. */
class Logs {
  readonly messages: (LogMessage & { sequence: number; foreign?: true })[] = [];
  fenced = true;
  #sequence = 0;

  put(message: LogMessage): number | null {
    if (this.fenced && message.follows !== (this.messages.at(-1)?.sequence ?? 0)) return null;
    this.messages.push({ ...message, data: message.data.slice(), sequence: ++this.#sequence });
    return this.#sequence;
  }

  putForeign(): void {
    const message = { offset: 0, base: 0, data: bytes("mine\n"), complete: false, follows: 0 };
    this.messages.push({ ...message, sequence: ++this.#sequence, foreign: true });
  }

  last(): StoredLog {
    const message = this.messages.at(-1);
    if (!message) return null;
    return message.foreign ? "foreign" : { ...placeAfter(message), complete: message.complete };
  }

  /** The log as a reader sees it that drops overlaps by their offset; fails on a hole. */
  readable(): Uint8Array {
    let got = new Uint8Array();
    for (const { offset, data } of this.messages) {
      assert.ok(offset <= got.length, `a hole before ${offset}`);
      got = Buffer.concat([got, data.subarray(got.length - offset)]);
    }
    return got;
  }

  complete(): boolean {
    return this.messages.at(-1)?.complete ?? false;
  }
}

/** The file and its container. */
class World {
  readonly logs = new Logs();
  now = 0;
  container: ContainerPhase = "live";
  /** null: not there. */
  file: Uint8Array | null = null;
  reads = 0;
  step: LogCopyStep = startFollow();

  append(more: string | Uint8Array): void {
    this.file = Buffer.concat([this.file ?? new Uint8Array(), typeof more === "string" ? bytes(more) : more]);
  }

  /** What a healthy LOGS and API answer. */
  answer(): LogCopyInput {
    const { action } = this.step;
    switch (action.do) {
      case "look":
        return { type: "looked", stored: this.logs.last() };
      case "ask":
        return this.read(action.from, action.length);
      case "store": {
        const sequence = this.logs.put(action.message);
        return sequence === null ? { type: "refused" } : { type: "stored", sequence };
      }
      case "wait":
        this.now += action.ms;
        return { type: "waited" };
      case "end":
        throw new Error("it has ended");
    }
  }

  read(from: number, length: number): LogCopyInput {
    this.reads++;
    if (this.file === null) return { type: "absent" };
    if (from >= this.file.length && this.file.length > 0) return { type: "short" };
    return { type: "read", data: this.file.subarray(from, from + length), size: this.file.length };
  }

  take(input: LogCopyInput): void {
    this.step = advanceLogCopy(this.step.state, input, this, rules);
  }

  /** Goes on until the next wait, the end included. */
  untilWait(): number {
    for (let steps = 0; steps < 1_000; steps++) {
      const { action } = this.step;
      if (action.do === "wait") return action.ms;
      if (action.do === "end") return Number.POSITIVE_INFINITY;
      this.take(this.answer());
    }
    throw new Error("it never waits");
  }

  /** Lets the wait pass, then goes on until the next. */
  round(): number {
    if (this.step.action.do === "wait") this.take(this.answer());
    return this.untilWait();
  }

  /** All rounds there are. */
  finish(): void {
    for (let rounds = 0; this.step.action.do !== "end"; rounds++) {
      assert.ok(rounds < 1_000, "it ends");
      this.round();
    }
  }
}

describe("following a log file", () => {
  it("copies what is there, continues with what comes, and ends when its container has ended", () => {
    const world = new World();
    world.append("one\ntwo\n");
    world.untilWait();
    world.append("three\n");
    world.round();
    assert.equal(text(world.logs.readable()), "one\ntwo\nthree\n");
    world.container = "ended";
    world.append("the end");
    world.finish();
    assert.equal(text(world.logs.readable()), "one\ntwo\nthree\nthe end");
    assert.ok(world.logs.complete());
    assert.equal(world.step.state.phase, "complete");
  });

  it("waits longer while nothing comes, up to a bound, and no longer than the least once something does", () => {
    const world = new World();
    world.append("one\n");
    world.untilWait();
    const waits = Array.from({ length: 10 }, () => world.round());
    assert.deepEqual(waits.slice(0, 3), [150, 225, 337.5]);
    assert.equal(waits.at(-1), rules.pollMax);
    world.append("two\n");
    assert.equal(world.round(), rules.pollMin);
  });

  it("reads again at once while there is more", () => {
    const world = new World();
    world.append(`${"x".repeat(15)}\n`.repeat(40));
    world.untilWait();
    assert.equal(world.now, 0);
    assert.equal(world.logs.readable().length, 640);
  });

  it("asks nothing while its container is queued", () => {
    const world = new World();
    world.container = "queued";
    for (let i = 0; i < 5; i++) world.round();
    assert.equal(world.reads, 0);
  });

  it("holds a line back until it ends, but not for ever", () => {
    const world = new World();
    world.append("whole\nhal");
    world.untilWait();
    assert.equal(text(world.logs.readable()), "whole\n");
    world.append("f\n");
    world.round();
    assert.deepEqual(
      world.logs.messages.map(({ data }) => text(data)),
      ["whole\n", "half\n"],
    );
    world.append("12 %\r");
    world.round();
    assert.equal(text(world.logs.readable()), "whole\nhalf\n12 %\r");
  });

  it("is complete only when the file was still the same a while after the end", () => {
    const world = new World();
    world.append("one\n");
    world.untilWait();
    world.container = "ended";
    assert.equal(world.round(), rules.believeAfter);
    assert.ok(!world.logs.complete());
    // Saved late, or handed out from a cache before.
    world.append("two\n");
    world.round();
    assert.equal(world.round(), rules.believeAfter, "the time counts from when it was last new");
    world.finish();
    assert.equal(text(world.logs.readable()), "one\ntwo\n");
  });

  it("declares a file that never existed complete, so that readers need not wait", () => {
    const world = new World();
    world.untilWait();
    world.container = "ended";
    world.finish();
    assert.deepEqual(
      world.logs.messages.map(({ offset, data, complete }) => [offset, data.length, complete]),
      [[0, 0, true]],
    );
  });

  it("never declares a file complete that cannot be read", () => {
    const world = new World();
    world.append("one\n");
    world.untilWait();
    world.container = "ended";
    for (let i = 0; i < 100; i++) world.take(world.step.action.do === "ask" ? { type: "failed" } : world.answer());
    assert.ok(!world.logs.complete());
    world.finish();
    assert.ok(world.logs.complete());
  });

  it("stops copying a file that another publisher writes, from the first look or the next message on", () => {
    for (const when of ["before", "between"] as const) {
      const world = new World();
      if (when === "before") world.logs.putForeign();
      world.append("one\n");
      world.untilWait();
      if (when === "between") world.logs.putForeign();
      world.append("two\n");
      world.finish();
      assert.equal(world.step.state.phase, "left", when);
      assert.equal(world.logs.messages.filter(({ foreign }) => !foreign).length, when === "before" ? 0 : 1);
    }
  });

  it("begins nothing for a container that had ended before, and finishes what it had begun", () => {
    const never = new World();
    never.container = "past";
    never.append("one\n");
    never.finish();
    assert.equal(never.step.state.phase, "left");
    assert.equal(never.reads, 0);

    const begun = new World();
    begun.append("one\n");
    begun.untilWait();
    begun.append("two\n");
    begun.step = startFollow();
    begun.container = "past";
    begun.finish();
    assert.equal(text(begun.logs.readable()), "one\ntwo\n");
    assert.ok(begun.logs.complete());
  });

  it("keeps what was read live if Arvados saved less of it", () => {
    const world = new World();
    world.append("one\ntwo\n");
    world.untilWait();
    world.file = bytes("one\n");
    world.round();
    world.container = "ended";
    world.finish();
    assert.equal(text(world.logs.readable()), "one\ntwo\n");
    assert.ok(world.logs.complete());
  });

  for (const [how, again] of [
    ["shorter", "2nd\n"],
    ["longer", "another first line\nand a second\n"],
  ] as const) {
    it(`copies a file that began again and is ${how} in full behind the stored one, once that is sure`, () => {
      const world = new World();
      world.append("one\ntwo\n");
      world.untilWait();
      world.file = bytes(again);
      assert.equal(world.round(), rules.believeAfter);
      assert.equal(world.logs.readable().length, 8, "not at the first sight");
      world.round();
      assert.equal(text(world.logs.readable()), `one\ntwo\n${again}`);
      assert.ok(world.logs.messages.slice(1).every(({ base }) => base === 8));
      // It is known again after a crash.
      world.step = startFollow();
      world.append("more\n");
      world.container = "ended";
      world.finish();
      assert.equal(text(world.logs.readable()), `one\ntwo\n${again}more\n`);
    });
  }

  it("treats a file that reads as another one for a moment as the same", () => {
    const world = new World();
    world.append("one\ntwo\n");
    world.untilWait();
    const { file } = world;
    world.file = bytes("one\n");
    world.round();
    world.file = file;
    world.append("three\n");
    world.round();
    assert.equal(text(world.logs.readable()), "one\ntwo\nthree\n");
  });

  it("cuts at line ends where it can, and never makes a message too large", () => {
    assert.equal(chunkLength(bytes("ab\ncd\nef"), 100, false), 6);
    assert.equal(chunkLength(bytes("ab\ncd\nef"), 5, false), 3);
    assert.equal(chunkLength(bytes("abcdef"), 100, false), 0);
    assert.equal(chunkLength(bytes("abcdef"), 100, true), 6);
    assert.equal(chunkLength(bytes("abcdef"), 4, false), 4);
    assert.equal(chunkLength(new Uint8Array(), 4, true), 0);
  });
});

type Event = { kind: "grow" | "lines" | "fail" | "crash" | "lostAck" | "cut" | "rival" | "silentSize"; n: number };

const event: fc.Arbitrary<Event> = fc.record({
  kind: fc.constantFrom("grow", "lines", "fail", "crash", "lostAck", "cut", "rival", "silentSize"),
  n: fc.nat({ max: 200 }),
});

/** Plays a schedule of growth, failures, crashes and rivals, then lets the container end. Returns what was to be copied. */
function play(world: World, events: readonly Event[]): Uint8Array {
  let count = 0;
  const make = (length: number, lineEvery: number) =>
    Uint8Array.from({ length }, () => (++count % lineEvery === 0 ? 10 : 32 + ((count * 7) % 90)));
  const isPrefix = () => {
    const got = world.logs.readable();
    assert.ok(
      Buffer.from(got).equals((world.file ?? new Uint8Array()).subarray(0, got.length)),
      "a prefix of the file",
    );
  };
  for (const { kind, n } of events) {
    const { action } = world.step;
    if (kind === "grow") world.append(make(n, 1_000));
    else if (kind === "lines") world.append(make(n, 11));
    else if (kind === "crash") world.step = startFollow();
    else if (kind === "fail" && (action.do === "ask" || action.do === "look")) world.take({ type: "failed" });
    else if (kind === "lostAck" && action.do === "store") {
      world.logs.put(action.message);
      world.take({ type: "refused" });
    } else if (kind === "cut" && action.do === "ask") {
      const input = world.read(action.from, action.length);
      world.take(input.type === "read" ? { ...input, data: input.data.subarray(0, n) } : input);
    } else if (kind === "silentSize" && action.do === "ask") {
      const input = world.read(action.from, action.length);
      world.take(input.type === "read" ? { ...input, size: null } : input);
    } else if (kind === "rival" && action.do === "store") {
      // A bridge that had been stopped wakes up and sends what it had in hand.
      const { message } = action;
      world.take(world.answer());
      world.logs.put(message);
    } else if (action.do !== "end") world.take(world.answer());
    isPrefix();
  }
  world.container = "ended";
  world.finish();
  return world.file ?? new Uint8Array();
}

describe("LOGS, whatever happens", () => {
  it("holds a prefix of the file at any time, in the end all of it, and no byte twice", () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 120 }), (events) => {
        const world = new World();
        const file = play(world, events);
        assert.ok(Buffer.from(world.logs.readable()).equals(file));
        assert.ok(world.logs.complete());
        const total = world.logs.messages.reduce((sum, { data }) => sum + data.length, 0);
        assert.equal(total, file.length, "no byte twice");
        assert.ok(world.logs.messages.every(({ data }) => data.length <= rules.chunkBytes));
      }),
      { numRuns: 300 },
    );
  });

  it("would hold bytes twice if messages did not name the message they follow", () => {
    const rivals = fc.sample(fc.array(event, { minLength: 60, maxLength: 120 }), { numRuns: 100, seed: 7 });
    const doubled = rivals.filter((events) => {
      const world = new World();
      world.logs.fenced = false;
      const file = play(world, events);
      return world.logs.messages.reduce((sum, { data }) => sum + data.length, 0) > file.length;
    });
    assert.ok(doubled.length > 0);
  });
});
