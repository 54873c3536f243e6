import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { access, chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import pg from "pg";
import { Fault } from "../../../core/errors.ts";
import { type PostgresServer, startPostgres } from "../../../dev/servers/postgres.ts";
import {
  binariesFor,
  cacheEntry,
  cacheFolder,
  canEnter,
  openFolder,
  postgresUser,
  type RunAs,
} from "../../../dev/servers/postgres-place.ts";
import { until } from "../../../dev/testing/until.ts";

const run = promisify(execFile);

describe("the embedded PostgreSQL", () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "arvados-nats-test-"));
    await chmod(folder, 0o755);
  });

  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  it("listens on loopback only, with logical WAL, in UTC, as a superuser with a random password", async () => {
    await using server = await startPostgres();
    await server.createDatabase("arvados");
    assert.deepEqual(
      await ask(server.url("arvados"), [
        "SELECT current_setting('wal_level') || ' ' || current_setting('TimeZone') AS it",
        "SELECT current_setting('listen_addresses') || current_setting('unix_socket_directories') AS it",
        "SELECT current_setting('max_replication_slots') || ' ' || current_setting('wal_sender_timeout') AS it",
        "SELECT current_setting('server_encoding') AS it",
      ]),
      ["logical UTC", "127.0.0.1", "32 1min", "UTF8"],
    );
    assert.match(
      server.url("arvados"),
      new RegExp(`^postgresql://arvados:[\\w-]{32}@127\\.0\\.0\\.1:${server.port}/arvados$`),
    );
    await assert.rejects(ask(server.url("arvados").replace(server.password, "guess"), ["SELECT 1 AS it"]), /password/);
  });

  it("leaves no process and no folder when it is stopped", async () => {
    const server = await startPostgres();
    await server.stop();
    await server.stop();
    assert.equal(isAlive(server.pid), false);
    await assert.rejects(access(server.dataDir));
    assert.equal((await server.exited).code, 0);
  });

  it("stops although a replication reader confirms nothing", async () => {
    const dataDir = join(folder, "data");
    const server = await startPostgres({ dataDir });
    await ask(server.url("postgres"), ["SELECT pg_create_logical_replication_slot('slow', 'pgoutput') AS it"]);
    const reader = new pg.Client({ connectionString: `${server.url("postgres")}?replication=database` });
    reader.on("error", () => {}); // It is cut off below.
    await reader.connect();
    await ask(server.url("postgres"), ["CREATE PUBLICATION p", "SELECT pg_logical_emit_message(true, 'p', 'x') AS it"]);
    const stream = reader.query(
      `START_REPLICATION SLOT slow LOGICAL 0/0 (proto_version '1', publication_names 'p', messages 'true')`,
    );
    const cut = assert.rejects(stream);
    const sent = "SELECT count(*)::text AS it FROM pg_stat_replication WHERE state = 'streaming' AND flush_lsn IS NULL";
    await until(async () => (await ask(server.url("postgres"), [sent]))[0] === "1", "the reader to stream");
    await server.stop();
    await cut;
    assert.equal(isAlive(server.pid), false);
  });

  it("keeps a data folder that it was given, and what was committed in it before kill -9", async () => {
    const dataDir = join(folder, "data");
    const first = await startPostgres({ dataDir });
    await ask(first.url("postgres"), ["CREATE TABLE t (n int)", "INSERT INTO t VALUES (7)"]);
    await first.kill9();
    assert.equal((await first.exited).signal, "SIGKILL");
    // At once, on the same port: nothing of the first one holds on to either.
    const second = await startPostgres({ dataDir, port: first.port });
    assert.deepEqual(await ask(second.url("postgres"), ["SELECT n::text AS it FROM t"]), ["7"]);
    await first.stop();
    assert.equal(isAlive(second.pid), true);
    await second.stop();
    await access(join(dataDir, "PG_VERSION"));
  });

  it("names the remedy when the port is taken", async () => {
    const squatter = createServer().listen(0, "127.0.0.1");
    await once(squatter, "listening");
    const address = squatter.address();
    assert(typeof address === "object" && address !== null);
    try {
      await assert.rejects(startPostgres({ port: address.port, portSetting: "--postgres-port" }), (error) => {
        assert(error instanceof Fault);
        assert.equal(error.code, "port.occupied");
        assert.equal(error.message, `PostgreSQL cannot listen on 127.0.0.1:${address.port}: the port is in use`);
        assert.match(error.remedy, /--postgres-port/);
        return true;
      });
    } finally {
      squatter.close();
    }
  });

  it("says why it cannot start", async () => {
    const dataDir = join(folder, "data");
    await mkdir(dataDir);
    await writeFile(join(dataDir, "PG_VERSION"), "9\n");
    await writeFile(join(dataDir, "superuser-password"), "x\n");
    await assert.rejects(startPostgres({ dataDir }), /PostgreSQL ended while it started .*configuration file/);
  });

  it("refuses a folder that holds something else", async () => {
    await writeFile(join(folder, "thesis.tex"), "");
    await assert.rejects(startPostgres({ dataDir: folder }), /neither empty nor a PostgreSQL data folder/);
    assert.equal((await stat(folder)).mode & 0o777, 0o755);
  });

  it("gives PostgreSQL nothing of the environment but the path", async () => {
    process.env.ARVADOS_API_TOKEN = "secret";
    try {
      await using server = await startPostgres();
      assert(!(await readFile(`/proc/${server.pid}/environ`, "utf8")).includes("ARVADOS_API_TOKEN"));
    } finally {
      delete process.env.ARVADOS_API_TOKEN;
    }
  });

  it("clones a database and drops one that has sessions and a replication slot", async () => {
    await using server = await startPostgres();
    await server.createDatabase("original");
    await ask(server.url("original"), ["CREATE TABLE t AS SELECT 1 AS n"]);
    await server.createDatabase("copy", { template: "original" });
    assert.deepEqual(await ask(server.url("copy"), ["SELECT n::text AS it FROM t"]), ["1"]);
    const session = new pg.Client({ connectionString: server.url("copy") });
    session.on("error", () => {}); // It is cut off below.
    await session.connect();
    await session.query("SELECT pg_create_logical_replication_slot('s', 'pgoutput')");
    await server.dropDatabase("copy");
    await server.dropDatabase("copy");
    await assert.rejects(ask(server.url("copy"), ["SELECT 1 AS it"]), /does not exist/);
  });

  it("ends and tidies up when its parent is killed", async () => {
    const fixture = fileURLToPath(new URL("./parent-fixture.ts", import.meta.url));
    const parent = spawn(process.execPath, ["--import", "tsx", fixture], { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = await once(createInterface({ input: parent.stdout }), "line");
    const { pid, dataDir } = JSON.parse(String(line)) as { pid: number; dataDir: string };
    assert.equal(isAlive(pid), true);
    parent.kill("SIGKILL");
    await until(async () => !isAlive(pid) && (await isMissing(dataDir)), "the end of process and folder");
  });

  describe("in a checkout that its user cannot enter", () => {
    let as: RunAs;
    let closed: string;

    beforeEach(async () => {
      as = await postgresUser();
      closed = join(folder, "closed");
      await mkdir(closed, { mode: 0o700 });
    });

    it("sees whether it can, by trying", async () => {
      assert.equal(await canEnter(folder, as), true);
      assert.equal(await canEnter(join(folder, "missing"), as), false);
      // Without root PostgreSQL runs as ourselves, to whom the folder is open.
      assert.equal(await canEnter(closed, as), as === null);
    });

    it("runs its programs from a copy in an open place, which is made once", async () => {
      const native = join(closed, "native");
      const programs = await binariesFor(as);
      const installed = join(programs.postgres, "..", "..");
      // Hard links; another file system gets a real copy.
      await run("cp", ["-al", installed, native]).catch(() => run("cp", ["-a", `${installed}/.`, native]));
      const open = join(folder, "open");
      await mkdir(open);
      const copy = await binariesFor(as, { native, open });
      assert.equal(copy.version, programs.version);
      if (as === null) return assert.equal(copy.postgres, join(native, "bin", "postgres"));
      const [entry, ...others] = await readdir(open);
      assert.deepEqual(others, []);
      assert.equal(copy.postgres, join(open, entry!, "bin", "postgres"));
      assert.deepEqual(await binariesFor(as, { native, open }), copy);
    });

    it("keeps its cache in the checkout only if it can be entered", async () => {
      assert.equal(await cacheFolder(as, join(folder, ".cache")), join(folder, ".cache"));
      const inClosed = await cacheFolder(as, join(closed, ".cache"));
      assert.equal(inClosed, as === null ? join(closed, ".cache") : `/var/tmp/arvados-nats-${process.getuid?.()}`);
    });

    it("puts the data of a closed folder into an open place, the same each time", async () => {
      const dataDir = join(closed, "data");
      const first = await startPostgres({ dataDir });
      await ask(first.url("postgres"), ["CREATE TABLE kept ()"]);
      await first.stop();
      const second = await startPostgres({ dataDir });
      try {
        assert.equal(second.dataDir, first.dataDir);
        assert.equal(second.dataDir === dataDir, as === null);
        assert.deepEqual(await ask(second.url("postgres"), ["SELECT 'kept'::regclass::text AS it"]), ["kept"]);
      } finally {
        await second.stop();
        await rm(second.dataDir, { recursive: true });
      }
    });

    it("refuses an open place that another user could have filled", async () => {
      const path = join(folder, `arvados-nats-${process.getuid?.()}`);
      assert.equal(await openFolder(folder), path);
      assert.equal(await openFolder(folder), path);
      await chmod(path, 0o777);
      await assert.rejects(openFolder(folder), /remove it and start again/);
    });
  });

  describe("making a cache entry", () => {
    it("lets one of two processes win and leaves nothing half copied", async () => {
      const path = join(folder, "entry");
      const make = (text: string) =>
        cacheEntry(path, async (part) => {
          await mkdir(part);
          await writeFile(join(part, "who"), text);
        });
      await Promise.all([make("one"), make("two")]);
      assert.match(await readFile(join(path, "who"), "utf8"), /^(one|two)$/);
      assert.deepEqual(await readdir(folder), ["entry"]);
    });

    it("leaves nothing when the maker fails", async () => {
      const failing = cacheEntry(join(folder, "entry"), async (part) => {
        await mkdir(part);
        throw new Error("disk full");
      });
      await assert.rejects(failing, /disk full/);
      assert.deepEqual(await readdir(folder), []);
    });
  });
});

/** Runs statements one after the other; the column `it` of those that answer. */
async function ask(url: string, statements: string[]): Promise<string[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const answers: string[] = [];
    for (const sql of statements) {
      const { rows } = await client.query<{ it: string }>(sql);
      if (rows[0] !== undefined) answers.push(rows[0].it);
    }
    return answers;
  } finally {
    await client.end();
  }
}

function isAlive(pid: PostgresServer["pid"]): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function isMissing(path: string): Promise<boolean> {
  return access(path).then(
    () => false,
    () => true,
  );
}
