/**
 * nats-server's files as a power loss may leave them. A copy says what was synced; of what was written since, a file system keeps
 * nothing, or some files and not others, or a file's length without a page of its content.
 */
import { cp, open, readdir, rm, stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import type { NatsServer } from "../../dev/servers/nats-server.ts";

export type Synced = AsyncDisposable & {
  /** Of RECORDS' block files, by name: bytes. */
  blocks: ReadonlyMap<string, number>;
  /** All files as they were then. The server must not be running. */
  putBack(): Promise<void>;
  /** RECORDS' messages as they were then, its index as it is now. The server must not be running. */
  cutBlocks(): Promise<void>;
  /** Fills a page of RECORDS' messages with zeros that was written since; `at` in [0, 1) says which. False = none was. The server must not be running. */
  zeroPage(at: number): Promise<boolean>;
};

const PAGE = 4_096;

/** What the server has written by now counts as synced. It stands still meanwhile. */
export async function syncedNow({ pid, dir }: NatsServer): Promise<Synced> {
  const store = join(dir, "store");
  const copy = join(dir, "synced");
  const messages = join(store, "jetstream", "STORE", "streams", "RECORDS", "msgs");
  process.kill(pid, "SIGSTOP");
  await cp(store, copy, { recursive: true });
  const blocks = await blocksIn(messages);
  process.kill(pid, "SIGCONT");
  const unsynced = async () => {
    const now = await blocksIn(messages);
    return [...now].map(([name, size]) => ({ path: join(messages, name), from: blocks.get(name) ?? 0, size }));
  };
  return {
    blocks,
    async putBack() {
      await rm(store, { recursive: true });
      await cp(copy, store, { recursive: true });
    },
    async cutBlocks() {
      for (const { path, from, size } of await unsynced()) if (from < size) await truncate(path, from);
    },
    async zeroPage(at) {
      const pages = (await unsynced()).flatMap(({ path, from, size }) => {
        const first = Math.ceil(from / PAGE);
        const count = Math.max(0, Math.ceil(size / PAGE) - first);
        return Array.from({ length: count }, (_, index) => ({ path, from: (first + index) * PAGE, size }));
      });
      const page = pages[Math.floor(at * pages.length)];
      if (!page) return false;
      const file = await open(page.path, "r+");
      const zeros = Buffer.alloc(Math.min(PAGE, page.size - page.from));
      await file.write(zeros, 0, zeros.length, page.from);
      await file.close();
      return true;
    },
    [Symbol.asyncDispose]: () => rm(copy, { recursive: true, force: true }),
  };
}

async function blocksIn(folder: string): Promise<Map<string, number>> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".blk"));
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).size));
  return new Map(names.map((name, index) => [name, sizes[index] as number]));
}
