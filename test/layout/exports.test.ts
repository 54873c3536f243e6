import assert from "node:assert/strict";
import { exportsOf, type SourceFile, sourceFiles } from "./sources.ts";

/** Names that more than one file exports. */
function homonyms(files: readonly SourceFile[]): string[] {
  const counts = new Map<string, number>();
  for (const name of files.flatMap(exportsOf)) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].flatMap(([name, count]) => (count > 1 ? [name] : [])).sort();
}

describe("exported names", () => {
  it("are exported by one product file each", () => {
    const files = sourceFiles().filter(({ path }) => !/^(?:test|bench)\//.test(path));
    assert.ok(files.flatMap(exportsOf).length > 500);
    assert.deepEqual(homonyms(files), []);
  });

  it("are found where two files have one", () => {
    const [one, other] = [
      { path: "bridge/a.ts", text: "export type Plan = {};\nexport const two = 2;\n" },
      { path: "proxy/b.ts", text: "export class Plan {}\nexport async function three() {}\n" },
    ];
    assert.deepEqual(homonyms([one, other]), ["Plan"]);
  });

  it("may be overloaded, or passed on by another file", () => {
    const text = "export function a(b: string): void;\nexport function a(b: number): void;\n";
    assert.deepEqual(
      homonyms([
        { path: "a.ts", text },
        { path: "b.ts", text: 'export { a } from "./a.ts";\n' },
      ]),
      [],
    );
  });
});
