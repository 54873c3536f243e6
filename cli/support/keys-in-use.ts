/** The seeds that an installation runs with, from where `arvados-nats keys` wrote them. No error repeats what is read. */
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { fault } from "../../core/errors.ts";
import { isSection, type Section } from "../../runtime/config/file.ts";
import type { Variables } from "../../streams-config/key-variables.ts";

/** @param place the folder of environment files, or a file (`-`: standard input) with the Secret as kubectl prints it */
export async function readKeysInUse(place: string): Promise<Variables> {
  const file = place === "-" ? "/dev/stdin" : place;
  try {
    return (await stat(file)).isDirectory() ? await fromFolder(file) : fromSecret(await readFile(file, "utf8"));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw fault("config.unreadable", { file, reason: code }, { cause: error });
  }
}

async function fromFolder(folder: string): Promise<Variables> {
  const files = (await readdir(folder)).filter((name) => name.endsWith(".env"));
  const texts = await Promise.all(files.map((name) => readFile(join(folder, name), "utf8")));
  const pairs = texts.join("\n").matchAll(/^([A-Z_]+)=(.*)$/gm);
  return Object.fromEntries([...pairs].map(([, name, value]) => [name, value]));
}

/** `data` is base64, as Kubernetes returns it; `stringData` as we print it. */
function fromSecret(text: string): Variables {
  const documents = parseAllDocuments(text, { logLevel: "silent" });
  const secrets = documents.map((document) => (document.errors.length > 0 ? null : (document.toJS() as unknown)));
  const values = secrets.flatMap((secret) => {
    const { data, stringData } = isSection(secret) ? secret : ({} as Section);
    const decoded = Object.entries(isSection(data) ? data : {}).map(([name, value]) => [
      name,
      Buffer.from(String(value), "base64").toString(),
    ]);
    return [...decoded, ...Object.entries(isSection(stringData) ? stringData : {})];
  });
  return Object.fromEntries(values.map(([name, value]) => [name, String(value)]));
}
