import assert from "node:assert/strict";
import { allPaths, brokenCitations, citingSources } from "./citations.ts";

describe("comments and documents", () => {
  const paths = allPaths();

  it("cite only files, sections and decisions that are in this repository", () => {
    const broken = citingSources(paths).flatMap((source) =>
      brokenCitations(source, paths).map((cited) => `${source.path}: ${cited}`),
    );
    assert.deepEqual(broken, []);
  });

  describe("are refused", () => {
    const cases: [what: string, path: string, text: string, broken: string[]][] = [
      [
        "where a comment cites a file that does not exist",
        "core/a.ts",
        "// see `no-such-file.ts`",
        ["no-such-file.ts"],
      ],
      ["where a document links to one", "docs/a.md", "[a](no-such-page.md)", ["no-such-page.md"]],
      ["where one of several is missing", "docs/a.md", "`core/{lsn,no-lsn}.ts`", ["core/no-lsn.ts"]],
      ["where a section is missing", "core/a.ts", "// docs/nats-facts.md 99", ["docs/nats-facts.md 99"]],
      ["where a subsection is missing", "core/a.ts", "// docs/nats-facts.md 1.9", ["docs/nats-facts.md 1.9"]],
      ["where a decision is missing", "core/a.ts", "// ADR 9999", ["ADR 9999"]],
      ["where a document outside is cited", "core/a.ts", "// facts 3.1", ["facts 3.1 (not in this repository)"]],
    ];
    for (const [what, path, text, broken] of cases) {
      it(what, () => assert.deepEqual(brokenCitations({ path, text }, paths), broken));
    }
  });

  it("may cite files by their names or paths, sections and decisions; code is no citation", () => {
    const text = [
      "/** `lsn.ts`, core/lsn.ts, ../core/lsn.ts, bridge/spill/*.ts, docs/nats-facts.md 1.3, ADR 4 */",
      'import { no } from "./no-such-file.ts";',
    ].join("\n");
    assert.deepEqual(brokenCitations({ path: "bridge/a.ts", text }, paths), []);
  });
});
