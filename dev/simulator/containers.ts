/** Containers as rows: how one comes to be, and its priority, which Arvados recalculates without telling anybody. */
import type { Uuid } from "./actor.ts";
import { createRow, writeSilently } from "./audit-log.ts";
import type { Transaction } from "./transaction.ts";
import type { ColumnValues, TypedRow } from "./typed-row.ts";

type NewContainer = {
  /** On whose behalf it runs: its token will be this user's. */
  runtimeUser: string;
  command?: readonly string[];
  image?: string;
  /** A v2 token to run with, instead of one made when it is locked. */
  runtimeToken?: string;
  /** Default 0: requests raise it later. */
  priority?: bigint;
};

/** A queued container. It belongs to root; who may see it follows from the requests that use it. */
export async function createContainer(tx: Transaction, container: NewContainer): Promise<Uuid> {
  const values: ColumnValues = {
    owner_uuid: tx.known.rootUser,
    state: "Queued",
    priority: container.priority ?? 0n,
    command: container.command ?? ["true"],
    environment: {},
    cwd: "/",
    container_image: container.image ?? "d41d8cd98f00b204e9800998ecf8427e+0",
    output_path: "/out",
    runtime_constraints: { vcpus: 1, ram: 1 << 30 },
    runtime_user_uuid: container.runtimeUser,
    runtime_auth_scopes: ["all"],
    runtime_token: container.runtimeToken,
  };
  const row = await createRow(tx, "containers", values, tx.known.rootUser);
  return { uuid: row.need("uuid") };
}

/** Raw SQL: no log row, no NOTIFY. Values go beyond 2^53. */
export async function setContainerPriority(tx: Transaction, uuid: string, priority: bigint): Promise<Uuid> {
  await writeSilently(tx, "containers", uuid, { priority });
  return { uuid };
}

/**
 * What Arvados does after a request changed: the container's priority becomes the greatest of its committed requests'
 * `priority * 2^50 - created_at in ms`, or of the container that asked for it. Silent.
 */
export async function recalculatePriority(tx: Transaction, container: string): Promise<void> {
  await tx.query(
    `UPDATE containers SET priority = COALESCE((
       SELECT max(CASE
         WHEN cr.priority = 0 THEN 0
         WHEN parent.uuid IS NOT NULL THEN parent.priority
         ELSE cr.priority * (1::bigint << 50) - floor(extract(epoch FROM cr.created_at) * 1000)::bigint
       END)
       FROM container_requests cr LEFT JOIN containers parent ON parent.uuid = cr.requesting_container_uuid
       WHERE cr.container_uuid = $1 AND cr.state = 'Committed'), 0)
     WHERE uuid = $1`,
    [container],
  );
}

const CONTAINER_STATES = ["Queued", "Locked", "Running", "Complete", "Cancelled"] as const;
export type ContainerState = (typeof CONTAINER_STATES)[number];

export function stateOf(container: TypedRow): ContainerState {
  return container.need("state") as ContainerState;
}
