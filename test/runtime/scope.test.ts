import assert from "node:assert/strict";
import { createScope } from "../../runtime/scope.ts";

describe("a scope", () => {
  it("releases in reverse order, one after the other", async () => {
    const order: string[] = [];
    const scope = createScope();
    for (const name of ["database", "connection", "subscription"]) {
      scope.use(name, name, async (resource) => {
        order.push(`${resource} begins`);
        await Promise.resolve();
        order.push(`${resource} ends`);
      });
    }
    await scope.close();
    assert.deepEqual(order, [
      "subscription begins",
      "subscription ends",
      "connection begins",
      "connection ends",
      "database begins",
      "database ends",
    ]);
  });

  it("tries every release, throws the first error and reports all", async () => {
    const released: string[] = [];
    const told: string[] = [];
    const scope = createScope((name) => told.push(name));
    scope.defer("first", () => released.push("first"));
    for (const name of ["second", "third"]) {
      scope.defer(name, () => {
        throw new Error(`${name} broke`);
      });
    }
    await assert.rejects(scope.close(), /third broke/);
    assert.deepEqual(released, ["first"]);
    assert.deepEqual(told, ["third", "second"]);
  });

  it("releases once, however often it is closed", async () => {
    let releases = 0;
    const scope = createScope();
    scope.defer("it", () => releases++);
    await Promise.all([scope.close(), scope.close()]);
    await scope.close();
    assert.equal(releases, 1);
  });

  it("aborts its signal before it releases, so that loops end", async () => {
    const scope = createScope();
    let aborted = false;
    scope.defer("loop", () => {
      aborted = scope.signal.aborted;
    });
    await scope.close();
    assert.equal(aborted, true);
  });

  it("releases at once what a late start acquires, and stops that start", async () => {
    const scope = createScope();
    await scope.close();
    let released = false;
    assert.throws(
      () =>
        scope.defer("socket", () => {
          released = true;
        }),
      /cannot acquire socket: the scope is closed/,
    );
    await Promise.resolve();
    assert.equal(released, true);
  });

  it("closes its children with itself, in their place in the order", async () => {
    const order: string[] = [];
    const scope = createScope();
    scope.defer("before", () => order.push("before"));
    const child = scope.child("child");
    child.defer("inner", () => order.push("inner"));
    scope.defer("after", () => order.push("after"));
    await scope.close();
    assert.deepEqual(order, ["after", "inner", "before"]);
    assert.equal(child.signal.aborted, true);
  });

  it("forgets a child that closed before it", async () => {
    let releases = 0;
    const told: string[] = [];
    const scope = createScope((name) => told.push(name));
    const child = scope.child("attempt");
    child.defer("it", () => {
      releases++;
      throw new Error("told once");
    });
    await assert.rejects(child.close());
    await scope.close();
    assert.equal(releases, 1);
    assert.deepEqual(told, ["it"]);
  });

  it("closes at the end of an `await using` block", async () => {
    let released = false;
    {
      await using scope = createScope();
      scope.defer("it", () => {
        released = true;
      });
    }
    assert.equal(released, true);
  });
});
