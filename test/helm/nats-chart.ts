/**
 * helm/nats-values.yaml with the official NATS chart, for real: `NATS_CHART=nats-2.14.2.tgz npm run test:nats-chart`. Renders it,
 * starts its three servers with TLS on loopback, applies the streams with three replicas, and looks whether they are as declared.
 * Not in `npm test`, since the chart is not part of this project.
 */

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect, nkeyAuthenticator } from "@nats-io/transport-node";
import { WebSocket } from "ws";
import { freePorts } from "../../dev/servers/free-ports.ts";
import { findNatsServer } from "../../dev/servers/nats-server.ts";
import { until } from "../../dev/testing/until.ts";
import { serviceInbox } from "../../streams-config/accounts.ts";
import { publicVariables, seedVariables, type Variables } from "../../streams-config/key-variables.ts";
import { generateKeys, publicKeys, type ServiceKeys } from "../../streams-config/keys.ts";
import { quotedForServer } from "../../streams-config/keys-manifest.ts";
import { declaredStreams } from "../../streams-config/streams.ts";
import { helm, type Manifest, manifestsOf } from "../support/chart/helm.ts";
import { createAuthority } from "../support/servers/certificates.ts";
import { answers, createProcesses, type Processes, type Started } from "../support/servers/processes.ts";
import { runStep } from "../support/servers/steps.ts";
import { schemaErrors } from "./kube-schemas.ts";

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
  const manifests = await runStep("rendered", () => manifestsFrom(chart));
  await runStep(`${manifests.length} manifests as Kubernetes' schemas have them`, () => {
    for (const manifest of manifests)
      assert.deepEqual(schemaErrors(withoutNulls(manifest)), [], `${manifest.kind} ${manifest.metadata.name}`);
  });
  const text = confOf(manifests);
  const ca = await runStep("certificate", certificate);
  const keys = generateKeys();
  const publics = Object.entries(publicVariables(publicKeys(keys)));
  const environment = Object.fromEntries(publics.map(([name, value]) => [name, quotedForServer(value)]));
  const numbers = await freePorts(NODES.length * 4);
  const ports = NODES.map((node): Ports => {
    const [client, websocket, monitor, route] = numbers.slice(node * 4) as [number, number, number, number];
    return { client, websocket, monitor, route };
  });
  const first = ports[0] as Ports;
  const servers = await runStep("three servers, with a leader", () =>
    startServers(processes, text, ports, environment),
  );

  const ours = { ...seedVariables(keys), ...connection(first), NODE_EXTRA_CA_CERTS: ca };
  const streams = async (verb: string) => {
    const { code, text: says } = await processes.cli(["streams", verb, "--profile", "cluster", "--json"], ours).ended;
    assert.equal(code, 0, says);
  };
  await runStep("streams with three replicas", () => streams("apply"));
  await runStep("which are as declared", () => streams("check"));
  await runStep("every one on three servers, none of which lags", () => onThreeServers(keys, first, ca));
  await runStep("a foreign origin is refused, the allowed one is not", async () => {
    assert.equal(await upgrade(first, "https://evil.example.org", ca), 403);
    assert.equal(await upgrade(first, "https://workbench.example.org", ca), 101);
  });
  await runStep("without our CA nobody connects", async () => {
    const { code, text: says } = await processes.cli(["streams", "check"], { ...ours, NODE_EXTRA_CA_CERTS: "" }).ended;
    assert.equal(code, 2, says);
    assert.match(says, /certificate.*NODE_EXTRA_CA_CERTS/s);
  });
  await runStep("one server is killed: the streams are still there", async () => {
    const last = servers.at(-1);
    last?.child.kill("SIGKILL");
    await last?.ended;
    // Where it was the leader, the others choose one first.
    const check = () => processes.cli(["streams", "check", "--profile", "cluster"], ours).ended;
    await until(async () => (await check()).code === 0, "streams as declared");
  });
}

async function onThreeServers(keys: ServiceKeys, { client }: Ports, ca: string): Promise<void> {
  for (const account of ["CORE", "STORE"] as const) {
    const { seed } = keys.users.streams[account];
    const connection = await connect({
      servers: `tls://localhost:${client}`,
      authenticator: nkeyAuthenticator(new TextEncoder().encode(seed)),
      inboxPrefix: serviceInbox("streams"),
      tls: { caFile: ca },
    });
    try {
      const manager = await jetstreamManager(connection);
      const declared = declaredStreams({ clusterId: "zzzzz" }).filter((stream) => stream.account === account);
      for (const { name } of declared) {
        await until(async () => {
          const { cluster } = await manager.streams.info(name);
          const current = (cluster?.replicas ?? []).filter((peer) => peer.current && !peer.offline);
          return cluster?.leader !== undefined && current.length === NODES.length - 1;
        }, `${name} on three servers`);
      }
    } finally {
      await connection.close();
    }
  }
}

function connection({ client }: Ports): Variables {
  return { ARVADOS_NATS_CLUSTER_ID: "zzzzz", ARVADOS_NATS_URL: `tls://localhost:${client}` };
}

async function manifestsFrom(chart: string): Promise<Manifest[]> {
  const args = ["-n", "nats", "-f", VALUES, "--kube-version", "1.36.0"];
  const { ok, out, err } = await helm("template", "nats", chart, ...args);
  assert.ok(ok, err);
  return manifestsOf(out);
}

function confOf(manifests: readonly Manifest[]): string {
  const text = manifests.find((manifest) => manifest.data?.["nats.conf"])?.data?.["nats.conf"];
  assert.ok(text, "no nats.conf was rendered");
  return text;
}

/** The official chart writes nulls, which the API takes for "not set". */
function withoutNulls<T>(value: T): T {
  return JSON.parse(JSON.stringify(value, (_key, part) => (part === null ? undefined : part))) as T;
}

/** One for all three servers and all purposes. */
function certificate(): string {
  const authority = createAuthority();
  const { cert, key } = authority.issue(["localhost", "127.0.0.1"]);
  for (const folder of FOLDERS) {
    mkdirSync(join(dir, folder));
    writeFileSync(join(dir, folder, "tls.crt"), cert);
    writeFileSync(join(dir, folder, "tls.key"), key);
  }
  const ca = join(dir, "ca.crt");
  writeFileSync(ca, authority.cert);
  return ca;
}

async function startServers(processes: Processes, text: string, ports: Ports[], env: Variables): Promise<Started[]> {
  const { path } = await findNatsServer();
  const servers = ports.map((own, node) => {
    const home = join(dir, `nats-${node}`);
    mkdirSync(home);
    writeFileSync(join(home, "nats.conf"), localized(text, home, own, ports));
    return processes.start(path, ["-c", join(home, "nats.conf")], { ...env, SERVER_NAME: `nats-${node}` });
  });
  // Without parameters it asks for JetStream too, which needs a leader.
  await until(
    async () =>
      (await Promise.all(ports.map(({ monitor }) => answers(`http://127.0.0.1:${monitor}/healthz`)))).every(Boolean),
    "three healthy servers",
  );
  return servers;
}

/** Only what a pod's surroundings give is changed: mounts, ports, names of the other pods. */
function localized(text: string, home: string, own: Ports, all: Ports[]): string {
  const routes = (_: string, node: string) => `localhost:${all[Number(node)]?.route}`;
  const changes: [RegExp, string | ((whole: string, node: string) => string)][] = [
    [/"\/data"/g, JSON.stringify(join(home, "data"))],
    [/\/var\/run\/nats\//g, `${home}/`],
    [/\/etc\/nats-certs\//g, `${dir}/`],
    [/\/etc\/nats-ca-cert\/ca\.crt/g, join(dir, "ca.crt")],
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
