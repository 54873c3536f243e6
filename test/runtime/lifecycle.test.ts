import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { deferred } from "../../runtime/deferred.ts";
import { type RunOptions, runService, type SignalSource } from "../../runtime/lifecycle.ts";
import { createLog } from "../../runtime/log/log.ts";

/** A service that notes what happens to it, and signals to send to it. */
function world(overrides: Partial<{ drain: () => Promise<void>; release: () => unknown }> = {}) {
  const signals = new EventEmitter() as EventEmitter & SignalSource;
  const events: string[] = [];
  const lines: string[] = [];
  const done = deferred();
  const started = deferred();
  const options: RunOptions = {
    name: "test",
    log: createLog({ format: "json", sink: { write: (line) => lines.push(line) } }),
    signals,
    async start(scope) {
      scope.defer("first", overrides.release ?? (() => events.push("first released")));
      scope.defer("second", () => events.push("second released"));
      started.resolve();
      return {
        done: done.promise,
        drain:
          overrides.drain ??
          (async () => {
            events.push("drained");
            done.resolve();
          }),
      };
    },
  };
  return { options, signals, events, lines, done, started };
}

/** Lets everything that is due happen. */
const settle = () => new Promise(setImmediate);

describe("runService", () => {
  it("ends with 0 when the service ends by itself, after releasing in reverse", async () => {
    const { options, events, done } = world();
    const running = runService(options);
    done.resolve();
    assert.equal(await running, 0);
    assert.deepEqual(events, ["second released", "first released"]);
  });

  it("drains on the first signal, then releases, and ends as parents expect it of that signal", async () => {
    for (const [signal, code] of [
      ["SIGTERM", 143],
      ["SIGINT", 130],
    ] as const) {
      const { options, events, signals, started } = world();
      const running = runService(options);
      await started.promise;
      await settle();
      signals.emit(signal, signal);
      assert.equal(await running, code);
      assert.deepEqual(events, ["drained", "second released", "first released"]);
      assert.equal(signals.listenerCount(signal), 0);
    }
  });

  it("ends at once on the second signal, whatever hangs", async () => {
    const draining = new EventEmitter();
    const { options, signals, started, lines } = world({
      drain: () => {
        draining.emit("drain");
        return new Promise(() => {});
      },
    });
    const running = runService({ ...options, sleep: () => new Promise(() => {}) });
    await started.promise;
    await settle();
    const began = once(draining, "drain");
    signals.emit("SIGTERM", "SIGTERM");
    await began;
    signals.emit("SIGINT", "SIGINT");
    assert.equal(await running, 130);
    assert.match(lines.join(""), /second signal/);
  });

  it("throws what kept the service from starting, after releasing what it had", async () => {
    const { options, events } = world();
    const start: RunOptions["start"] = async (scope) => {
      await options.start(scope);
      throw new Error("no database");
    };
    await assert.rejects(runService({ ...options, start }), /no database/);
    assert.deepEqual(events, ["second released", "first released"]);
  });

  it("throws the error of the service, also when a release fails", async () => {
    const { options, done, lines } = world({
      release: () => {
        throw new Error("stuck");
      },
    });
    const running = runService(options);
    done.reject(new Error("fenced"));
    await assert.rejects(running, /fenced/);
    assert.match(lines.join(""), /release failed/);
  });

  it("releases a start that a signal interrupted", async () => {
    const { options, events, signals } = world();
    let aborted = false;
    const start: RunOptions["start"] = async (scope) => {
      const service = await options.start(scope);
      await new Promise((resolve) => scope.signal.addEventListener("abort", resolve));
      aborted = true;
      return service;
    };
    const running = runService({ ...options, start });
    await settle();
    signals.emit("SIGTERM", "SIGTERM");
    assert.equal(await running, 143);
    assert.equal(aborted, true);
    assert.deepEqual(events, ["second released", "first released"]);
  });

  it("waits for a drain for a bounded time, then continues, with exit code 1", async () => {
    const { options, events, signals, started, lines } = world({ drain: () => new Promise(() => {}) });
    const slept: number[] = [];
    const running = runService({
      ...options,
      drainMs: 1234,
      sleep: async (ms, signal) => {
        slept.push(ms);
        if (ms !== 1234) await new Promise((resolve) => signal?.addEventListener("abort", resolve));
      },
    });
    await started.promise;
    await settle();
    signals.emit("SIGTERM", "SIGTERM");
    assert.equal(await running, 1);
    assert.equal(slept[0], 1234);
    assert.deepEqual(events, ["second released", "first released"]);
    assert.match(lines.join(""), /the drain took too long/);
  });

  it("ends with 1 when the drain or a release fails", async () => {
    const failing = [
      { drain: () => Promise.reject(new Error("unflushed")) },
      {
        release: () => {
          throw new Error("stuck");
        },
      },
    ];
    for (const overrides of failing) {
      const { options, signals, started } = world(overrides);
      const running = runService(options);
      await started.promise;
      await settle();
      signals.emit("SIGTERM", "SIGTERM");
      assert.equal(await running, 1);
    }
  });
});
