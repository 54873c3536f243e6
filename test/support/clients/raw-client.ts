/** A client that speaks the NATS protocol over a WebSocket by hand: what libraries would not send, and what they do not show. */
import type { IncomingMessage } from "node:http";
import { WebSocket } from "ws";
import { until } from "../../../dev/testing/until.ts";
import { inSpiteOfStalls } from "../servers/stalls.ts";

export type RawClient = {
  socket: WebSocket;
  /** All that came so far. */
  text(): string;
  /** Code and reason of the close frame. */
  closed: Promise<{ code: number; reason: string }>;
  send(text: string): void;
};

/** Resolves once INFO is there, or the socket closed. */
export async function openRawClient(url: string, headers: Record<string, string> = {}): Promise<RawClient> {
  const socket = new WebSocket(url, { headers });
  let text = "";
  let isClosed = false;
  socket.on("message", (data) => {
    text += String(data);
  });
  socket.on("error", () => {});
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.on("close", (code, reason) => {
      isClosed = true;
      resolve({ code, reason: reason.toString() });
    });
    socket.on("unexpected-response", (_request, response: IncomingMessage) => {
      isClosed = true;
      resolve({ code: response.statusCode ?? 0, reason: "" });
    });
  });
  await until(() => isClosed || text.includes("\r\n"), "INFO, or the end");
  return { socket, text: () => text, closed, send: (line) => socket.send(line) };
}

export function connectLine(options: object): string {
  return `CONNECT ${JSON.stringify({ verbose: false, pedantic: false, lang: "raw", version: "1", ...options })}\r\n`;
}

/** Whether nats-server lets this CONNECT in. The socket is closed afterwards. */
export function isAdmitted(url: string, options: object, headers: Record<string, string> = {}): Promise<boolean> {
  return inSpiteOfStalls(
    () => tryConnect(url, options, headers),
    (isIn) => !isIn,
  );
}

async function tryConnect(url: string, options: object, headers: Record<string, string>): Promise<boolean> {
  const client = await openRawClient(url, headers);
  client.send(`${connectLine(options)}PING\r\n`);
  const over = /PONG\r\n|-ERR 'Authorization Violation'\r\n/;
  const [outcome] = await until(() => over.exec(client.text()), "an answer to CONNECT");
  client.socket.close();
  await client.closed;
  return outcome === "PONG\r\n";
}
