/** Documents, help and error texts name commands and options that the command line has. */
import assert from "node:assert/strict";
import type { Command } from "commander";
import { createProgram } from "../../cli/program.ts";
import { allPaths, citingSources, type Source } from "./citations.ts";

const program = createProgram({
  out: () => {},
  err: { write: () => true },
  env: {},
  signals: process,
  colours: false,
  secrets: [],
  debug: false,
  exitCode: 0,
});
/** A changelog names commands as they were; tests name some that must be refused. */
const OTHERS = /^(CHANGELOG\.md|test\/|docs\/adr\/)/;
/** In backticks, after a prompt, or at the start of a line of a code block. */
const CALL = /(?:`|\$ |^ *(?:sudo (?:-u \S+ )?)?)arvados-nats ([a-z-][^`\n|;&)]*)/gm;

/** The calls of `arvados-nats` in a text that the command line does not know. */
function unknownCalls({ path, text }: Source): string[] {
  return [...text.matchAll(CALL)].flatMap(([, call = ""]) => {
    const reason = whyUnknown(call.trim().split(/\s+/));
    return reason === null ? [] : [`${path}: ${call.trim()}: ${reason}`];
  });
}

function whyUnknown(words: readonly string[]): string | null {
  let command: Command = program;
  const flags = new Set(["--help", "--version"]);
  for (const word of words) {
    for (const { long } of command.options) flags.add(long ?? "");
    // A comment, or a part of a template.
    if (word.startsWith("#") || word.includes("${")) break;
    const flag = /^--[a-z][a-z-]*/.exec(word)?.[0];
    if (flag && !flags.has(flag)) return `no option ${flag}`;
    if (flag || command.commands.length === 0) continue;
    const next = command.commands.find((one) => one.name() === word);
    if (next) command = next;
    else if (command === program && words[0] === word && /^[a-z-]+$/.test(word)) return "no such command";
  }
  return null;
}

describe("what documents and comments say to type", () => {
  it("is known to the command line", () => {
    const sources = citingSources(allPaths()).filter(({ path }) => !OTHERS.test(path));
    assert.deepEqual(sources.flatMap(unknownCalls), []);
    assert.ok(sources.some(({ text }) => text.match(CALL)));
  });

  it("is refused where a command or an option does not exist: negative control", () => {
    const text =
      "Run `arvados-nats brigde`, then `arvados-nats streams apply --profil cluster`.\n    arvados-nats explian a b";
    assert.deepEqual(unknownCalls({ path: "a.md", text }), [
      "a.md: brigde: no such command",
      "a.md: streams apply --profil cluster: no option --profil",
      "a.md: explian a b: no such command",
    ]);
  });
});
