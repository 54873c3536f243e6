/** `probe`: logs in at the proxy as a browser does, and prints each step. `helm test` runs it. */
import { errors, wsconnect } from "@nats-io/nats-core";
import { type Command, InvalidArgumentError, Option } from "commander";
import { WebSocket } from "ws";
import { connectOptions, createClient, type LiveEvent, sessionId } from "../../client/mod.ts";
import { fault, reasonOf } from "../../core/errors.ts";
import type { WellKnown } from "../../core/wire/wire.ts";
import { type CliContext, examples, print } from "../support/context.ts";

type Options = { url: string; eventSeconds: number };

const TIMEOUT_MS = 10_000;

export function addProbeCommand(program: Command, context: CliContext): void {
  program
    .command("probe")
    .summary("log in at the proxy as a browser does, and print who the token's user is")
    .description(
      "Read the proxy's discovery, log in over WebSocket with the token in ARVADOS_API_TOKEN, ask the gateway for `whoami`, and, with --event-seconds, wait for a record event. Ends with 1 if a step fails.",
    )
    .requiredOption("--url <url>", "where the proxy is, for instance https://events.example.org")
    .addOption(
      new Option("--event-seconds <seconds>", "wait this long for an event, and fail if none comes")
        .argParser(parseSeconds)
        .default(0),
    )
    .addHelpText(
      "after",
      examples([
        "ARVADOS_API_TOKEN=v2/... arvados-nats probe --url https://events.example.org",
        "does a login work from here?",
      ]),
    )
    .action(async ({ url, eventSeconds }: Options) => {
      const token = context.env.ARVADOS_API_TOKEN?.trim();
      if (!token) throw new InvalidArgumentError("ARVADOS_API_TOKEN is not set");
      context.secrets.push(token);
      await probe(context, { url: url.replace(/\/+$/, ""), token, eventSeconds });
    });
}

async function probe(
  context: CliContext,
  options: { url: string; token: string; eventSeconds: number },
): Promise<void> {
  const { url, token, eventSeconds } = options;
  const failed = (reason: string, remedy: string, cause?: unknown) =>
    fault("probe.failed", { url, reason, remedy }, { cause });
  const { clusterId, versions } = await discover(url).catch((error: unknown) => {
    throw failed(reasonOf(error), "see that the proxy runs and is ready (`/readyz` on its admin port)", error);
  });
  print(context, `discovery: cluster ${clusterId}, version ${versions.service}`);

  // Node has a WebSocket of its own from version 22 on only.
  Object.assign(globalThis, { WebSocket: globalThis.WebSocket ?? WebSocket });
  const sid = sessionId();
  // At the given address, not at the one from discovery: inside a cluster the public address may not be reachable.
  const servers = `${url.replace(/^http/, "ws")}/nats`;
  const login = { ...(await connectOptions(token, sid)), servers, timeout: TIMEOUT_MS, reconnect: false };
  const nc = await wsconnect(login).catch((error: unknown) => {
    const isRefused = error instanceof errors.AuthorizationError;
    const remedy = isRefused
      ? "see that Arvados knows the token and that it has not expired; authcallout's log says why"
      : "see that nats-server runs, and authcallout (`/readyz` on its admin port)";
    throw failed(isRefused ? "the token is refused" : reasonOf(error), remedy, error);
  });
  try {
    print(context, `login: admitted at ${servers}`);
    const client = await createClient({ nc, clusterId, token, sid });
    const who = await client.whoami();
    print(context, `gateway: ${who.user_uuid}, ${who.grants.subscribe.length} grants, revision ${who.revision}`);
    if (eventSeconds > 0) {
      const event = await firstEvent(client, eventSeconds);
      if (event === null)
        throw failed(
          `no event within ${eventSeconds} s`,
          "see that the bridge is ready, and that something changes meanwhile which this token may see",
        );
      print(context, `event: ${event}`);
    }
    client.close();
  } finally {
    await nc.close();
  }
}

async function discover(url: string): Promise<WellKnown> {
  const response = await fetch(`${url}/.well-known/arvados-nats`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!response.ok) throw new Error(`/.well-known/arvados-nats answers ${response.status}`);
  return (await response.json()) as WellKnown;
}

/** Null where none came. */
async function firstEvent(client: Awaited<ReturnType<typeof createClient>>, seconds: number): Promise<string | null> {
  let stopWaiting: NodeJS.Timeout | undefined;
  const event = await new Promise<LiveEvent | null>((resolve) => {
    client.events({ onEvent: resolve });
    stopWaiting = setTimeout(() => resolve(null), seconds * 1_000);
  }).finally(() => clearTimeout(stopWaiting));
  return event && `${event.event.event_type} of ${event.event.object_uuid}`;
}

function parseSeconds(text: string): number {
  if (!/^\d{1,4}$/.test(text)) throw new InvalidArgumentError("It must be a number of seconds.");
  return Number(text);
}
