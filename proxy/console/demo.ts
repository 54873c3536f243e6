/** The demo's own API, which `arvados-nats dev` adds to the proxy. A proxy in production has none. */

type Named = { uuid: string; name: string };
type DemoPerson = { uuid: string; token: string };

export type DemoDescription = {
  clusterId: string;
  users: { alice: DemoPerson; bob: DemoPerson; admin: DemoPerson };
  project: Named;
  subproject?: Named;
  collections: Named[];
  container: { uuid: string; request: string; files: string[] };
  /** Whether alice's project is shared with bob at the moment. */
  shared: boolean;
};

export type DemoAction = "share" | "unshare" | "update" | "create";

export type ActionResult = {
  action: DemoAction;
  /** What was made, changed or removed. */
  uuid: string;
  /** ISO 8601. */
  committedAt: string;
};

/** Null where this is no demo. */
export async function demoCluster(): Promise<DemoDescription | null> {
  const response = await fetch("/demo/cluster", { headers: { Accept: "application/json" } });
  if (response.status === 404) return null;
  return body<DemoDescription>(response);
}

export async function act(action: DemoAction): Promise<ActionResult> {
  return body<ActionResult>(await fetch(`/demo/do/${action}`, { method: "POST" }));
}

/** The JSON of an answer; a refusal becomes an error with its sentence. */
export async function body<T>(response: Response): Promise<T> {
  if (response.ok) return (await response.json()) as T;
  const said = (await response.json().catch(() => null)) as { error?: unknown } | null;
  const reason = typeof said?.error === "string" ? `: ${said.error}` : "";
  throw new Error(`${new URL(response.url).pathname} answered ${response.status}${reason}`);
}

/** What people call the demo's objects, by uuid. */
export function namesOf({ users, project, subproject, collections, container }: DemoDescription): Map<string, string> {
  const names = new Map(Object.entries(users).map(([name, { uuid }]) => [uuid, name]));
  for (const { uuid, name } of [project, ...(subproject ? [subproject] : []), ...collections]) names.set(uuid, name);
  names.set(container.uuid, "the running container");
  return names;
}
