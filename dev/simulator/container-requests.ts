/** Container requests: what a user asks to be run, where the container and its results then appear. */
import { actorOf, type By, makerOf, type Uuid } from "./actor.ts";
import { createRow, findRow, updateRow } from "./audit-log.ts";
import { createCollection, manifestOf } from "./collections.ts";
import { createContainer, recalculatePriority } from "./containers.ts";
import type { Transaction } from "./transaction.ts";
import type { ColumnValues, TypedRow } from "./typed-row.ts";

type NewContainerRequest = By & {
  name: string;
  owner: string;
  /** 0 to 1000, default 500 (which takes the container's priority beyond 2^53); 0 = not to be run. */
  priority?: number;
  command?: readonly string[];
  image?: string;
  properties?: Record<string, unknown>;
  /** Ask and commit in one go: the container's create row, then one create row of the request with its state. Default false. */
  committed?: boolean;
  /** Commit to this existing container instead of a new one (Arvados' container reuse). */
  container?: string;
  /** The container that asks for this one. */
  requestingContainer?: string;
  /** A v2 token that the container shall run with. */
  runtimeToken?: string;
};

type RequestResult = {
  uuid: string;
  /** Null until it is committed. */
  container: string | null;
};

export async function createContainerRequest(tx: Transaction, request: NewContainerRequest): Promise<RequestResult> {
  const by = makerOf(tx, request);
  const values: ColumnValues = {
    name: request.name,
    owner_uuid: request.owner,
    state: "Uncommitted",
    priority: request.priority ?? 500,
    properties: request.properties ?? {},
    container_count: 0,
    container_count_max: 3,
    command: request.command ?? ["true"],
    environment: {},
    cwd: "/",
    container_image: request.image ?? "d41d8cd98f00b204e9800998ecf8427e+0",
    output_path: "/out",
    requesting_container_uuid: request.requestingContainer,
    runtime_token: request.runtimeToken,
    runtime_constraints: { vcpus: 1, ram: 1 << 30 },
  };
  if (!request.committed) {
    const row = await createRow(tx, "container_requests", values, by);
    return { uuid: row.need("uuid"), container: null };
  }
  const container = request.container ?? (await containerFor(tx, values, by));
  const committed = { ...values, state: "Committed", container_uuid: container, container_count: 1 };
  const row = await createRow(tx, "container_requests", committed, by);
  await recalculatePriority(tx, container);
  return { uuid: row.need("uuid"), container };
}

/** Uncommitted -> Committed: the container's create row (priority still 0), the request's update row, then its priority in silence. */
export async function commitContainerRequest(
  tx: Transaction,
  uuid: string,
  options: By & { container?: string } = {},
): Promise<{ uuid: string; container: string }> {
  const request = await findRow(tx, "container_requests", uuid);
  const by = options.by ?? request.need("modified_by_user_uuid");
  const wanted: ColumnValues = {
    command: JSON.parse(request.need("command")),
    container_image: request.get("container_image"),
    runtime_token: request.get("runtime_token"),
  };
  const container = options.container ?? (await containerFor(tx, wanted, by));
  await updateRow(
    tx,
    "container_requests",
    uuid,
    { state: "Committed", container_uuid: container, container_count: 1 },
    by,
  );
  await recalculatePriority(tx, container);
  return { uuid, container };
}

/** 0 asks for the container's end; it ends when its dispatcher sees that. The request's update is logged, the container's is not. */
export async function setRequestPriority(
  tx: Transaction,
  uuid: string,
  priority: number,
  options: By = {},
): Promise<Uuid> {
  const row = await updateRow(tx, "container_requests", uuid, { priority }, actorOf(tx, options));
  const container = row.get("container_uuid");
  if (container !== null) await recalculatePriority(tx, container);
  return { uuid };
}

async function containerFor(tx: Transaction, wanted: ColumnValues, runtimeUser: string): Promise<string> {
  const { command, container_image: image, runtime_token: runtimeToken } = wanted;
  const { uuid } = await createContainer(tx, {
    runtimeUser,
    command: command as readonly string[],
    ...(typeof image === "string" ? { image } : {}),
    ...(typeof runtimeToken === "string" ? { runtimeToken } : {}),
  });
  return uuid;
}

export async function committedRequests(tx: Transaction, container: string): Promise<TypedRow[]> {
  return tx.query("SELECT * FROM container_requests WHERE container_uuid = $1 AND state = 'Committed' ORDER BY id", [
    container,
  ]);
}

/** When a container has ended: each of its requests gets its output and log as collections beside it and becomes Final. */
export async function finalizeRequests(tx: Transaction, container: string): Promise<void> {
  for (const request of await committedRequests(tx, container)) {
    const owner = request.need("owner_uuid");
    const name = request.need("name");
    const by = tx.known.rootUser;
    const output = await createCollection(tx, { owner, by, name: `Output of ${name}`, manifestText: "" });
    const log = request.get("log_uuid") ?? (await createLogCollection(tx, request, "ended\n"));
    const changes = { state: "Final", output_uuid: output.uuid, log_uuid: log };
    await updateRow(tx, "container_requests", request.need("uuid"), changes, by);
  }
}

export async function createLogCollection(tx: Transaction, request: TypedRow, text: string): Promise<string> {
  const { uuid } = await createCollection(tx, {
    owner: request.need("owner_uuid"),
    name: `Logs of ${request.need("name")}`,
    manifestText: manifestOf("crunch-run.txt", text),
    by: tx.known.rootUser,
  });
  return uuid;
}
