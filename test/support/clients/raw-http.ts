/** HTTP by hand: what clients' libraries would not send, and what a socket does besides. */
import { connect, type Socket } from "node:net";
import { until } from "../../../dev/testing/until.ts";

export type RawSocket = {
  socket: Socket;
  /** All that came so far, as Latin-1. */
  text(): string;
  isClosed(): boolean;
};

/** A socket that stays half open: only its other end closes it. */
export async function openRawSocket(url: string): Promise<RawSocket> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
  let text = "";
  let isClosed = false;
  let isOpen = false;
  socket.on("connect", () => {
    isOpen = true;
  });
  socket.on("data", (bytes) => {
    text += bytes.toString("latin1");
  });
  socket.on("error", () => {});
  for (const event of ["end", "close"]) {
    socket.on(event, () => {
      isClosed = true;
    });
  }
  await until(() => isOpen || isClosed, "a connection");
  return { socket, text: () => text, isClosed: () => isClosed };
}

/** Sends a request, and resolves with all that comes until the server closes. */
export async function askRaw(url: string, request: string): Promise<string> {
  const { socket, text, isClosed } = await openRawSocket(url);
  socket.write(request, "latin1");
  await until(isClosed, "the server to close");
  socket.destroy();
  return text();
}
