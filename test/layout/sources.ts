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

/** The forms in which a file names another one; types as well. The last one is for programs and workers. */
const NAMED_FILE =
  /^(?:import|export)\b[^"';]*?\bfrom "(\.[^"]+)"|^import "(\.[^"]+)"|\bimport\(\s*"(\.[^"]+)"|\bnew URL\("(\.[^"]+\.ts)", import\.meta\.url\)/gm;
/** The same, without what is only a type and without what is loaded later. */
const LOADED_FILE = /^(?:import|export)\b(?! type\b)[^"';]*?\bfrom "(\.[^"]+)"|^import "(\.[^"]+)"/gm;
const EXPORTED =
  /^export (?:declare )?(?:abstract )?(?:async )?(?:type|interface|class|const|let|function\*?|enum) ([\w$]+)/gm;

export function sourceFiles(): SourceFile[] {
  return allPaths()
    .filter((path) => path.endsWith(".ts"))
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), "utf8") }));
}

export function arrowsOf(file: SourceFile): Arrow[] {
  return namedFiles(file, NAMED_FILE).map((to) => ({ from: file.path, to }));
}

/** The file and all that are loaded with it. */
export function loadedWith(path: string, files: ReadonlyMap<string, SourceFile>): Set<string> {
  const loaded = new Set([path]);
  for (const one of loaded) {
    const file = files.get(one);
    if (file) for (const other of namedFiles(file, LOADED_FILE)) loaded.add(other);
  }
  return loaded;
}

/** Exported names, without those that a file passes on from another file. */
export function exportsOf({ text }: SourceFile): string[] {
  return [...new Set([...text.matchAll(EXPORTED)].map(([, name = ""]) => name))];
}

function namedFiles({ path, text }: SourceFile, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map((match) => {
    const [named = ""] = match.slice(1).filter(Boolean);
    return posix.join(posix.dirname(path), named);
  });
}
