/**
 * Three nats-servers that let the same users in with the same rights: by our authcallout, by the Go service, and by a static
 * list. Our service has its graph from GRAPH, as in production.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect as dial } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, nkeyAuthenticator } from "@nats-io/transport-node";
import { PermissionGraph } from "../../core/graph/permission-graph.ts";
import type { GraphChange, PermissionChange, TokenRow } from "../../core/rows.ts";
import { compileSessionRights } from "../../core/session/session-permissions.ts";
import { type SessionKey, subjectsOf } from "../../core/subjects.ts";
import { sha256 } from "../../core/token/token.ts";
import { wellKnown } from "../../core/uuid.ts";
import { formatGraphEntry } from "../../core/wire/graph-entry.ts";
import { freePorts } from "../../dev/servers/free-ports.ts";
import { findNatsServer } from "../../dev/servers/nats-server.ts";
import { environmentOf } from "../../dev/testing/environment.ts";
import { defaultConfig } from "../../runtime/config/config.ts";
import type { Scope } from "../../runtime/scope.ts";
import { applyStreams } from "../../streams-config/apply.ts";
import { generateKeys, publicKeys, type ServiceKeys } from "../../streams-config/keys.ts";
import { serverConf } from "../../streams-config/server-conf.ts";
import { declaredStreams } from "../../streams-config/streams.ts";
import { linkRow, uuid } from "../support/cluster.ts";
import type { Target } from "../support/login-client.ts";
import { buildGoCallout, type RunningProgram, startProgram } from "../support/processes.ts";
import { UNBOUNDED } from "../support/unbounded.ts";

const CLUSTER = "zzzzz";
const SUBJECTS = subjectsOf(CLUSTER);
const KNOWN = wellKnown(CLUSTER);
export const SID = "benchbenchbench1";
export const ASKER = { user: "bench", pass: "bench" };
export const SIZES = [10, 100, 1_000] as const;
const GRAPH_OPTIONS = { clusterId: CLUSTER, roleGroupsVisibleToAll: true, audienceMin: 20 };

export type Variant = { name: "ours" | "go" | "static"; target(size: number): Target; service: CalloutService | null };
/** `url` and `keys`: where requests can be put to it as nats-server would, and sealed for whom. */
export type CalloutService = RunningProgram & Server;
type Server = { keys: ServiceKeys; url: string; port: number };

type BenchUser = { size: number; uuid: string; token: string; tokenUuid: string };
export const USERS: BenchUser[] = SIZES.map((size, i) => {
  const tokenUuid = uuid("gj3su", i + 1);
  return { size, uuid: uuid("tpzed", i + 1), tokenUuid, token: `v2/${tokenUuid}/${"s".repeat(49)}${i}` };
});

/** What the two callouts are started on: a server that asks them, or one that leaves asking to us. */
type Role = "logins" | "alone";

export type LoginWorld = { variants: Variant[]; alone: { name: "ours" | "go"; service: CalloutService }[] };

export async function startLoginWorld(scope: Scope): Promise<LoginWorld> {
  const rows = [...graphRows()];
  const graph = new PermissionGraph(GRAPH_OPTIONS);
  graph.load(rows.filter((row): row is PermissionChange => row.kind !== "token" && row.kind !== "container"));
  const grants = new Map(USERS.map((user) => [user.size, subjectsFor(graph, user)]));
  const target = (port: number) => (size: number) => {
    const user = USERS.find((one) => one.size === size) as BenchUser;
    return { port, user: SID, pass: user.token };
  };
  const callouts = async (role: Role) => ({
    ours: await ours(await server(scope, role), scope, rows),
    go: await goService(await server(scope, role), scope, grants),
  });
  const [asked, alone] = [await callouts("logins"), await callouts("alone")];
  return {
    variants: [
      { name: "ours", target: target(asked.ours.port), service: asked.ours },
      { name: "go", target: target(asked.go.port), service: asked.go },
      await staticUsers(scope, grants),
    ],
    alone: [
      { name: "ours", service: alone.ours },
      { name: "go", service: alone.go },
    ],
  };
}

async function ours({ keys, url, port }: Server, scope: Scope, rows: GraphChange[]): Promise<CalloutService> {
  const account = (service: "bridge" | "streams", name: "CORE" | "STORE") =>
    connect({ servers: url, inboxPrefix: `_INBOX.${service}`, authenticator: nkey(keys.users[service][name].seed) });
  const [core, store] = [await account("streams", "CORE"), await account("streams", "STORE")];
  await applyStreams({ CORE: core, STORE: store }, declaredStreams({ clusterId: CLUSTER }));
  await Promise.all([core.close(), store.close()]);
  const bridge = scope.use("bridge", await account("bridge", "CORE"), (nc) => nc.close());
  const js = jetstream(bridge);
  for (const row of rows) await js.publish(SUBJECTS.graph(row.kind, row.uuid), formatGraphEntry(row));
  const entry = { epoch: 1, lsn: "0/1", time: 0, system: { id: "1", timeline: 1 } };
  const { seq } = await js.publish(SUBJECTS.graphCommit, JSON.stringify(entry));
  const beat = () =>
    bridge.publish(SUBJECTS.graphBeat, JSON.stringify({ time: Date.now(), revision: { epoch: 1, sequence: seq } }));
  const timer = setInterval(beat, 250);
  scope.defer("beat", () => clearInterval(timer));
  await jetstreamManager(bridge);

  const [admin = 0] = await freePorts(1);
  const { SYS, CORE, APP } = keys.users.authcallout;
  const config = defaultConfig({
    clusterId: CLUSTER,
    natsUrl: url,
    systemRootToken: "r".repeat(50),
    issuerSeed: keys.issuer.seed,
    xkeySeed: keys.xkey.seed,
    edgeKey: keys.edge.public,
    logLevel: "warn",
    ...UNBOUNDED,
  });
  config.nkeys.authcallout = { SYS: SYS.seed, CORE: CORE.seed, APP: APP.seed };
  const service = await startProgram(process.execPath, ["--import", "tsx", "cli/main.ts", "authcallout"], {
    env: { ...environmentOf(config), ARVADOS_NATS_ADMIN_AUTHCALLOUT: `127.0.0.1:${admin}` },
    until: async () => (await fetch(`http://127.0.0.1:${admin}/readyz`).catch(() => null))?.ok ?? false,
  });
  scope.defer("authcallout", () => service.stop());
  return { ...service, url, port, keys };
}

async function goService(
  { keys, url, port }: Server,
  scope: Scope,
  grants: Map<number, string[]>,
): Promise<CalloutService> {
  const service = await startProgram(await buildGoCallout(), [], {
    stdin: JSON.stringify({
      URL: url,
      CoreSeed: keys.users.authcallout.CORE.seed,
      IssuerSeed: keys.issuer.seed,
      XkeySeed: keys.xkey.seed,
      Grants: Object.fromEntries(USERS.map(({ size, token }) => [token, grants.get(size)])),
    }),
  });
  scope.defer("go-callout", () => service.stop());
  return { ...service, url, port, keys };
}

/** The ceiling: nats-server alone. */
async function staticUsers(scope: Scope, grants: Map<number, string[]>): Promise<Variant> {
  const [port = 0] = await freePorts(1);
  const dir = await folder(scope);
  const users = SIZES.map((size) => {
    const allow = JSON.stringify(grants.get(size));
    return `{ user: "u${size}", password: "p", permissions: { publish: { allow: ["x"] }, subscribe: { allow: ${allow}, deny: ["arvados.> >"] } } }`;
  });
  const conf = join(dir, "static.conf");
  await writeFile(conf, `host: "127.0.0.1"\nport: ${port}\nauthorization { users: [${users.join(",\n")}] }\n`);
  const program = await startProgram((await findNatsServer()).path, ["-c", conf], { until: () => answers(port) });
  scope.defer("static nats-server", () => program.stop());
  return { name: "static", target: (size) => ({ port, user: `u${size}`, pass: "p" }), service: null };
}

/** `alone`: without a callout of its own, since nats-server lets nobody else ask one; and with a user who does. */
async function server(scope: Scope, role: Role): Promise<Server> {
  const keys = generateKeys();
  const [client = 0, websocket = 0] = await freePorts(2);
  const dir = await folder(scope);
  const ports = { client, websocket };
  let text = serverConf({ clusterId: CLUSTER, keys: publicKeys(keys), ports, storeDir: join(dir, "store") });
  if (role === "alone") {
    text = text
      .replace(/ +auth_callout \{.*?\n {2}\}\n/s, "")
      .replace(/( +CORE \{.*?users: \[\n)/s, `$1{ user: "${ASKER.user}", password: "${ASKER.pass}" }\n`);
  }
  const conf = join(dir, "nats-server.conf");
  await writeFile(conf, text, { mode: 0o600 });
  const program = await startProgram((await findNatsServer()).path, ["-c", conf], { until: () => answers(client) });
  scope.defer("nats-server", () => program.stop());
  return { keys, url: `nats://127.0.0.1:${client}`, port: client };
}

async function folder(scope: Scope): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "arvados-nats-bench-"));
  scope.defer("its folder", () => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** Each user's rights: shares of single projects of root's, so that none covers another. */
function* graphRows(): Iterable<GraphChange> {
  let id = 0;
  const account = (one: string) => ({
    id: ++id,
    uuid: one,
    owner_uuid: KNOWN.rootUser,
    is_admin: one === KNOWN.rootUser,
    is_active: true,
    redirect_to_user_uuid: null,
  });
  yield { kind: "user", uuid: KNOWN.rootUser, row: account(KNOWN.rootUser) };
  const projects = Math.max(...SIZES);
  for (let i = 1; i <= projects; i++) {
    const one = uuid("j7d0g", i);
    const row = { id: ++id, uuid: one, owner_uuid: KNOWN.rootUser, group_class: "project", trash_at: null };
    yield { kind: "group", uuid: one, row: { ...row, frozen_by_uuid: null } };
  }
  for (const user of USERS) {
    yield { kind: "user", uuid: user.uuid, row: account(user.uuid) };
    yield { kind: "token", uuid: user.tokenUuid, row: tokenRow(++id, user) };
    for (let i = 1; i <= user.size; i++) {
      const link = uuid("o0j2j", ++id);
      const row = linkRow(id, { uuid: link, tail: user.uuid, head: uuid("j7d0g", i), name: "can_read" });
      yield { kind: "link", uuid: link, row };
    }
  }
}

function tokenRow(id: number, { tokenUuid, token, uuid: user }: BenchUser): TokenRow {
  const secret = token.split("/")[2] ?? "";
  return {
    id,
    uuid: tokenUuid,
    user_uuid: user,
    scopes: ["all"],
    expires_at: null,
    refreshes_at: null,
    secret_sha256: sha256(secret),
    salted_sha256: "",
  };
}

function subjectsFor(graph: PermissionGraph, { uuid: user, tokenUuid }: BenchUser): string[] {
  const key: SessionKey = { sessionToken: tokenUuid, sid: SID };
  const { subscribe } = compileSessionRights(SUBJECTS, graph.grants(user).patterns, []);
  return [SUBJECTS.notice(key), SUBJECTS.inbox(key), ...subscribe];
}

function nkey(seed: string) {
  return nkeyAuthenticator(new TextEncoder().encode(seed));
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = dial(port, "127.0.0.1");
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}
