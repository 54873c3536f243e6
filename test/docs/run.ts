/**
 * docs/install.md, "Plain hosts", from top to bottom on a machine of its own: `npm run test:install` (as root on Debian with systemd). Its commands
 * are taken from the page letter by letter; only the first block, which the page asks its reader to edit, is edited. Around them stands what an
 * Arvados host has: PostgreSQL with Arvados' tables, /etc/arvados/config.yml, nginx with a certificate.
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { CLOSE_CODES } from "../../core/close-codes.ts";
import { runStep } from "../support/servers/steps.ts";
import { type Host, type ShellOptions, startHost } from "./host.ts";
import { type Block, blocksOf, edited } from "./page.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const PAGE = readFileSync(`${ROOT}docs/install.md`, "utf8");
const DOOR = "events.example.org";
const PACKAGES = "postgresql nginx-light openssl curl";
const DATABASE = "postgresql://arvados:secret@127.0.0.1:5432/arvados_production";
const ROOT_TOKEN = "r".repeat(50);
const SERVICES = ["bridge", "authcallout", "proxy"] as const;

await using host = await runStep("a machine with systemd", () => startHost([DOOR, "nats.example.org"]));
await runStep(`Debian's ${PACKAGES}`, () =>
  host.must(
    `export DEBIAN_FRONTEND=noninteractive
     apt-get update -qq && apt-get install -y -qq --no-install-recommends ${PACKAGES}
     systemctl start postgresql nginx`,
    { online: true },
  ),
);
const { token, alice } = await runStep("Arvados: tables, people, configuration, a certificate for nginx", () =>
  makeArvados(host),
);
await runStep("a checkout", () => checkOut(host));

const [sql] = blocksOf(PAGE, "The database");
await runStep("The database", () => psql(host, sql as Block));
await runStep("  then restart PostgreSQL", () => host.must("systemctl restart postgresql"));

const [first, ...blocks] = blocksOf(PAGE, "Plain hosts");
const variables = edited(first?.text ?? "", { TOKEN: token });
for (const { title, text } of blocks) {
  // As somebody who works in Arvados meanwhile.
  if (title === "Check")
    await host.must(`systemd-run -q --unit work --working-directory=${ROOT} ${program("work")} ${alice}`);
  const outcome = await runStep(title, () => host.must(`${variables}\n${text}`, surroundings(title)));
  if (title === "Check") {
    assert.match(outcome, /^login: admitted/m);
    assert.match(outcome, /^event: create of zzzzz-/m);
  }
}
await check(host);

/** The programs are fetched from registries; nginx' certificate is of a CA that a browser would know. */
function surroundings(title: string): ShellOptions {
  if (title === "Programs") return { online: true };
  return title === "Check" ? { env: { NODE_EXTRA_CA_CERTS: "/root/site-ca.crt" } } : {};
}

function program(what: string): string {
  return `${process.execPath} --import tsx ${ROOT}test/docs/arvados.ts ${what} ${DATABASE}`;
}

async function makeArvados(host: Host): Promise<{ token: string; alice: string }> {
  await host.must(
    `cd /tmp && su postgres -c "psql -q -v ON_ERROR_STOP=1" <<'SQL'
CREATE ROLE arvados LOGIN PASSWORD 'secret';
CREATE DATABASE arvados_production OWNER arvados;
SQL
mkdir -p /etc/arvados && install -m 600 /dev/null /etc/arvados/config.yml && cat > /etc/arvados/config.yml <<'EOF'
Clusters:
  zzzzz:
    SystemRootToken: ${ROOT_TOKEN}
    PostgreSQL:
      Connection: { host: 127.0.0.1, port: "5432", dbname: arvados_production, user: arvados, password: secret, sslmode: disable }
EOF
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=${DOOR} -addext subjectAltName=DNS:${DOOR} \\
  -keyout /etc/ssl/private/${DOOR}.key -out /etc/ssl/certs/${DOOR}.pem
cp /etc/ssl/certs/${DOOR}.pem /root/site-ca.crt`,
  );
  const said = await host.must(`cd ${ROOT} && ${program("seed")}`);
  const [token = "", alice = ""] = said.trim().split("\n").at(-1)?.split(" ") ?? [];
  return { token, alice };
}

/** What git would give: no dependency, nothing built. */
async function checkOut(host: Host): Promise<void> {
  const files = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: ROOT });
  await host.must(
    `mkdir /root/checkout && tar -C ${ROOT} -c --null -T - | tar -C /root/checkout -x && cd /root/checkout`,
    {
      input: files.toString(),
    },
  );
}

async function psql(host: Host, { language, text }: Block): Promise<void> {
  assert.equal(language, "sql");
  await host.must(
    `cat > /tmp/page.sql; su postgres -c "psql -q -v ON_ERROR_STOP=1 -f /tmp/page.sql arvados_production"`,
    {
      input: text,
    },
  );
}

/** What the page promises without a command. */
async function check(host: Host): Promise<void> {
  const units = ["arvados-nats-server", ...SERVICES.map((name) => `arvados-nats@${name}`)];
  await runStep("nobody runs as root, and nobody had to be started twice", async () => {
    for (const unit of units) {
      const shown = await host.must(`systemctl show -p MainPID -p NRestarts -p DynamicUser ${unit}`);
      assert.match(shown, /^NRestarts=0$/m, unit);
      const pid = /^MainPID=(\d+)$/m.exec(shown)?.[1];
      const status = await host.must(`cat /proc/${pid}/status`);
      assert.doesNotMatch(status, /^Uid:\s+0\s/m, unit);
      assert.match(status, /^CapBnd:\s+0+$/m, unit);
      assert.match(status, /^NoNewPrivs:\s+1$/m, unit);
    }
  });
  await runStep("no log has a secret", async () => {
    const log = await host.must("journalctl --no-pager");
    for (const secret of [ROOT_TOKEN, token.split("/")[2] as string, "change-me"]) assert.ok(!log.includes(secret));
    assert.doesNotMatch(log, /S[AUX][A-Z2-7]{56}/);
  });
  await runStep("clients need TLS, and pages the right origin", async () => {
    // What comes first: INFO, or the reason for the end.
    const opened = (origin: string) =>
      host.must(
        `cd ${ROOT} && ${process.execPath} -e '
           const socket = new (require("ws"))("wss://${DOOR}/nats", { origin: "${origin}" });
           socket.on("message", (text) => { console.log(String(text)); socket.terminate(); });
           socket.on("close", (code) => console.log("closed", code));'`,
        { env: { NODE_EXTRA_CA_CERTS: "/root/site-ca.crt" } },
      );
    assert.match(await opened("https://workbench.example.org"), /^INFO /);
    assert.match(await opened("https://evil.example.org"), new RegExp(`^closed ${CLOSE_CODES.originRefused.code}`));
    const stranger = await host.shell(
      "openssl s_client -connect nats.example.org:8080 -verify_return_error </dev/null",
    );
    assert.notEqual(stranger.code, 0, "its certificate is of a CA that not everybody knows");
  });
  await runStep("every unit ends in order, and comes back", async () => {
    for (const unit of units.toReversed()) {
      await host.must(`systemctl stop ${unit}`);
      assert.match(await host.must(`systemctl show -p Result ${unit}`), /^Result=success$/m, unit);
    }
    await host.must(`systemctl start ${units.join(" ")}`);
    await host.must(
      blocks
        .find(({ title }) => title === "Start")
        ?.text.split("\n")
        .at(-2) ?? "",
    );
  });
}
