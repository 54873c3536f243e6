/** Every error code and every close code of the tables is raised somewhere in product code: what nothing raises is not documented. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CLOSE_CODES } from "../../core/close-codes.ts";
import { ERRORS } from "../../core/error-table.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const PRODUCT = ["authcallout", "bridge", "cli", "core", "dev", "proxy", "replica", "runtime", "streams-config"];
const TABLES = /core\/(?:error-table|close-codes)\.ts$/;
/** Only these end a session, a socket or a tail; the client and the console page read the codes. */
const CLOSERS = /^(?:authcallout|proxy)\/(?!console\/)/;

function sourcesOf(folders: readonly string[]): Map<string, string> {
  const paths = folders.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
      .filter((path) => path.endsWith(".ts") && !path.includes("node_modules"))
      .map((path) => `${folder}/${path}`),
  );
  return new Map(paths.map((path) => [path, readFileSync(join(ROOT, path), "utf8")]));
}

/** Names that no source mentions but in comments, in comparisons, or in lists that something is compared with. */
function neverRaised(names: readonly string[], sources: Iterable<string>): string[] {
  const code = [...sources].map((text) => text.replace(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, "")).join("\n");
  const isRaised = (name: string) =>
    [...code.matchAll(new RegExp(`"${name.replace(".", "\\.")}"`, "g"))].some(({ index, 0: literal }) => {
      const before = code.slice(0, index).slice(-20);
      const after = code.slice(index + literal.length).slice(0, 5);
      return !/(?:[=!]==|\bcase|[[,])\s*$/.test(before) && !/^\s*[=!]==/.test(after);
    });
  return names.filter((name) => !isRaised(name));
}

describe("the codes", () => {
  const sources = [...sourcesOf(PRODUCT)].filter(([path]) => !TABLES.test(path));

  it("of errors are all raised", () => {
    const texts = sources.map(([, text]) => text);
    assert.deepEqual(neverRaised(Object.keys(ERRORS), texts), []);
  });

  it("of closing are all raised by the callout or the proxy", () => {
    const texts = sources.filter(([path]) => CLOSERS.test(path)).map(([, text]) => text);
    assert.deepEqual(neverRaised(Object.keys(CLOSE_CODES), texts), []);
  });

  it("are not raised by a comment or a comparison (negative control)", () => {
    const text = [
      '/** ends with "tail.gone" */',
      'if (name === "tail.gone" || "tail.gone" !== name) return; // "tail.gone"',
      'switch (name) { case "tail.gone": return; }',
      'const KNOWN: readonly string[] = ["tail.gone", "tail.gone"];',
    ].join("\n");
    assert.deepEqual(neverRaised(["tail.gone"], [text]), ["tail.gone"]);
    assert.deepEqual(neverRaised(["tail.gone"], [text, 'throw fault("tail.gone");']), []);
  });
});
