/**
 * A container's life: Queued -> Locked -> Running -> Complete, with Cancelled possible from the first three and Locked -> Queued when
 * a dispatcher gives it back. It has a token of its own exactly while it is Locked or Running.
 */
import type { Uuid } from "./actor.ts";
import { findRow, updateRow } from "./audit-log.ts";
import { manifestOf, portableDataHash, updateCollection } from "./collections.ts";
import { committedRequests, createLogCollection, finalizeRequests } from "./container-requests.ts";
import { type ContainerState, stateOf } from "./containers.ts";
import { expireToken, issueToken, type Token } from "./tokens.ts";
import type { Transaction } from "./transaction.ts";
import type { ColumnValues, TypedRow } from "./typed-row.ts";

const NEXT: Record<ContainerState, readonly ContainerState[]> = {
  Queued: ["Locked", "Cancelled"],
  Locked: ["Queued", "Running", "Cancelled"],
  Running: ["Complete", "Cancelled"],
  Complete: [],
  Cancelled: [],
};

/** What a container runs with: `withContainer` = `v2/<uuid>/<secret>/<container uuid>` is what crunch-run uses. */
export type ContainerToken = Token & { withContainer: string };

type StateResult = {
  uuid: string;
  /** Only when this change made one: the state went to Locked (or Running), and the container had no runtime_token. */
  token: ContainerToken | null;
};

type StateOptions = { exitCode?: number };

export async function setContainerState(
  tx: Transaction,
  uuid: string,
  state: ContainerState,
  options: StateOptions = {},
): Promise<StateResult> {
  const container = await findRow(tx, "containers", uuid);
  const before = stateOf(container);
  if (!NEXT[before].includes(state)) throw new Error(`container ${uuid} cannot go from ${before} to ${state}`);
  const token = await tokenFor(tx, container, state);
  const changes = { state, ...tokenChange(container, state, token), ...marks(tx, container, state, options) };
  await updateRow(tx, "containers", uuid, changes, tx.known.rootUser);
  if (!holdsToken(state)) await expireOwnToken(tx, container);
  if (state === "Complete" || state === "Cancelled") await finalizeRequests(tx, uuid);
  return { uuid, token };
}

/** Queued -> Locked -> Running, the two updates in one transaction. */
export async function runContainer(tx: Transaction, uuid: string): Promise<{ uuid: string; token: ContainerToken }> {
  const { token } = await setContainerState(tx, uuid, "Locked");
  await setContainerState(tx, uuid, "Running");
  return { uuid, token: token ?? suppliedToken(await findRow(tx, "containers", uuid)) };
}

/** Running -> Complete, and its requests Final. */
export async function completeContainer(tx: Transaction, uuid: string, options: StateOptions = {}): Promise<Uuid> {
  await setContainerState(tx, uuid, "Complete", options);
  return { uuid };
}

/** crunch-run saves the logs so far: updates of the container, of each request's log collection, and of the request at first. */
export async function saveContainerLog(tx: Transaction, uuid: string, text: string): Promise<Uuid> {
  const by = tx.known.rootUser;
  const manifestText = manifestOf("crunch-run.txt", text);
  await updateRow(tx, "containers", uuid, { log: portableDataHash(manifestText) }, by);
  for (const request of await committedRequests(tx, uuid)) {
    const log = request.get("log_uuid");
    if (log !== null) await updateCollection(tx, log, { manifestText, by });
    else {
      const log_uuid = await createLogCollection(tx, request, text);
      await updateRow(tx, "container_requests", request.need("uuid"), { log_uuid }, by);
    }
  }
  return { uuid };
}

async function tokenFor(tx: Transaction, container: TypedRow, state: ContainerState): Promise<ContainerToken | null> {
  const has = container.get("auth_uuid") !== null || container.get("runtime_token") !== null;
  if (!holdsToken(state) || has) return null;
  const scopes = JSON.parse(container.get("runtime_auth_scopes") ?? '["all"]') as string[];
  const token = await issueToken(tx, container.need("runtime_user_uuid"), { scopes, by: tx.known.rootUser });
  return { ...token, withContainer: `${token.v2}/${container.need("uuid")}` };
}

function tokenChange(container: TypedRow, state: ContainerState, token: Token | null): ColumnValues {
  if (holdsToken(state)) return token === null ? {} : { auth_uuid: token.uuid };
  const ended = state === "Complete" || state === "Cancelled";
  return { auth_uuid: null, ...(ended && container.get("runtime_token") !== null ? { runtime_token: null } : {}) };
}

async function expireOwnToken(tx: Transaction, container: TypedRow): Promise<void> {
  const token = container.get("auth_uuid");
  if (token !== null) await expireToken(tx, token);
}

/** A container with a runtime_token runs with that one. */
function suppliedToken(container: TypedRow): ContainerToken {
  const v2 = container.need("runtime_token");
  const [, uuid = "", secret = ""] = v2.split("/");
  return { uuid, secret, v2, withContainer: `${v2}/${container.need("uuid")}` };
}

function holdsToken(state: ContainerState): boolean {
  return state === "Locked" || state === "Running";
}

/** The columns that a change of state fills besides. */
function marks(tx: Transaction, container: TypedRow, state: ContainerState, options: StateOptions): ColumnValues {
  switch (state) {
    case "Queued":
      return { locked_by_uuid: null };
    case "Locked":
      return { locked_by_uuid: tx.known.rootToken };
    case "Running":
      return { started_at: tx.now(), gateway_address: "127.0.0.1:0" };
    case "Complete":
      return { ...ending(tx, container), exit_code: options.exitCode ?? 0, progress: 1 };
    case "Cancelled":
      return ending(tx, container);
  }
}

function ending(tx: Transaction, container: TypedRow): ColumnValues {
  const log = container.get("log") ?? portableDataHash(manifestOf("crunch-run.txt", "ended\n"));
  return { finished_at: tx.now(), log, output: portableDataHash(""), locked_by_uuid: null };
}
