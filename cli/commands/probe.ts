/** `probe`: goes in through the door that browsers use, and says what it found. What `helm test` runs. */
import { wsconnect } from "@nats-io/nats-core";
import { type Command, InvalidArgumentError, Option } from "commander";
import { WebSocket } from "ws";
import { connectOptions, createClient, type LiveEvent, sessionId } from "../../client/mod.ts";
import type { WellKnown } from "../../core/wire.ts";
import { type CliContext, examples, print } from "../context.ts";

type Options = { url: string; eventSeconds: number };

const TIMEOUT_MS = 10_000;

export function addProbeCommand(program: Command, context: CliContext): void {
  program
    .command("probe")
    .summary("log in at the proxy as a browser would, and say who one is")
    .description(
      "Ask the proxy where NATS is, log in there over WebSocket with the token in ARVADOS_API_TOKEN, ask the gateway who one is, and, if asked to, wait for a record event. Ends with 1 where any of it fails.",
    )
    .requiredOption("--url <url>", "where the proxy is, for instance https://events.example.org")
    .addOption(
      new Option("--event-seconds <seconds>", "wait so long for an event, and fail without one")
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
  const response = await fetch(`${url}/.well-known/arvados-nats`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!response.ok) throw new Error(`${url}/.well-known/arvados-nats answers ${response.status}`);
  const { clusterId, versions } = (await response.json()) as WellKnown;
  print(context, `discovery: cluster ${clusterId}, version ${versions.service}`);

  // Node has one of its own from version 22 on only.
  Object.assign(globalThis, { WebSocket: globalThis.WebSocket ?? WebSocket });
  const sid = sessionId();
  // By the address we were given, not the one the outside is told: inside a cluster that may be another way.
  const servers = `${url.replace(/^http/, "ws")}/nats`;
  const nc = await wsconnect({
    ...(await connectOptions(token, sid)),
    servers,
    timeout: TIMEOUT_MS,
    reconnect: false,
  });
  try {
    print(context, `login: admitted at ${servers}`);
    const client = await createClient({ nc, clusterId, token, sid });
    const who = await client.whoami();
    print(context, `gateway: ${who.user_uuid}, ${who.grants.subscribe.length} grants, revision ${who.revision}`);
    if (eventSeconds > 0) print(context, `event: ${await firstEvent(client, eventSeconds)}`);
    client.close();
  } finally {
    await nc.close();
  }
}

async function firstEvent(client: Awaited<ReturnType<typeof createClient>>, seconds: number): Promise<string> {
  let stopWaiting: NodeJS.Timeout | undefined;
  const event = await new Promise<LiveEvent>((resolve, reject) => {
    client.events({ onEvent: resolve });
    stopWaiting = setTimeout(() => reject(new Error(`no event within ${seconds} s`)), seconds * 1_000);
  }).finally(() => clearTimeout(stopWaiting));
  return `${event.event.event_type} of ${event.event.object_uuid}`;
}

function parseSeconds(text: string): number {
  if (!/^\d{1,4}$/.test(text)) throw new InvalidArgumentError("It must be a number of seconds.");
  return Number(text);
}
