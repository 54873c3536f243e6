/**
 * helm/nats-values.yaml with the official NATS chart, for real: `NATS_CHART=nats-2.14.2.tgz npm run test:nats-chart` (needs openssl). Renders it,
 * starts its three servers with TLS on loopback, applies the streams with three replicas, and looks whether they are as declared.
 * Not in `npm test`, since the chart is not part of this project.
 */

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { WebSocket } from "ws";
import { parseAllDocuments } from "yaml";
import { freePorts } from "../../dev/free-ports.ts";
import { findNatsServer } from "../../dev/nats-server.ts";
import { publicVariables, seedVariables, type Variables } from "../../streams-config/key-variables.ts";
import { generateKeys, publicKeys } from "../../streams-config/keys.ts";
import { quotedForServer } from "../../streams-config/keys-manifest.ts";
import { helm, type Manifest } from "../support/helm.ts";
import { answers, createProcesses, type Processes } from "../support/processes.ts";
import { step } from "../support/steps.ts";
import { until } from "../support/until.ts";

const VALUES = fileURLToPath(new URL("../../helm/nats-values.yaml", import.meta.url));
const NODES = [0, 1, 2] as const;
const FOLDERS = ["nats", "websocket", "cluster"] as const;
type Ports = { client: number; websocket: number; monitor: number; route: number };

const chart = process.env.NATS_CHART;
if (!chart) {
  process.stderr.write("NATS_CHART is not set: it names the official chart, a folder or a .tgz\n");
  process.exit(2);
}

const dir = mkdtempSync(join(tmpdir(), "arvados-nats-chart-"));
try {
  await using processes = createProcesses();
  await run(chart, processes);
} finally {
  rmSync(dir, { recursive: true, force: true });
}

async function run(chart: string, processes: Processes): Promise<void> {
  const text = await step("rendered", () => conf(chart));
  const ca = await step("certificate", () => certificate(processes));
  const keys = generateKeys();
  const publics = Object.entries(publicVariables(publicKeys(keys)));
  const environment = Object.fromEntries(publics.map(([name, value]) => [name, quotedForServer(value)]));
  const numbers = await freePorts(NODES.length * 4);
  const ports = NODES.map((node): Ports => {
    const [client, websocket, monitor, route] = numbers.slice(node * 4) as [number, number, number, number];
    return { client, websocket, monitor, route };
  });
  const first = ports[0] as Ports;
  await step("three servers, with a leader", () => startServers(processes, text, ports, environment));

  const ours = { ...seedVariables(keys), ...connection(first), NODE_EXTRA_CA_CERTS: ca };
  const streams = async (verb: string) => {
    const { code, text: says } = await processes.cli(["streams", verb, "--profile", "cluster", "--json"], ours).ended;
    assert.equal(code, 0, says);
  };
  await step("streams with three replicas", () => streams("apply"));
  await step("which are as declared", () => streams("check"));
  await step("a foreign origin is refused, the allowed one is not", async () => {
    assert.equal(await upgrade(first, "https://evil.example.org", ca), 403);
    assert.equal(await upgrade(first, "https://workbench.example.org", ca), 101);
  });
  await step("without our CA nobody connects", async () => {
    const { code, text: says } = await processes.cli(["streams", "check"], { ...ours, NODE_EXTRA_CA_CERTS: "" }).ended;
    assert.equal(code, 1);
    assert.match(says, /certificate/);
  });
}

function connection({ client }: Ports): Variables {
  return { ARVADOS_NATS_CLUSTER_ID: "zzzzz", ARVADOS_NATS_URL: `tls://localhost:${client}` };
}

async function conf(chart: string): Promise<string> {
  const { ok, out, err } = await helm(
    "template",
    "nats",
    chart,
    "-n",
    "nats",
    "-f",
    VALUES,
    "--kube-version",
    "1.36.0",
  );
  assert.ok(ok, err);
  const manifests = parseAllDocuments(out).map((document) => document.toJS() as Manifest | null);
  const text = manifests.find((manifest) => manifest?.data?.["nats.conf"])?.data?.["nats.conf"];
  assert.ok(text, "no nats.conf was rendered");
  return text;
}

/** One for all three servers and all purposes. */
async function certificate(processes: Processes): Promise<string> {
  const [crt, key] = [join(dir, "tls.crt"), join(dir, "tls.key")];
  const names = "subjectAltName=DNS:localhost,IP:127.0.0.1";
  const usage = "extendedKeyUsage=serverAuth,clientAuth";
  const what = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"];
  const args = [...what, "-addext", names, "-addext", usage, "-keyout", key, "-out", crt];
  const { code, text } = await processes.start("openssl", args).ended;
  assert.equal(code, 0, text);
  for (const folder of FOLDERS) {
    mkdirSync(join(dir, folder));
    writeFileSync(join(dir, folder, "tls.crt"), readFileSync(crt));
    writeFileSync(join(dir, folder, "tls.key"), readFileSync(key));
  }
  return crt;
}

async function startServers(processes: Processes, text: string, ports: Ports[], env: Variables): Promise<void> {
  const { path } = await findNatsServer();
  for (const [node, own] of ports.entries()) {
    const home = join(dir, `nats-${node}`);
    mkdirSync(home);
    writeFileSync(join(home, "nats.conf"), localized(text, home, own, ports));
    processes.start(path, ["-c", join(home, "nats.conf")], { ...env, SERVER_NAME: `nats-${node}` });
  }
  // Without parameters it asks for JetStream too, which needs a leader.
  await until(
    async () =>
      (await Promise.all(ports.map(({ monitor }) => answers(`http://127.0.0.1:${monitor}/healthz`)))).every(Boolean),
    "three healthy servers",
    30_000,
  );
}

/** Only what a pod's surroundings give is changed: mounts, ports, names of the other pods. */
function localized(text: string, home: string, own: Ports, all: Ports[]): string {
  const routes = (_: string, node: string) => `localhost:${all[Number(node)]?.route}`;
  const changes: [RegExp, string | ((whole: string, node: string) => string)][] = [
    [/"\/data"/g, JSON.stringify(join(home, "data"))],
    [/\/var\/run\/nats\//g, `${home}/`],
    [/\/etc\/nats-certs\//g, `${dir}/`],
    [/\/etc\/nats-ca-cert\/ca\.crt/g, join(dir, "tls.crt")],
    [/nats-(\d)\.nats-headless[\w.-]*:6222/g, routes],
    [/"port": 4222/, `"host": "127.0.0.1", "port": ${own.client}`],
    [/"port": 8080/, `"host": "127.0.0.1", "port": ${own.websocket}`],
    [/"port": 6222/, `"host": "127.0.0.1", "port": ${own.route}`],
    [/"http_port": 8222/, `"http": "127.0.0.1:${own.monitor}"`],
  ];
  return changes.reduce((result, [there, here]) => {
    assert.match(result, there);
    return typeof here === "string" ? result.replace(there, here) : result.replace(there, here);
  }, text);
}

/** The status with which nats-server answers a WebSocket upgrade. */
function upgrade({ websocket }: Ports, origin: string, ca: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`wss://localhost:${websocket}`, { origin, ca: readFileSync(ca) });
    socket.on("open", () => {
      resolve(101);
      socket.terminate();
    });
    socket.on("unexpected-response", (_request, response) => {
      resolve(response.statusCode ?? 0);
      socket.terminate();
    });
    socket.on("error", reject);
  });
}
