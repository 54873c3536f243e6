/** YAML files as a user wrote them: every scalar stays text, so that `password: 0123` is not the number 123. */
import { readFileSync } from "node:fs";
import { isMap, LineCounter, parseDocument } from "yaml";
import { fault } from "../../core/errors.ts";

export type Section = { [key: string]: unknown };

export function isSection(value: unknown): value is Section {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The file's top section; empty for an empty file. Errors name place and kind only: the text may hold secrets. */
export function readYaml(file: string): Section {
  const unreadable = (reason: string) => fault("config.unreadable", { file, reason });
  const lines = new LineCounter();
  const document = parseDocument(readText(file, unreadable), {
    schema: "failsafe",
    customTags: ["null", "merge"],
    prettyErrors: false,
    lineCounter: lines,
    // Tags such as !!binary stay text too, and are no reason to write to stderr.
    logLevel: "silent",
  });
  const [error] = document.errors;
  if (error) {
    const { line, col } = lines.linePos(error.pos[0]);
    throw unreadable(`line ${line}, column ${col}: ${error.code.toLowerCase().replaceAll("_", " ")}`);
  }
  if (document.contents === null) return {};
  if (!isMap(document.contents)) throw unreadable("it is not a section of keys and values");
  try {
    return document.toJS() as Section;
  } catch {
    throw unreadable("an alias (*name) in it leads nowhere, or too far");
  }
}

/** A secret kept in a file of its own, without the newline at its end; or why it cannot be read. */
export function readSecret(file: string): { text: string } | { wrong: string } {
  try {
    return { text: readText(file, (reason) => new Error(reason)).replace(/\r?\n$/, "") };
  } catch (error) {
    return { wrong: `names ${file}, which cannot be read: ${(error as Error).message}` };
  }
}

const REASONS: Record<string, string> = {
  ENOENT: "there is no such file",
  EACCES: "this user may not read it",
  EISDIR: "it is a folder",
  ENOTDIR: "part of its path is not a folder",
};

function readText(file: string, unreadable: (reason: string) => Error): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "";
    throw unreadable(REASONS[code] ?? (code === "" ? "it is not a file name" : code));
  }
  if (bytes.length > 16 * 1024 * 1024) throw unreadable("it is larger than 16 MiB");
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw unreadable("it is not UTF-8 text");
  }
}
