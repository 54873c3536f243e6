/** What crunch-run will do: a running container writes its log to NATS, with its own token, good for that and nothing else. */
import { headers as makeHeaders, type NatsConnection } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import { subjectsOf } from "../core/subjects.ts";
import { parseToken, sessionTokenOf } from "../core/token/token.ts";
import { HEADER } from "../core/wire/wire.ts";

export type LogWriter = { write(text: string): Promise<void>; close(): Promise<void>; connection: NatsConnection };

type LogWriterOptions = {
  url: string;
  clusterId: string;
  container: string;
  file: string;
  /** `v2/<uuid>/<secret>/<container uuid>` */
  token: string;
};

const ACK_TIMEOUT_MS = 5_000;

export async function openLogWriter(options: LogWriterOptions): Promise<LogWriter> {
  const parsed = parseToken(options.token);
  if (!parsed) throw new RangeError("not a container's token");
  const key = { sessionToken: sessionTokenOf(parsed), sid: crypto.randomUUID().replaceAll("-", "") };
  const subjects = subjectsOf(options.clusterId);
  const connection = await connect({
    servers: options.url,
    user: key.sid,
    pass: options.token,
    inboxPrefix: subjects.inboxPrefix(key),
    ignoreAuthErrorAbort: true,
    maxReconnectAttempts: -1,
  });
  const subject = subjects.log(options.container, options.file);
  let offset = 0;
  return {
    connection,
    /** Resolves once LOGS has it. */
    async write(text) {
      const data = new TextEncoder().encode(text);
      const headers = makeHeaders();
      headers.set(HEADER.logOffset, String(offset));
      await connection.request(subject, data, { headers, timeout: ACK_TIMEOUT_MS });
      offset += data.length;
    },
    close: () => connection.close(),
  };
}

/** A line as crunch-run writes it: UTC time with nine digits, then the text. */
export function logLine(text: string, now: number): string {
  return `${new Date(now).toISOString().replace("Z", "000000Z")} ${text}\n`;
}
