/** Reads what `doctor` checks at nats-server, over the bridge's two connections. */
import { type JetStreamManager, jetstreamManager, type StreamInfo } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import type { HandlingFailure } from "../../bridge/streams/handling-failure.ts";
import { subjectsOf } from "../../core/subjects.ts";
import { type StreamConnections, streamInfo } from "../../streams-config/apply.ts";
import type { DeclaredStream } from "../../streams-config/streams.ts";
import type { ClockFacts } from "./clock.ts";
import type { Reading } from "./finding.ts";
import { clockFacts, tryRead } from "./read-database.ts";
import type { NatsFacts } from "./streams.ts";

const TIMEOUT_MS = 5_000;
/** JetStream's error for a request that it cannot read. */
const INVALID_JSON = 10025;
const NO_MESSAGE = 10037;

export async function readNats(
  connections: StreamConnections,
  declared: readonly DeclaredStream[],
  { clusterId, url, now }: { clusterId: string; url: string; now: () => number },
): Promise<NatsFacts> {
  const { CORE, STORE } = connections;
  // Whether JetStream is there shows at each stream.
  const options = { checkAPI: false, timeout: TIMEOUT_MS };
  const managers = { CORE: await jetstreamManager(CORE, options), STORE: await jetstreamManager(STORE, options) };
  const streams: Record<string, Reading<StreamInfo | null>> = {};
  for (const { name, account } of declared) {
    streams[name] = await tryRead(() => streamInfo(managers[account], name));
  }
  const [graph] = declared.filter(({ account }) => account === "CORE");
  const probe = `$JS.API.STREAM.INFO.${graph?.name}`;
  return {
    server: {
      version: CORE.info?.version ?? "",
      url,
      isEncrypted: url.startsWith("tls:"),
      advertised: CORE.info?.connect_urls ?? [],
    },
    strict: await tryRead(() => isStrict(CORE, probe)),
    streams,
    clock: await tryRead(() => readClock(CORE, probe, now)),
    trouble: await tryRead(() => readTrouble(managers.CORE, clusterId)),
  };
}

async function readTrouble(jsm: JetStreamManager, clusterId: string): Promise<HandlingFailure | null> {
  const last = { last_by_subj: subjectsOf(clusterId).graphLogTrouble };
  const message = await jsm.streams.getMessage("GRAPHLOG", last).catch((error: { code?: number }) => {
    if (error.code === NO_MESSAGE) return null;
    throw error;
  });
  return message?.json<HandlingFailure>() ?? null;
}

/** Sends a field that no server knows. */
async function isStrict(nc: NatsConnection, subject: string): Promise<boolean> {
  const { error } = await ask(nc, subject, JSON.stringify({ arvados_nats_doctor: true }));
  return error?.err_code === INVALID_JSON;
}

async function readClock(nc: NatsConnection, subject: string, now: () => number): Promise<ClockFacts> {
  const asked = now();
  const { ts } = await ask(nc, subject, "");
  if (ts === undefined) throw new Error("nats-server gives its time with a stream, and there is none");
  return clockFacts(asked, now(), Date.parse(ts));
}

type JsAnswer = { ts?: string; error?: { err_code?: number } };

async function ask(nc: NatsConnection, subject: string, body: string): Promise<JsAnswer> {
  return (await nc.request(subject, body, { timeout: TIMEOUT_MS })).json<JsAnswer>();
}
