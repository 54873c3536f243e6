/**
 * Which folder may import which. Arrows between folders point one way, so that each folder can be read and tested with what is below it.
 * `imports.test.ts` holds the code to it.
 */
import { posix } from "node:path";
import type { Arrow } from "./sources.ts";

/** Files that are in a folder itself and not in one of its subfolders. */
const ITSELF = ".";

/**
 * The subfolders of a folder, from the bottom up. A subfolder may import those on the lines above its own line. Subfolders on the same line
 * import nothing from each other.
 */
export const LADDERS: Readonly<Record<string, readonly (readonly string[])[]>> = {
  "": [
    ["core"],
    ["client", "streams-config"],
    ["runtime"],
    ["replica"],
    // Services meet over the subjects in core/subjects.ts and the bodies in core/wire/ alone.
    ["bridge", "authcallout", "proxy"],
    ["dev"],
    ["cli", "bench", "scripts"],
    ["test"],
  ],
  core: [[ITSELF], ["token", "logs", "graph"], ["wire", "session", "barrier"]],
  "core/graph": [["store"], ["audience"], ["reach"], ["delta"], ["publish", "explain"], [ITSELF]],
  runtime: [["config"], ["log"], [ITSELF], ["nats"]],
  bridge: [["spill", "postgres"], ["progress"], ["rows"], ["streams"], ["commit", "takeover"], ["logs"], [ITSELF]],
  authcallout: [["sessions"], ["barrier", "lookup"], ["revocation"], ["bounds"], ["login"], [ITSELF]],
  proxy: [["edge", "gateway", "console"], [ITSELF]],
  dev: [["testing", "servers", "simulator"], [ITSELF]],
  "test/support": [["servers"], [ITSELF, "clients", "chart"], ["worlds"], ["checks"]],
  bench: [["support"], ["bridge", "edge", "graph", "hostile", "login", "revoke"]],
  cli: [["support", "doctor"], ["commands"], [ITSELF]],
};

/** The arrows that point up or across, and those from or to a folder that has no place in the ladders. */
export function forbiddenArrows(arrows: readonly Arrow[], ladders = LADDERS): Arrow[] {
  return arrows.filter((arrow) => !isAllowed(arrow, ladders));
}

function isAllowed({ from, to }: Arrow, ladders: typeof LADDERS): boolean {
  const parent = commonFolder(from, to);
  const [below, above] = [subfolder(to, parent), subfolder(from, parent)];
  if (below === above) return true;
  const ladder = ladders[parent];
  // The other folders of tests may import each other.
  if (ladder === undefined) return parent.split("/")[0] === "test";
  const rungOf = (name: string) => ladder.findIndex((rung) => rung.includes(name));
  return rungOf(below) >= 0 && rungOf(below) < rungOf(above);
}

function commonFolder(one: string, other: string): string {
  const [ours, theirs] = [posix.dirname(one).split("/"), posix.dirname(other).split("/")];
  const length = ours.findIndex((name, at) => name !== theirs[at]);
  return (length < 0 ? ours : ours.slice(0, length)).join("/");
}

function subfolder(file: string, parent: string): string {
  const below = posix.relative(parent, posix.dirname(file));
  return below === "" ? ITSELF : (below.split("/")[0] as string);
}
