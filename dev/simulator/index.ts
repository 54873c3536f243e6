/**
 * An Arvados for the demo and the tests: it does to a real PostgreSQL what Arvados does, and nothing else of Arvados is there.
 *
 *     const arvados = createSimulator({ connection: { host, port, user, password, database }, clusterId: "zzzzz" });
 *     await arvados.seed();
 *     const alice = await arvados.createUser({ username: "alice" });
 *     const { uuid, lsn } = await arvados.createProject({ name: "Genomes", owner: alice.uuid });
 *
 * Each operation is one transaction: the rows, their `logs` rows and `NOTIFY logs`. `tx` does several in one.
 * Left out: permissions are not asked, names need not be unique, and materialized_permissions, trashed_groups and frozen_groups
 * stay empty, since arvados-nats computes them itself from the rows that are written here.
 */
import pg from "pg";
import { wellKnown } from "../../core/uuid.ts";
import { optionsOf, POSTGRES_SESSION, SESSION_SQL } from "../../runtime/postgres-session.ts";
import { createCollection, updateCollection } from "./collections.ts";
import { commitContainerRequest, createContainerRequest, setRequestPriority } from "./container-requests.ts";
import { completeContainer, runContainer, saveContainerLog, setContainerState } from "./container-run.ts";
import { createContainer, setContainerPriority } from "./containers.ts";
import { insertForgedLog, logActivity, logDownload } from "./events.ts";
import { createProject, createRole, freeze, unfreeze } from "./groups.ts";
import {
  createCredential,
  createWorkflow,
  deleteObject,
  move,
  sweepTrash,
  trash,
  untrash,
  updateObject,
} from "./objects.ts";
import { seed } from "./seed.ts";
import { addToRole, changeLevel, createLink, removeFromRole, share, unshare } from "./sharing.ts";
import { createClock, type Now } from "./timestamps.ts";
import {
  deleteToken,
  expireToken,
  issueToken,
  logoutToken,
  setTokenScopes,
  sweepExpiredTokens,
  useToken,
} from "./tokens.ts";
import { inTransaction, type SimulatedCommit, type Transaction } from "./transaction.ts";
import { activateUser, createUser, deactivateUser, mergeUser, setAdmin } from "./users.ts";
import { createUuidMaker } from "./uuid-maker.ts";

export type { By, Uuid } from "./actor.ts";
export type { ContainerToken } from "./container-run.ts";
export type { ContainerState } from "./containers.ts";
export type { PermissionName } from "./links.ts";
export type { Token } from "./tokens.ts";
export type { SimulatedCommit, Transaction } from "./transaction.ts";

const OPERATIONS = {
  seed,
  createUser,
  activateUser,
  deactivateUser,
  setAdmin,
  mergeUser,
  createProject,
  createRole,
  freeze,
  unfreeze,
  share,
  changeLevel,
  unshare,
  addToRole,
  removeFromRole,
  createLink,
  createCollection,
  updateCollection,
  createWorkflow,
  createCredential,
  move,
  updateObject,
  trash,
  untrash,
  sweepTrash,
  deleteObject,
  createContainerRequest,
  commitContainerRequest,
  setRequestPriority,
  createContainer,
  setContainerState,
  runContainer,
  completeContainer,
  saveContainerLog,
  setContainerPriority,
  issueToken,
  setTokenScopes,
  expireToken,
  logoutToken,
  useToken,
  deleteToken,
  sweepExpiredTokens,
  insertForgedLog,
  logActivity,
  logDownload,
};

type Table = typeof OPERATIONS;
type Arguments<F> = F extends (tx: Transaction, ...rest: infer A) => unknown ? A : never;
type Result<F> = F extends (...all: never[]) => Promise<infer R> ? R : never;

/** The operations inside a transaction. */
export type Operations = { [K in keyof Table]: (...args: Arguments<Table[K]>) => Promise<Result<Table[K]>> };

/** The operations as transactions of their own: each result also holds the commit's `lsn` and `logIds`. */
type CommittedOperations = {
  [K in keyof Table]: (...args: Arguments<Table[K]>) => Promise<Result<Table[K]> & SimulatedCommit>;
};

export type Simulator = CommittedOperations & {
  readonly clusterId: string;
  /** The uuids that every cluster has. */
  readonly known: ReturnType<typeof wellKnown>;
  /** Several operations in one transaction; `tx.query` is raw SQL in it. An error rolls all of it back. */
  tx<T>(work: (operations: Operations, tx: Transaction) => Promise<T>): Promise<{ value: T } & SimulatedCommit>;
  /** Closes the connections, unless the pool was given. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
};

/** Arvados' own programs know what they write, whatever an admin has set for the database. */
const OWN_SESSION = {
  options: optionsOf({ ...POSTGRES_SESSION, search_path: "public" }),
  onConnect: async (client: pg.ClientBase) => void (await client.query(SESSION_SQL)),
};

type SimulatorOptions = {
  clusterId: string;
  /** For uuids and secrets, like Math.random. Default: a strong one. */
  random?: () => number;
  /** UTC milliseconds. Default: the host's clock. Rows of one run get strictly growing times. */
  now?: Now;
} & ({ connection: pg.PoolConfig } | { pool: pg.Pool });

export function createSimulator(options: SimulatorOptions): Simulator {
  const { clusterId } = options;
  const pool = "pool" in options ? options.pool : new pg.Pool({ ...options.connection, ...OWN_SESSION });
  // Only the pool notices that an idle connection broke; the next operation gets a new one or fails by itself.
  if (!("pool" in options)) pool.on("error", () => {});
  const parts = {
    pool,
    clusterId,
    uuids: createUuidMaker(clusterId, options.random),
    now: createClock(options.now),
  };
  const close = async () => {
    if (!("pool" in options)) await pool.end();
  };
  return {
    ...committed((work) => inTransaction(parts, work)),
    clusterId,
    known: wellKnown(clusterId),
    tx: (work) => inTransaction(parts, (tx) => work(bound(tx), tx)),
    close,
    [Symbol.asyncDispose]: close,
  };
}

type Operation = (tx: Transaction, ...rest: unknown[]) => Promise<object>;

function bound(tx: Transaction): Operations {
  return eachOperation(
    (operation) =>
      (...rest) =>
        operation(tx, ...rest),
  ) as Operations;
}

function committed(
  transact: (work: (tx: Transaction) => Promise<object>) => Promise<{ value: object } & SimulatedCommit>,
): CommittedOperations {
  return eachOperation((operation) => async (...rest) => {
    const { value, ...commit } = await transact((tx) => operation(tx, ...rest));
    return { ...value, ...commit };
  }) as CommittedOperations;
}

function eachOperation(wrap: (operation: Operation) => (...rest: unknown[]) => Promise<object>): object {
  const wrapped = Object.entries(OPERATIONS).map(([name, operation]) => [
    name,
    wrap(operation as unknown as Operation),
  ]);
  return Object.fromEntries(wrapped);
}
