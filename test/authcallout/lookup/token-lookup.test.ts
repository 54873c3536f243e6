/** Tokens asked about at Arvados' API: each once at a time, for a while, never past what the graph says, and at little cost when it is down. */
import assert from "node:assert/strict";
import { type LookupResult, TokenLookup, type TokenLookupParts } from "../../../authcallout/lookup/token-lookup.ts";
import { Fault, fault } from "../../../core/errors.ts";
import type { Voucher } from "../../../core/token/aliases.ts";
import { type ParsedToken, parseToken, sessionTokenOf } from "../../../core/token/token.ts";
import { deferred } from "../../../runtime/deferred.ts";

const UUID = "yyyyy-gj3su-000000000000001";
const voucher = (change: Partial<Voucher> = {}): Voucher => ({
  token: UUID,
  user: "yyyyy-tpzed-000000000000001",
  scopes: ["all"],
  until: Number.POSITIVE_INFINITY,
  ...change,
});

function world(change: Partial<TokenLookupParts> = {}) {
  const clock = { now: 1_000_000 };
  const asked: string[] = [];
  const results: LookupResult[] = [];
  const answers = new Map<string, () => Promise<Voucher | null>>();
  const lookup = new TokenLookup({
    clusterId: "zzzzz",
    bare: true,
    voucher: (token) => {
      asked.push(token);
      return (answers.get(token) ?? (async () => voucher()))();
    },
    keep: 60_000,
    arrival: 0,
    parallel: 2,
    now: () => clock.now,
    onResult: (result) => results.push(result),
    ...change,
  });
  const code = (token: string) => {
    const known = lookup.known(token);
    return known instanceof Fault ? known.code : known;
  };
  return { lookup, clock, asked, results, answers, code };
}

describe("tokens asked about at Arvados' API", () => {
  it("are those that another authority may know", () => {
    const { lookup } = world();
    const local = `v2/zzzzz-gj3su-000000000000001/s`;
    const concerned = (token: string, code: "token.unknown" | "token.expired" | "token.refresh", of = lookup) => {
      const parsed = parseToken(token);
      assert.ok(parsed);
      return of.concerns(parsed, fault(code));
    };
    assert.ok(concerned(`v2/${UUID}/s`, "token.unknown") && concerned("bare", "token.unknown"));
    assert.ok(concerned(`v2/${UUID}/s`, "token.refresh") && concerned("bare", "token.refresh"));
    assert.ok(!concerned(local, "token.unknown"), "the database has all of our own");
    assert.ok(!concerned("bare", "token.expired") && !concerned(`v2/${UUID}/s`, "token.expired"), "an end is an end");
    const remote = world({ bare: false }).lookup;
    assert.ok(concerned(`v2/${UUID}/s`, "token.unknown", remote) && !concerned("bare", "token.unknown", remote));
  });

  it("are the same by the names of their sessions, whatever letter a cluster's id begins with", () => {
    for (const clusterId of ["zzzzz", "hhhhh"]) {
      for (const bare of [true, false]) {
        const { lookup } = world({ clusterId, bare });
        const own = `${clusterId}-gj3su-000000000000001`;
        for (const text of [`v2/${own}/s`, `v2/${UUID}/s`, `v2/${UUID}/s/${clusterId}-dz642-000000000000001`, "bare"]) {
          const token = parseToken(text) as ParsedToken;
          const concerned = lookup.concerns(token, fault("token.unknown"));
          assert.equal(lookup.concernsName(sessionTokenOf(token)), concerned, `${text} in ${clusterId}`);
        }
      }
    }
  });

  it("are asked about once, however many ask at a time, and then for a while not again", async () => {
    const { lookup, clock, asked } = world();
    assert.equal(lookup.known("t"), null);
    await Promise.all([lookup.ask("t"), lookup.ask("t"), lookup.ask("t")]);
    assert.deepEqual(asked, ["t"]);
    assert.deepEqual(lookup.known("t"), voucher({ until: clock.now + 60_000 }));
    clock.now += 57_749;
    assert.ok(lookup.known("t"));
    clock.now += 1;
    assert.equal(lookup.known("t"), null, "what is left gives no session");
  });

  it("count no longer than they last", async () => {
    const { lookup, clock, answers } = world();
    answers.set("t", async () => voucher({ until: 1_005_000 }));
    await lookup.ask("t");
    assert.deepEqual(lookup.known("t"), voucher({ until: 1_005_000 }));
    clock.now = 1_005_000;
    assert.equal(lookup.known("t"), null);
    await lookup.ask("t");
    assert.equal(lookup.known("t"), "unknown", "what has ended is not let in");
  });

  it("count from when they were asked about, not from when the answer came", async () => {
    const { lookup, clock, answers } = world();
    answers.set("t", async () => {
      clock.now += 5_000;
      return voucher();
    });
    await lookup.ask("t");
    assert.deepEqual(lookup.known("t"), voucher({ until: 1_060_000 }));
  });

  it("are refused for a shorter while", async () => {
    const { lookup, clock, answers, results } = world();
    answers.set("t", async () => null);
    await lookup.ask("t");
    assert.equal(lookup.known("t"), "unknown");
    clock.now += 10_000;
    assert.equal(lookup.known("t"), null);
    assert.deepEqual(results, ["unknown"]);
  });

  it("are left to their row where one comes meanwhile", async () => {
    const { lookup, answers, results } = world({ arrival: 10_000 });
    answers.set("t", async () => {
      await Promise.resolve();
      lookup.forgetChanged(new Set([UUID]));
      return voucher();
    });
    await lookup.ask("t");
    assert.equal(lookup.known("t"), null);
    const late = lookup.ask("other");
    setImmediate(() => lookup.forgetChanged(new Set([UUID])));
    await late;
    assert.deepEqual(results, ["row", "row"], "one that comes a little later is waited for");
  });

  it("lose their voucher when a row of theirs comes or goes, and when the graph is read anew", async () => {
    const { lookup } = world();
    await lookup.ask("t");
    lookup.forgetChanged(new Set(["yyyyy-gj3su-000000000000002"]));
    assert.ok(lookup.known("t"), "negative control: another's row");
    lookup.forgetChanged(new Set([UUID]));
    assert.equal(lookup.known("t"), null);
    await lookup.ask("t");
    lookup.forget();
    assert.equal(lookup.known("t"), null);
  });

  it("get no voucher where the row went, or the graph was read anew, while Arvados was being asked", async () => {
    for (const change of [(it: TokenLookup) => it.forgetChanged(new Set([UUID])), (it: TokenLookup) => it.forget()]) {
      const { lookup, answers } = world();
      const answer = deferred<Voucher>();
      answers.set("t", () => answer.promise);
      const asking = lookup.ask("t");
      change(lookup);
      answer.resolve(voucher());
      await asking;
      assert.equal(lookup.known("t"), null);
    }
  });

  it("are asked about so many at a time", async () => {
    let running = 0;
    let most = 0;
    const { lookup } = world({
      voucher: async () => {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setImmediate(resolve));
        running--;
        return null;
      },
    });
    await Promise.all(["a", "b", "c", "d", "e"].map((token) => lookup.ask(token)));
    assert.equal(most, 2);
  });

  it("meet an outage, and no refusal, while the API does not answer, and are asked about anew a moment later", async () => {
    const { lookup, clock, answers, code, results } = world();
    answers.set("t", () => Promise.reject(fault("lookup.unavailable", { reason: "HTTP 502" })));
    await lookup.ask("t");
    assert.equal(code("t"), "lookup.unavailable");
    assert.equal(code("u"), null, "one failure is no outage for all");
    clock.now += 1_000;
    answers.delete("t");
    await lookup.ask("t");
    assert.deepEqual([lookup.known("t"), results], [voucher({ until: clock.now + 60_000 }), ["outage", "vouched"]]);
  });

  it("cost a dead API nothing but a try now and then", async () => {
    let isUp = false;
    const { lookup, clock, answers, asked, code } = world();
    const answer = async () => {
      if (!isUp) throw fault("lookup.unavailable", { reason: "ECONNREFUSED" });
      return voucher();
    };
    for (const token of ["a", "b", "c", "d"]) answers.set(token, answer);
    for (const token of ["a", "b", "c"]) await lookup.ask(token);
    assert.equal(code("d"), "lookup.unavailable");
    clock.now += 5_000;
    assert.equal(code("d"), null);
    await lookup.ask("d");
    assert.equal(code("a"), "lookup.unavailable", "the first failure closes it again");
    clock.now += 5_000;
    isUp = true;
    await lookup.ask("a");
    assert.equal(code("b"), null);
    assert.equal(asked.length, 5);
  });

  it("fill no memory", async () => {
    const { lookup } = world({ voucher: async () => null });
    for (let i = 0; i < 10_001; i++) await lookup.ask(`t${i}`);
    assert.equal(lookup.known("t0"), null);
    assert.equal(lookup.known("t10000"), "unknown");
    const { lookup: busy } = world({ voucher: () => new Promise(() => undefined) });
    for (let i = 0; i < 1_000; i++) void busy.ask(`t${i}`);
    assert.equal((busy.known("one more") as Fault).code, "lookup.unavailable");
    assert.equal(busy.known("t999"), null, "who waits goes on waiting");
  });
});
