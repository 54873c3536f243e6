import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { SERVICE_VERSION } from "../../runtime/version.ts";
import { generateKeys } from "../../streams-config/keys.ts";
import { keysEnvironmentFiles } from "../../streams-config/keys-manifest.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");
const UNITS = readdirSync(join(ROOT, "packaging/systemd")).map((name) => join("packaging/systemd", name));

describe("the image", () => {
  const instructions = read("Dockerfile");
  const last = instructions.slice(instructions.lastIndexOf("\nFROM "));

  it("runs as a number that is not root's, with production packages only", () => {
    assert.match(last, /^USER [1-9]\d*:[1-9]\d*$/m);
    assert.match(instructions, /npm prune --omit=dev/);
    assert.doesNotMatch(last, /^RUN /m);
  });

  it("has the package's version", () => {
    assert.match(last, new RegExp(`^ARG VERSION=${SERVICE_VERSION}$`, "m"));
  });

  it("hands signals to the service itself", () => {
    assert.match(last, /^ENTRYPOINT \["node", /m);
  });
});

describe("systemd units", () => {
  for (const unit of UNITS) {
    it(`${unit} gives its program no more than it needs`, () => {
      const text = read(unit);
      for (const line of [
        "DynamicUser=yes",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "PrivateTmp=yes",
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
        "SystemCallFilter=@system-service",
      ])
        assert.ok(text.split("\n").includes(line), line);
      // A line's comment would be part of its value.
      assert.doesNotMatch(text, /^\w+=.* #/m);
    });
  }

  it("read the files that `arvados-nats keys --write` makes", () => {
    const written = Object.keys(keysEnvironmentFiles(generateKeys()));
    const wanted = UNITS.flatMap((unit) =>
      [...read(unit).matchAll(/^EnvironmentFile=\/etc\/arvados-nats\/keys\/(\S+)$/gm)].map(
        ([, file]) => file as string,
      ),
    );
    const services = ["bridge", "authcallout", "proxy"];
    const files = wanted.flatMap((file) =>
      file.startsWith("%i") ? services.map((name) => file.replace("%i", name)) : [file],
    );
    assert.deepEqual(files.sort(), written.sort());
  });

  it("give a service longer to end than it drains", () => {
    assert.match(read("packaging/systemd/arvados-nats@.service"), /^TimeoutStopSec=45s$/m);
  });
});

describe("nginx", () => {
  it("lets a socket live, and keeps queries out of its log", () => {
    const text = read("packaging/nginx/arvados-nats.conf");
    const socket = /location = \/nats \{[^}]*\}/.exec(text)?.[0] ?? "";
    assert.match(socket, /proxy_read_timeout 1h;/);
    assert.match(socket, /proxy_set_header Upgrade \$http_upgrade;/);
    assert.match(socket, /proxy_buffering off;/);
    assert.match(socket, /proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for;/);
    const format = /log_format arvados_nats .*;/.exec(text)?.[0] ?? "";
    assert.doesNotMatch(format, /\$request |\$request_uri|\$args|\$query_string/);
  });
});

describe("docs/install.md", () => {
  it("names files, commands and values that exist", () => {
    const page = read("docs/install.md");
    for (const [, path] of page.matchAll(/\b((?:packaging|helm)\/[\w./-]+\.\w+)/g))
      assert.ok(read(path as string), path);
    const scripts = (JSON.parse(read("package.json")) as { scripts: object }).scripts;
    for (const [, script] of page.matchAll(/npm run (?:-s )?([\w:]+)/g))
      assert.ok((script as string) in scripts, script);
    const help = execFileSync(process.execPath, ["--import", "tsx", "cli/main.ts", "--help"], {
      cwd: ROOT,
      encoding: "utf8",
    });
    for (const [, command] of page.matchAll(/arvados-nats ([a-z][a-z-]*)(?= |`|$)/gm))
      if (command !== "bridge") assert.ok(help.includes(`  ${command} `) || help.includes(`  ${command}\n`), command);
  });

  it("shows values that the chart takes", async () => {
    const { template } = await import("../support/chart/helm.ts");
    const dir = mkdtempSync(join(tmpdir(), "arvados-nats-install-"));
    try {
      const example = /```yaml\n([\s\S]*?)```/.exec(read("docs/install.md"))?.[1] ?? "";
      writeFileSync(join(dir, "values.yaml"), example.replace(/^ {3}/gm, ""));
      const { ok, err } = await template("-f", join(dir, "values.yaml"));
      assert.ok(ok, err);
      const sets = [...read("docs/install.md").matchAll(/--set (\S+)/g)].flatMap(([, set]) => ["--set", set as string]);
      const tryout = await template(...sets);
      assert.ok(sets.length > 6 && tryout.ok, tryout.err);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});
