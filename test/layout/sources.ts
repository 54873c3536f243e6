/**
 * The TypeScript files of this repository and what they name in other files: imports, exports, and files that are started as a program or
 * a worker by their path. The layout tests read them. The patterns rely on Biome's format: a top-level statement begins a line.
 */
import { readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { allPaths } from "../docs/citations.ts";

export type SourceFile = { path: string; text: string };
/** One file names another one. Both paths start at the root of the repository. */
export type Arrow = { from: string; to: string };

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** `import … from "./x.ts"`, `export … from`, `import "./x.ts"`, `import("./x.ts")` and `new URL("./x.ts", import.meta.url)`; types as well. */
const NAMED_FILE =
  /^(?:import|export)\b[^"';]*?\bfrom "(\.[^"]+)"|^import "(\.[^"]+)"|\bimport\(\s*"(\.[^"]+)"|\bnew URL\("(\.[^"]+\.ts)", import\.meta\.url\)/gm;
const EXPORTED =
  /^export (?:declare )?(?:abstract )?(?:async )?(?:type|interface|class|const|let|function\*?|enum) ([\w$]+)/gm;

export function sourceFiles(): SourceFile[] {
  return allPaths()
    .filter((path) => path.endsWith(".ts"))
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), "utf8") }));
}

export function arrowsOf({ path, text }: SourceFile): Arrow[] {
  return [...text.matchAll(NAMED_FILE)].map((match) => {
    const [named = ""] = match.slice(1).filter(Boolean);
    return { from: path, to: posix.join(posix.dirname(path), named) };
  });
}

/** Exported names, without those that a file passes on from another file. */
export function exportsOf({ text }: SourceFile): string[] {
  return [...new Set([...text.matchAll(EXPORTED)].map(([, name = ""]) => name))];
}
