import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { EventEmitter } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createUser } from "@nats-io/nkeys";
import type { Command } from "commander";
import { createProgram } from "../../cli/program.ts";
import { runCli } from "../../cli/run.ts";
import { failureOf } from "../../cli/support/failure.ts";
import { fault } from "../../core/errors.ts";
import { listen } from "../../runtime/listen.ts";

type Outcome = { code: number; out: string; err: string };

/** The command line in this process, as a terminal would see it. */
async function cli(args: string[], env: Record<string, string> = {}): Promise<Outcome> {
  const [out, err]: [string[], string[]] = [[], []];
  const code = await runCli(args, {
    out: (text) => out.push(text),
    err: { write: (text) => err.push(text) },
    env,
    signals: new EventEmitter(),
  });
  return { code, out: out.join(""), err: err.join("") };
}

/** The same in a process of its own, as it is installed. For commands that import a service: mocha would give them a second copy of our modules. */
function spawned(args: string[], env: Record<string, string> = {}): Promise<Outcome> {
  const bin = fileURLToPath(new URL("../../bin/arvados-nats.js", import.meta.url));
  const options = { env: { PATH: process.env.PATH, ...env }, timeout: 20_000 };
  return new Promise((resolve) => {
    execFile(process.execPath, [bin, ...args], options, (error, out, err) =>
      resolve({ code: error ? Number(error.code ?? -1) : 0, out, err }),
    );
  });
}

function hasNoStack({ err, out }: Outcome): void {
  assert.doesNotMatch(err + out, /^\s+at .*:\d+/m);
}

/** Environment in which `bridge` gets as far as opening ports. Nothing listens on its nats-server's port. */
function bridgeEnv(): Record<string, string> {
  const seed = () => new TextDecoder().decode(createUser().getSeed());
  return {
    ARVADOS_NATS_CLUSTER_ID: "zzzzz",
    ARVADOS_NATS_POSTGRES_DBNAME: "arvados",
    ARVADOS_NATS_POSTGRES_USER: "arvados",
    ARVADOS_NATS_NKEY_BRIDGE_CORE: seed(),
    ARVADOS_NATS_NKEY_BRIDGE_STORE: seed(),
    ARVADOS_NATS_URL: "nats://127.0.0.1:1",
    ARVADOS_NATS_ADMIN_BRIDGE: "127.0.0.1:0",
    ARVADOS_NATS_LOG_FORMAT: "json",
  };
}

describe("arvados-nats", () => {
  let dir: string;
  before(() => {
    dir = mkdtempSync(join(tmpdir(), "arvados-nats-cli-"));
  });
  after(() => rmSync(dir, { recursive: true }));

  const file = (name: string, text: string): string => {
    writeFileSync(join(dir, name), text);
    return join(dir, name);
  };

  describe("with a configuration that is no good", () => {
    it("names a file that cannot be read, and ends with 2", async () => {
      const result = await cli(["config", "print", "--config", "/nowhere/config.yml"]);
      assert.deepEqual(result, {
        code: 2,
        out: "",
        err:
          "arvados-nats: the configuration file /nowhere/config.yml cannot be read: there is no such file\n" +
          "  → check the path given with --config, that this user may read it, and that it is valid YAML\n",
      });
    });

    it("names the line of broken YAML without showing its content", async () => {
      const path = file("broken.yml", 'Clusters:\n  zzzzz:\n    SystemRootToken: "topsecret\n');
      const result = await cli(["bridge", "--config", path]);
      assert.equal(result.code, 2);
      assert.match(
        result.err,
        /^arvados-nats: the configuration file .*broken\.yml cannot be read: line \d+, column \d+: .*\n {2}→ .*\n$/,
      );
      assert.ok(!result.err.includes("topsecret"));
      hasNoStack(result);
    });

    it("says that a file has no cluster, and everything else that is missing", async () => {
      const result = await cli(["bridge", "--config", file("empty.yml", "Clusters: {}\n")]);
      assert.equal(result.code, 2);
      assert.match(result.err, /the configuration has 3 error\(s\):/);
      assert.match(result.err, /empty\.yml: has no cluster under Clusters/);
      assert.match(
        result.err,
        /nkeys\.bridge\.CORE \(ARVADOS_NATS_NKEY_BRIDGE_CORE\): is not set, and bridge needs it/,
      );
      assert.match(result.err, /\n {2}→ correct each line above/);
      hasNoStack(result);
    });

    it("finds the files also by ARVADOS_CONFIG and ARVADOS_NATS_SETTINGS", async () => {
      for (const name of ["ARVADOS_CONFIG", "ARVADOS_NATS_SETTINGS"]) {
        assert.match((await cli(["config", "print"], { [name]: "/nowhere.yml" })).err, /\/nowhere\.yml cannot be read/);
      }
    });
  });

  describe("where a service cannot start", function () {
    this.timeout(30_000);

    it("names the setting of an admin port that is in use, and ends with 2", async () => {
      const holder = createServer();
      const { port } = await listen(holder, { host: "127.0.0.1", port: 0 }, { what: "holder", setting: "-" });
      try {
        const env = { ...bridgeEnv(), ARVADOS_NATS_ADMIN_BRIDGE: `127.0.0.1:${port}` };
        const result = await spawned(["bridge"], env);
        assert.equal(result.code, 2);
        assert.match(
          result.err,
          new RegExp(`arvados-nats: the admin port of bridge cannot listen on 127.0.0.1:${port}: the port is in use`),
        );
        assert.match(result.err, /→ .* choose another port with admin\.bridge \(ARVADOS_NATS_ADMIN_BRIDGE\)/);
        hasNoStack(result);
      } finally {
        holder.close();
      }
    });

    it("says that nats-server does not answer, and ends with 1", async () => {
      const env = bridgeEnv();
      const result = await spawned(["bridge"], env);
      assert.equal(result.code, 1);
      assert.match(
        result.err,
        /arvados-nats: nats-server at nats:\/\/127\.0\.0\.1:1 does not answer: .*ECONNREFUSED.*\n {2}→ check/,
      );
      assert.ok(!result.err.includes(String(env.ARVADOS_NATS_NKEY_BRIDGE_CORE)));
      hasNoStack(result);
    });

    it("says that PostgreSQL does not answer, and ends with 1", async () => {
      const result = await spawned(["setup-db"], {
        ...bridgeEnv(),
        ARVADOS_NATS_POSTGRES_PORT: "1",
        ARVADOS_NATS_POSTGRES_HOST: "127.0.0.1",
      });
      assert.equal(result.code, 1);
      assert.match(result.err, /^arvados-nats: PostgreSQL at 127\.0\.0\.1:1\/arvados does not answer: .*\n {2}→ .*\n$/);
    });
  });

  describe("config print", () => {
    it("shows what is in force, without secrets", async () => {
      const env = { ARVADOS_NATS_TAIL_MAX: "3", ARVADOS_NATS_SYSTEM_ROOT_TOKEN: "topsecret" };
      const { code, out, err } = await cli(["config", "print"], env);
      assert.deepEqual([code, err], [0, ""]);
      assert.match(out, /^session\.tailMax +3 +ARVADOS_NATS_TAIL_MAX$/m);
      assert.match(out, /^arvados\.systemRootToken +\*\*\* +ARVADOS_NATS_SYSTEM_ROOT_TOKEN$/m);
      assert.ok(!out.includes("topsecret"));
    });

    it("shows the same as JSON", async () => {
      const { out } = await cli(["config", "print", "--json"], { ARVADOS_NATS_TAIL_MAX: "3" });
      const rows = JSON.parse(out) as { name: string; value: string | null; origin: string }[];
      assert.deepEqual(
        rows.find(({ name }) => name === "session.tailMax"),
        { name: "session.tailMax", value: "3", origin: "ARVADOS_NATS_TAIL_MAX" },
      );
    });

    it("takes the file's name before the command as well as after it", async () => {
      const path = file("settings.yml", "session: { tailMax: 4 }\n");
      for (const args of [
        ["--settings", path, "config", "print"],
        ["config", "print", "--settings", path],
      ]) {
        assert.match((await cli(args)).out, /session\.tailMax +4 /);
      }
    });
  });

  describe("asked for help", () => {
    const io = { out: () => {}, err: { write: () => {} }, env: {}, signals: new EventEmitter(), colours: false };
    const program = createProgram({ ...io, secrets: [], debug: false, exitCode: 0 });
    const leaves = (command: Command, path: string[] = []): string[][] =>
      command.commands.length === 0
        ? [path]
        : command.commands.flatMap((inner) => leaves(inner, [...path, inner.name()]));

    for (const path of leaves(program)) {
      it(`shows examples of ${path.join(" ")}`, async () => {
        const { code, out } = await cli([...path, "--help"]);
        assert.equal(code, 0);
        assert.match(out, /\nExamples:\n {2}\$ .*arvados-nats /);
      });
    }

    it("lists the commands, and ends with 2 when nothing was asked", async () => {
      const [asked, not] = [await cli(["--help"]), await cli([])];
      assert.equal(asked.code, 0);
      assert.equal(not.code, 2);
      assert.match(asked.out, /\nExamples:\n/);
      for (const name of ["dev", "bridge", "authcallout", "proxy", "setup-db", "streams", "config"]) {
        assert.match(not.out, new RegExp(`^  ${name} `, "m"));
      }
    });

    it("suggests the command that was meant", async () => {
      const { code, err } = await cli(["brigde"]);
      assert.equal(code, 2);
      assert.match(err, /^arvados-nats: unknown command 'brigde'\n\(Did you mean bridge\?\)/);
    });

    it("refuses a port that is none", async () => {
      assert.match((await cli(["dev", "--port", "70000"])).err, /It must be a number from 0 to 65535/);
    });
  });

  it("runs from bin/, and ends with the same code and sentence", async () => {
    const result = await spawned(["config", "print", "--config", "/nowhere.yml"]);
    assert.equal(result.code, 2);
    assert.equal(result.out, "");
    assert.match(result.err, /^arvados-nats: the configuration file \/nowhere\.yml cannot be read/);
    hasNoStack(result);
  });
});

describe("a failure at the command line", () => {
  const told = (error: unknown, debug = false) => failureOf(error, { debug, secrets: ["topsecret"] });

  it("is a sentence and a remedy where we foresaw it, even with --debug", () => {
    for (const debug of [false, true]) {
      assert.deepEqual(told(fault("postgres.no_logical_wal", { level: "replica" }), debug), {
        text:
          "arvados-nats: PostgreSQL has wal_level = replica; logical replication needs `logical`\n" +
          "  → ALTER SYSTEM SET wal_level = 'logical'; then restart PostgreSQL\n",
        exitCode: 2,
      });
    }
    assert.equal(told(fault("nats.unreachable", { url: "x", reason: "y" })).exitCode, 1);
  });

  it("shows the stack of an unexpected error only with --debug", () => {
    const plain = told(new TypeError("x is not a function"));
    assert.match(plain.text, /^arvados-nats: x is not a function\n {2}→ .*--debug/);
    assert.doesNotMatch(plain.text, /cli\.test/);
    assert.match(told(new TypeError("x is not a function"), true).text, /at .*cli\.test/);
    assert.equal(plain.exitCode, 1);
  });

  it("hides secrets, known ones and what looks like one", () => {
    const { text } = told(new Error("cannot use topsecret at postgres://me:hunter22@db"));
    assert.match(text, /cannot use \*\*\* at postgres:\/\/\*\*\*@db/);
  });
});
