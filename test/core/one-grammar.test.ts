import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const PRODUCT = [
  "authcallout",
  "bridge",
  "cli",
  "client",
  "core",
  "dev",
  "proxy",
  "replica",
  "runtime",
  "streams-config",
];

/** Each line of the product's code that matches, less those of the one file that may. */
function linesWith(pattern: RegExp, allowed: string): string[] {
  return PRODUCT.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts"))
      .map((name) => join(folder, name)),
  )
    .filter((file) => file !== allowed)
    .flatMap((file) =>
      readFileSync(file, "utf8")
        .split("\n")
        .filter((line) => !/^\s*(\*|\/\*\*|\/\/)/.test(line) && pattern.test(line))
        .map((line) => `${file}: ${line.trim()}`),
    );
}

describe("the product", () => {
  it("builds subjects in core/subjects.ts only", () => {
    const found = linesWith(/arvados\.\$\{|\broot\}\.|(?<!\.)_INBOX\.(?!<)/, "core/subjects.ts");
    assert.deepEqual(found, []);
  });

  it("compares the kinds of uuids in core/uuid.ts only", () => {
    // Help texts and remedies show uuids of the cluster zzzzz as examples.
    const found = linesWith(/(?<!zzzzz)-(tpzed|j7d0g|o0j2j|4zz18|xvhdp|dz642|gj3su|7fd4e)-/, "core/uuid.ts");
    assert.deepEqual(found, []);
  });
});
