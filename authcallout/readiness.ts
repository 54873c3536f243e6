/** The state of a callout in words, for `/readyz`. */
import { formatRevision } from "../core/revision.ts";
import type { PermissionReplica } from "../replica/permission-replica.ts";
import { failureSays } from "../replica/replica-health.ts";
import type { ConnectionWatch } from "../runtime/nats/connection-watch.ts";
import type { Condition, Readiness } from "../runtime/service.ts";
import type { BarrierMember } from "./barrier/barrier-member.ts";
import type { QueueGroup } from "./login/queue-group.ts";
import type { Kicker } from "./revocation/kicker.ts";
import type { Servers } from "./sessions/servers.ts";
import type { Sessions } from "./sessions/sessions.ts";

export type CalloutState = {
  graph: {
    fresh: boolean;
    revision: string;
    /** Milliseconds; Infinity = never known to be complete. */
    age: number;
    /** What keeps it from being read, in words; null = nothing. */
    failure: string | null;
  };
  acceptsLogins: boolean;
  lease: { held: boolean; replicas: number; leads: boolean; failure: string | null };
  servers: readonly { name: string; silent: boolean }[];
  sessions: number;
  revocations: number;
  /** Replicas that the last removal waits for. */
  waitsFor: readonly string[];
  connections: Condition;
};

export type CalloutStateParts = {
  replica: PermissionReplica;
  /** Is the graph young enough for logins? */
  isFit: () => boolean;
  group: QueueGroup;
  member: BarrierMember;
  servers: Servers;
  sessions: Sessions;
  kicker: Kicker;
  connections: ConnectionWatch;
};

export function readCalloutState(parts: CalloutStateParts): CalloutState {
  const { replica, isFit, group, member, servers, sessions, kicker, connections } = parts;
  return {
    graph: {
      fresh: isFit(),
      revision: formatRevision(replica.revision),
      age: replica.age(Date.now()),
      failure: replica.failure && failureSays(replica.failure),
    },
    acceptsLogins: group.isIn,
    lease: {
      held: member.mayAnswer(),
      replicas: member.replicas(),
      leads: member.leads(),
      failure: member.failure && `the entry at sequence ${member.failure.sequence} of BARRIER cannot be taken in`,
    },
    servers: servers.all(),
    sessions: sessions.size,
    revocations: kicker.open,
    waitsFor: member.unsettled(),
    connections: connections.readiness(),
  };
}

/** Pure. */
export function calloutReadiness(state: CalloutState): Readiness {
  const { graph, lease, sessions, revocations, waitsFor } = state;
  const waiting = waitsFor.length > 0 ? `, waiting for ${waitsFor.join(", ")}` : "";
  return {
    graph: { ok: graph.fresh, says: graph.fresh ? `following at revision ${graph.revision}` : stale(state) },
    lease: {
      ok: lease.held,
      says: `${lease.held ? "held" : "not held"}${lease.failure ? `, for ${lease.failure}` : ""}; ${lease.replicas} replicas, ${lease.leads ? "leading" : "following"}`,
    },
    connections: state.connections,
    servers: { ok: true, says: serversSay(state.servers) },
    sessions: { ok: true, says: `${sessions} known, ${revocations} revocations under way${waiting}` },
  };
}

function stale({ graph: { age, failure }, acceptsLogins: takesLogins }: CalloutState): string {
  const known = Number.isFinite(age) ? `${Math.round(age / 1000)} s ago` : "never";
  const meaning = takesLogins ? "logins are refused (graph.stale)" : "another replica takes the logins";
  return `stale: ${failure ? `${failure}; ` : ""}last known complete ${known}; ${meaning}`;
}

function serversSay(servers: CalloutState["servers"]): string {
  const silent = servers.filter((server) => server.silent).map(({ name }) => name);
  if (silent.length === 0) return `${servers.length} seen`;
  return `silent: ${silent.join(", ")}; if gone for good: \`arvados-nats servers forget NAME\``;
}
