/**
 * Replaces by spaces what is not English in a file: code, strings without a space, names between backticks. The prose keeps its
 * line and column. `words.ts` searches it. Pure.
 */
import { extname } from "node:path";

/** Files whose prose is in comments and in strings with a space: titles of tests, error texts, log lines, settings' meanings. */
const PROGRAMS = new Set([".ts", ".js", ".cjs", ".go"]);
/** Files whose prose is in the comments behind a `#` only. */
const HASH_PROGRAMS = new Set([".py", ".sh"]);

const HASH_COMMENT = /(?:^|\s)#[^\n]*/gm;
const BLOCK_COMMENT = /\/\*[\s\S]*?\*\//g;
const BETWEEN_TAGS = /(?<=>)[^<]+(?=<)|<!--[\s\S]*?-->/g;

export function proseOf(path: string, text: string): string {
  const kind = extname(path);
  if (PROGRAMS.has(kind)) return withoutNames(programProse(text));
  if (HASH_PROGRAMS.has(kind) || text.startsWith("#!/usr/bin/env bash")) return withoutNames(keep(text, HASH_COMMENT));
  if (kind === ".css") return withoutNames(keep(text, BLOCK_COMMENT));
  if (kind === ".html") return keep(text, BETWEEN_TAGS);
  return withoutNames(text);
}

/** A span of a program, by what it begins with. What precedes a slash shows whether it begins a regular expression or is a division. */
const SPAN =
  /(?<comment>\/\*[\s\S]*?\*\/|\/\/[^\n]*)|(?<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\[\s\S]|[^`\\])*`)|(?<=(?:[(,=:[!&|?{};+]|=>|return)\s*)\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\//g;

function programProse(text: string): string {
  const kept: [start: number, text: string][] = [];
  for (const span of text.matchAll(SPAN)) {
    const { comment, string } = span.groups ?? {};
    if (comment !== undefined) kept.push([span.index, comment]);
    else if (string?.includes(" ")) kept.push([span.index, withoutExpressions(string)]);
  }
  return overlay(text, kept);
}

/** The string without its quotes and without the code that a template holds. */
function withoutExpressions(string: string): string {
  return string.replace(/^.|.$|\$\{[^}]*\}/gs, blank);
}

/** A name between backticks is code. A template's own backticks are gone by now. */
function withoutNames(prose: string): string {
  return prose.replace(/`[^`\n]+`/g, blank);
}

function keep(text: string, pattern: RegExp): string {
  return overlay(
    text,
    [...text.matchAll(pattern)].map((match) => [match.index, match[0]]),
  );
}

/** The kept spans at their places; everything between them blank. */
function overlay(text: string, kept: readonly [start: number, text: string][]): string {
  let prose = "";
  for (const [start, span] of kept) prose += blank(text.slice(prose.length, start)) + span;
  return prose + blank(text.slice(prose.length));
}

function blank(text: string): string {
  return text.replace(/[^\n]/g, " ");
}
