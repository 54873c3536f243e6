/**
 * One request to the gateway: JSON out, JSON back, and its errors (ADR-32 headers) as an error class.
 */
import { HEADER } from "../core/wire/wire.ts";
import { header, type MsgLike, type NatsLike } from "./nats-like.ts";

/** The gateway refused, or did not answer. */
export class GatewayError extends Error {
  override readonly name = "GatewayError";
  /** As in HTTP; 503 = no gateway listens, 408 = no answer in time. */
  readonly code: number;
  /** The error's code in core/errors.ts, e.g. `read.forbidden`; empty if there was no answer. */
  readonly fault: string;

  constructor(code: number, fault: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.fault = fault;
  }
}

/** The refusal in a message, or null. */
export function faultOf(msg: MsgLike): GatewayError | null {
  const fault = header(msg, HEADER.error);
  const text = header(msg, HEADER.errorCode);
  if (fault !== null || text !== null) {
    const code = Number(text ?? 500);
    return new GatewayError(Number.isInteger(code) ? code : 500, fault ?? "", sentence(msg.data) ?? fault ?? "refused");
  }
  if (msg.headers?.code === 503) return new GatewayError(503, "", "no gateway listens");
  return null;
}

/** The sentence in an error's body. */
function sentence(data: Uint8Array): string | null {
  try {
    const { message } = decode<{ message?: unknown }>(data);
    return typeof message === "string" ? message : null;
  } catch {
    return null;
  }
}

export async function ask<T>(nc: NatsLike, subject: string, body: unknown, timeoutMs: number): Promise<T> {
  let msg: MsgLike;
  try {
    msg = await nc.request(subject, encode(body), { timeout: timeoutMs });
  } catch (cause) {
    // The libraries throw both for a 503 and for a timeout, each with its own classes.
    const text = cause instanceof Error ? `${cause.name} ${cause.message}` : String(cause);
    const nobody = /503|no.?responders/i.test(text);
    const reason = nobody ? "no gateway listens" : "the gateway did not answer";
    throw new GatewayError(nobody ? 503 : 408, "", reason, { cause });
  }
  const fault = faultOf(msg);
  if (fault !== null) throw fault;
  return decode<T>(msg.data);
}

export function encode(body: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(body));
}

export function decode<T>(data: Uint8Array): T {
  return JSON.parse(new TextDecoder().decode(data)) as T;
}
