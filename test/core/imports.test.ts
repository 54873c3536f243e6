import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join, normalize } from "node:path";

/** What the files of each folder may import besides their own; each folder's README.md says the same. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  "core/barrier": ["core", "core/token"],
  "core/graph": [
    "core",
    "core/graph/store",
    "core/graph/reach",
    "core/graph/delta",
    "core/graph/publish",
    "core/graph/explain",
  ],
  "core/graph/store": ["core"],
  "core/graph/audience": ["core", "core/graph/store"],
  "core/graph/reach": ["core", "core/graph/store", "core/graph/audience"],
  "core/graph/delta": ["core", "core/graph/store", "core/graph/audience", "core/graph/reach"],
  "core/graph/publish": ["core", "core/graph/store", "core/graph/audience", "core/graph/reach", "core/graph/delta"],
  "core/graph/explain": ["core", "core/graph/store", "core/graph/reach"],
  "core/logs": ["core"],
  "core/session": ["core", "core/graph", "core/logs", "core/token"],
  "core/token": ["core"],
  "core/wire": ["core", "core/token"],
};

const folderOf = (file: string) => file.slice(0, file.lastIndexOf("/"));

describe("the folders of core", () => {
  const files = readdirSync("core", { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join("core", name));

  it("import only what their READMEs allow", () => {
    const wrong = files.flatMap((file) => {
      const from = folderOf(file);
      const allowed = [from, ...(MAY_IMPORT[from] ?? [])];
      const imported = [...readFileSync(file, "utf8").matchAll(/ from "([^"]+)"/g)].map(([, name = ""]) => name);
      return imported
        .map((name) => (name.startsWith(".") ? normalize(join(from, name)) : name))
        .filter((name) =>
          name.startsWith("core/") ? !allowed.includes(folderOf(name)) : !/^node:(crypto|net)$/.test(name),
        )
        .map((name) => `${file} imports ${name}`);
    });
    assert.ok(files.length > 50);
    assert.deepEqual(wrong, []);
  });
});
