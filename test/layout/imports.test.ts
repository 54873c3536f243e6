import assert from "node:assert/strict";
import { forbiddenArrows, LADDERS } from "./ladders.ts";
import { type Arrow, arrowsOf, sourceFiles } from "./sources.ts";

const shown = (arrows: readonly Arrow[]) => [...new Set(arrows.map(({ from, to }) => `${from} -> ${to}`))];
const imports = (from: string, to: string): Arrow[] => arrowsOf({ path: from, text: `import { a } from "${to}";` });

describe("imports between folders", () => {
  it("point down the ladders of ladders.ts", () => {
    const arrows = sourceFiles().flatMap(arrowsOf);
    assert.ok(arrows.length > 1_000);
    const found = shown(forbiddenArrows(arrows));
    assert.deepEqual(found, []);
  });

  describe("are refused", () => {
    const cases: [what: string, from: string, to: string][] = [
      ["from one service to another one", "bridge/main.ts", "../proxy/main.ts"],
      ["from core to any other folder", "core/lsn.ts", "../runtime/sleep.ts"],
      ["from the client to runtime", "client/client.ts", "../runtime/sleep.ts"],
      ["from a bench to a test", "bench/graph/main.ts", "../test/support/servers/nats.ts"],
      ["up a ladder", "bridge/rows/event.ts", "../commit/removal.ts"],
      ["from a subfolder to the folder itself", "authcallout/login/reply.ts", "../main.ts"],
      ["across a rung", "proxy/edge/edge.ts", "../gateway/gateway.ts"],
      ["from a folder that has no place", "core/nowhere/a.ts", "../lsn.ts"],
      ["between subfolders of a folder that has no ladder", "core/token/a/b.ts", "../c/d.ts"],
    ];
    for (const [what, from, to] of cases) {
      it(what, () => assert.equal(forbiddenArrows(imports(from, to)).length, 1));
    }
  });

  it("are found in each form that names a file", () => {
    const text = [
      'import type { A } from "../proxy/a.ts";',
      'import {\n  b,\n} from "../proxy/b.ts";',
      'import "../proxy/c.ts";',
      'export { d } from "../proxy/d.ts";',
      '  const e = await import("../proxy/e.ts");',
      '  new Worker(new URL("../proxy/f.ts", import.meta.url));',
    ].join("\n");
    const files = forbiddenArrows(arrowsOf({ path: "bridge/main.ts", text })).map(({ to }) => to);
    assert.deepEqual(
      files,
      ["a", "b", "c", "d", "e", "f"].map((name) => `proxy/${name}.ts`),
    );
  });

  it("go from each rung of a ladder to those below it", () => {
    for (const [parent, ladder] of Object.entries(LADDERS)) {
      const paths = ladder
        .flat()
        .map((name) => [parent, name, "a.ts"].filter((part) => part && part !== ".").join("/"));
      const [lowest = "", highest = ""] = [paths[0], paths.at(-1)];
      assert.deepEqual(forbiddenArrows([{ from: highest, to: lowest }]), []);
      assert.equal(forbiddenArrows([{ from: lowest, to: highest }]).length, 1);
    }
  });
});
