/** The files crunch-run writes while a container runs (docs/arvados-permissions.md 7): what a container's own token may publish, by literal name. */
export const LOG_FILES = [
  "crunch-run.txt",
  "stdout.txt",
  "stderr.txt",
  "arv-mount.txt",
  "crunchstat.txt",
  "hoststat.txt",
  "node-info.txt",
  "node.json",
  "container.json",
  "keepstore.txt",
] as const;

/** Largest message of a log, headers included. Every publisher of a log must stay below it. */
export const LOG_MESSAGE_BYTES = 16 * 1024;
