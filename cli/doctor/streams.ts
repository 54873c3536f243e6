/** What `doctor` finds at nats-server: its version, strict mode, the streams, its clock. Pure. */
import type { StreamInfo } from "@nats-io/jetstream";
import type { HandlingFailure } from "../../bridge/streams/handling-failure.ts";
import { isNewEnough, NATS_FLOOR, versionDefects } from "../../core/nats-version.ts";
import { planStream } from "../../streams-config/stream-plan.ts";
import type { DeclaredStream } from "../../streams-config/streams.ts";
import { type ClockFacts, clockFinding } from "./clock.ts";
import { type Finding, findingOf, formatBytes, ok, problem, type Reading } from "./finding.ts";

export type NatsFacts = {
  /** `advertised`: addresses that it gives to its clients. */
  server: { version: string; url: string; isEncrypted: boolean; advertised?: readonly string[] };
  /** Whether JetStream refuses a request with a field that it does not know. */
  strict: Reading<boolean>;
  /** By name; null = there is none. */
  streams: Record<string, Reading<StreamInfo | null>>;
  clock: Reading<ClockFacts>;
  /** The commit that a bridge failed at last; null = none in a week. */
  trouble: Reading<HandlingFailure | null>;
};

const SEE_SERVER = "see nats-server's log; JetStream may have no leader (`nats server report jetstream`)";

export function natsFindings(
  declared: readonly DeclaredStream[],
  facts: NatsFacts,
  { profile, staleness }: { profile: string; staleness: number },
): Finding[] {
  return [
    serverFinding(facts.server),
    findingOf("strict mode", facts.strict, SEE_SERVER, strictFinding),
    ...declared.map((stream) =>
      findingOf(
        `stream ${stream.name}`,
        facts.streams[stream.name] ?? { failed: "was not checked" },
        SEE_SERVER,
        (info) => streamFinding(stream, info, profile),
      ),
    ),
    clockFinding("nats-server's clock", facts.clock, staleness),
    findingOf("commits", facts.trouble, SEE_SERVER, troubleFinding),
  ];
}

function serverFinding({ version, url, isEncrypted, advertised = [] }: NatsFacts["server"]): Finding {
  const saw = `${version} at ${url}, ${isEncrypted ? "with TLS" : "without TLS"}`;
  if (!isNewEnough(version)) {
    const todo = `upgrade it to ${NATS_FLOOR} or newer (of 2.15: 2.15.2): older ones ${versionDefects(version)}`;
    return problem("bad", "nats-server", saw, todo);
  }
  if (advertised.length > 0) {
    const addresses = `${advertised.slice(0, 3).join(", ")}${advertised.length > 3 ? ", ..." : ""}`;
    const todo =
      "set `no_advertise: true` in the cluster block of every nats-server.conf (official chart: config.cluster.noAdvertise) and restart them: clients reconnect there, past the edge and your names";
    return problem("bad", "nats-server", `${saw}; it advertises to clients the addresses ${addresses}`, todo);
  }
  if (isEncrypted || isLoopback(url)) return ok("nats-server", saw);
  const todo =
    "tokens and events cross the network as they are: give nats-server a certificate, and nats.url the scheme tls:// (docs/operate.md, TLS)";
  return problem("warn", "nats-server", saw, todo);
}

function isLoopback(url: string): boolean {
  const isOne = ({ hostname }: URL) => ["localhost", "[::1]"].includes(hostname) || hostname.startsWith("127.");
  return url.split(" ").every((server) => isOne(new URL(server)));
}

function troubleFinding(trouble: HandlingFailure | null): Finding {
  if (trouble === null) return ok("commits", "all of the last seven days could be handled");
  const saw = `the bridge failed ${trouble.tries} times at the one that ends at ${trouble.lsn} (${trouble.reason})`;
  const todo =
    "a fault of ours: report it with the bridge's log. Nothing waits for it, rights are right, and after the second time its events are left out";
  return problem("warn", "commits", saw, todo);
}

function strictFinding(isStrict: boolean): Finding {
  if (isStrict) return ok("strict mode", "is on");
  return problem(
    "bad",
    "strict mode",
    "is off: nats-server ignores settings of streams that it does not know",
    "set `strict: true` in the jetstream block of nats-server.conf, and restart it",
  );
}

function streamFinding(stream: DeclaredStream, info: StreamInfo | null, profile: string): Finding {
  const name = `stream ${stream.name}`;
  const step = planStream(stream, info?.config ?? null);
  const remake = profile === "single" ? "" : ` --profile ${profile}`;
  if (info === null) return problem("bad", name, "there is none", `run \`arvados-nats streams apply${remake}\``);
  if (step.action === "refuse") return problem("bad", name, step.reason, step.remedy);
  if (step.action === "update") {
    const saw = `not as declared: ${step.differences.map(({ setting }) => setting).join(", ")}`;
    return problem("bad", name, saw, `see \`arvados-nats streams plan${remake}\`, then \`streams apply${remake}\``);
  }
  const away = (info.cluster?.replicas ?? []).filter(({ offline, current }) => offline || !current);
  const held = `${info.state.messages} messages, ${room(info)}`;
  if (away.length === 0) return ok(name, held);
  const saw = `${held}; behind or away: ${away.map((replica) => replica.name).join(", ")}`;
  return problem("warn", name, saw, "start that nats-server, or let it catch up: one more loss stops the stream");
}

function room({ config, state }: StreamInfo): string {
  const held = formatBytes(state.bytes);
  return config.max_bytes > 0 ? `${held} of at most ${formatBytes(config.max_bytes)}` : held;
}
