/**
 * Part of `npm run check`: refuses the words of `word-list.ts` in comments, titles of tests, messages and documents. `words-allowed.json`
 * gives the number of such words that a file still has. The number may only fall: `npm run words -- --update` lowers it, and follows
 * files that have moved.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { extname } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { proseOf } from "./prose.ts";
import { avoidedWords, type FoundWord } from "./word-list.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const ALLOWED = fileURLToPath(new URL("words-allowed.json", import.meta.url));

const READ = new Set(
  ".ts .js .cjs .go .py .sh .md .html .css .yaml .yml .tpl .txt .conf .service .sql".split(" ").concat(""),
);
/** What names these words in order to refuse them, and what is derived from sources that are checked themselves. */
const SKIPPED =
  /^(?:scripts\/word-list\.ts|test\/docs\/words\.test\.ts|docs\/glossary\.md|docs\/reference\.md|packaging\/nats\/nats-server\.conf|helm\/arvados-nats\/files\/(?:nats\.conf|settings\.yaml)|LICENSE|go\/go\.sum|dev\/arvados-schema\.sql|test\/vectors\/permissions\/.*)$/;

type Allowances = Readonly<Record<string, number>>;

/** Files with more avoided words than they are allowed. */
export function excess(found: ReadonlyMap<string, readonly FoundWord[]>, allowed: Allowances): string[] {
  return [...found].filter(([path, words]) => words.length > (allowed[path] ?? 0)).map(([path]) => path);
}

/**
 * Today's numbers. Undefined if their sum has grown, or if a folder without avoided words now has some: a file that moves may take its
 * number along, and no more.
 */
export function lowered(found: ReadonlyMap<string, readonly FoundWord[]>, allowed: Allowances): Allowances | undefined {
  const counts = Object.fromEntries([...found].map(([path, words]): [string, number] => [path, words.length]));
  const known = new Set(Object.keys(allowed).map(topFolder));
  const isNew = Object.keys(counts).some((path) => !known.has(topFolder(path)));
  return isNew || sum(counts) > sum(allowed) ? undefined : counts;
}

function topFolder(path: string): string {
  return path.split("/")[0] ?? "";
}

function sum(counts: Allowances): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

function wordsByFile(): Map<string, FoundWord[]> {
  const tracked = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
    cwd: ROOT,
    encoding: "utf8",
  });
  const found = new Map<string, FoundWord[]>();
  for (const path of new Set(tracked.trim().split("\n").sort())) {
    if (!READ.has(extname(path)) || SKIPPED.test(path)) continue;
    const text = textOf(path);
    const words = text === undefined ? [] : avoidedWords(proseOf(path, text));
    if (words.length > 0) found.set(path, words);
  }
  return found;
}

/** Undefined where git still lists a file that is deleted. */
function textOf(path: string): string | undefined {
  try {
    return readFileSync(ROOT + path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function main(): void {
  const allowed: Allowances = JSON.parse(readFileSync(ALLOWED, "utf8"));
  const found = wordsByFile();
  const update = process.argv.includes("--update") ? lowered(found, allowed) : undefined;
  if (update !== undefined) writeFileSync(ALLOWED, `${JSON.stringify(update, null, 2)}\n`);
  for (const path of excess(found, update ?? allowed)) {
    const words = found.get(path) ?? [];
    process.stderr.write(`${path}: ${words.length} of ${allowed[path] ?? 0} allowed\n`);
    for (const { line, word, instead } of words)
      process.stderr.write(`  ${path}:${line}: "${word}"; write instead: ${instead}\n`);
    process.exitCode = 1;
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) main();
