/** Finds which files and documents the comments and documents of this repository cite, and which of them do not exist. */
import { type Dirent, readdirSync, readFileSync } from "node:fs";
import { extname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";

/** The path and the text of one file of the repository. */
export type Source = { path: string; text: string };

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const SKIPPED = new Set(["node_modules", "dist"]);

/** A changelog names files as they were. */
const HISTORY = new Set(["CHANGELOG.md"]);

const SLASHES = /\/\*[\s\S]*?\*\/|(?<![:"'`\w\\])\/\/[^\n]*/g;
const HASH = /(?:^|\s)#[^\n]*/gm;
const DASHES = /--[^\n]*/g;
const COMMENTS: Readonly<Record<string, RegExp>> = {
  ".ts": SLASHES,
  ".go": SLASHES,
  ".js": SLASHES,
  ".cjs": SLASHES,
  ".py": HASH,
  ".sh": HASH,
  ".yaml": HASH,
  ".yml": HASH,
  ".tpl": /\{\{-?\s*\/\*[\s\S]*?\*\//g,
  ".sql": DASHES,
};

const FILE = /(?<![\w:/.@-])(?:\.{1,2}\/)*[\w{][\w/.{},*-]*\.(?:ts|md|go|py|sql)(?!\w)/g;
/** Files of other projects by the name or the folder they have there; `x.test.ts` and the like stand for any name. */
const ELSEWHERE = /^(?:nats|callout)\.go$|^(?:services|lib|sdk)\/|^x\./;
const SECTION = /docs\/([\w-]+\.md) (\d+(?:\.\d+)*)/g;
const ADR = /\bADR (\d+)\b/g;
const OUTSIDE = /\bfacts\/\w+|\bfacts? \d[\d.]*|\bdesign(?:\.md)? \d[\d.]*|\b(?:design|style)\.md\b|\bshared\/\w+/g;

export function allPaths(folder = ROOT, below = ""): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry: Dirent) => {
    const path = posix.join(below, entry.name);
    if (entry.isDirectory()) {
      const isSkipped = SKIPPED.has(entry.name) || (entry.name.startsWith(".") && entry.name !== ".ci");
      return isSkipped ? [] : allPaths(join(folder, entry.name), path);
    }
    return entry.isFile() ? [path] : [];
  });
}

/** The documents, and the files that have comments. */
export function citingSources(paths: readonly string[]): Source[] {
  return paths
    .filter((path) => !HISTORY.has(path) && (extname(path) === ".md" || COMMENTS[extname(path)] !== undefined))
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), "utf8") }));
}

/** What the source cites that does not exist, in the words of the source. */
export function brokenCitations({ path, text }: Source, paths: readonly string[]): string[] {
  const prose = proseOf(path, text);
  return [
    ...found(OUTSIDE, prose).map(([cited]) => `${cited} (not in this repository)`),
    ...found(FILE, prose).flatMap(([cited]) =>
      alternatives(cited).filter((one) => !ELSEWHERE.test(one) && !paths.some((file) => isMeant(one, path, file))),
    ),
    ...found(SECTION, prose)
      .filter(([, file = "", section = ""]) => !hasSection(file, section, paths))
      .map(([cited]) => cited),
    ...found(ADR, prose)
      .filter(([, number = ""]) => !paths.some((file) => file.startsWith(`docs/adr/${number.padStart(4, "0")}-`)))
      .map(([cited]) => cited),
  ];
}

function proseOf(path: string, text: string): string {
  const comment = COMMENTS[extname(path)];
  return comment === undefined ? text : found(comment, text).map(String).join("\n");
}

function found(pattern: RegExp, text: string): RegExpMatchArray[] {
  return [...text.matchAll(pattern)];
}

/** `core/{lsn,uuid}.ts` is two files. */
function alternatives(cited: string): string[] {
  const [, before = "", list, after = ""] = /^(.*?)\{([^}]*)\}(.*)$/.exec(cited) ?? [];
  return list === undefined ? [cited] : list.split(",").flatMap((one) => alternatives(before + one + after));
}

/** By its whole path, by the end of its path, or relative to the file that cites it; `*` stands for any text without a slash. */
function isMeant(cited: string, from: string, file: string): boolean {
  const near = posix.join(posix.dirname(from), cited);
  return [cited.replace(/^(?:\.{1,2}\/)+/, ""), near].some((one) => {
    const pattern = one.replace(/[.+^$(){}|[\]\\]/g, "\\$&").replace(/\*+/g, "[^/]*");
    return new RegExp(`(?:^|/)${pattern}$`).test(file);
  });
}

function hasSection(file: string, section: string, paths: readonly string[]): boolean {
  if (!paths.includes(`docs/${file}`)) return false;
  const text = readFileSync(join(ROOT, "docs", file), "utf8");
  const heading = new RegExp(`^#+ ${section.replaceAll(".", "\\.")}(?:\\.? |$)`, "m");
  return heading.test(text);
}
