/**
 * A TCP relay on loopback, as a network between two programs: one address for several servers, and a wire on which what was sent can be
 * held back for a while, or is lost.
 */
import { connect, createServer, type Socket } from "node:net";

export type TcpRelay = AsyncDisposable & {
  readonly port: number;
  /** What clients send from now on is on its way and does not arrive; what servers send does. */
  hold(): void;
  release(): void;
  /** Of what is held, lets arrive what was published before the message that has this in it. */
  releaseBefore(text: string): void;
  /** What is held, as text. */
  held(): string;
  /** What servers send from now on arrives nowhere, until `find`; what clients send does. */
  lose(): void;
  find(): void;
  /** What was lost since `lose`, as text. */
  lost(): string;
  /** Ends the connections there are, for both sides. */
  cut(): void;
};

export type RelayOptions = {
  /** Ports of loopback: a connection goes to the first that takes it. */
  to: () => readonly number[];
  /** What servers send to clients. */
  onAnswer?: (text: string) => void;
};

/** Each connection begins with another port, as behind a Kubernetes Service. */
export function inTurns(ports: () => readonly number[]): () => readonly number[] {
  let turn = 0;
  return () => {
    const all = ports();
    const first = turn++ % all.length;
    return [...all.slice(first), ...all.slice(0, first)];
  };
}

type Packet = { bytes: Buffer; upstream: Socket };

const HOST = "127.0.0.1";

export async function startTcpRelay({ to, onAnswer }: RelayOptions): Promise<TcpRelay> {
  const sockets = new Set<Socket>();
  let held: Packet[] | null = null;
  let loses = false;
  let lost = "";
  const kept = (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.once("close", () => sockets.delete(socket));
    return socket;
  };
  const server = createServer(async (client) => {
    kept(client).pause();
    const upstream = await firstOpen(to());
    if (!upstream) return void client.destroy();
    kept(upstream);
    upstream.on("data", (bytes) => {
      onAnswer?.(bytes.toString());
      if (loses) lost += bytes.toString();
      else client.write(bytes);
    });
    client.on("data", (bytes) => {
      if (held) held.push({ bytes, upstream });
      else upstream.write(bytes);
    });
    upstream.once("close", () => client.destroy());
    client.once("close", () => upstream.end());
    client.resume();
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(0, HOST, resolve);
  });
  return {
    port: (server.address() as { port: number }).port,
    hold() {
      held ??= [];
    },
    release() {
      for (const { bytes, upstream } of held ?? []) upstream.write(bytes);
      held = null;
    },
    releaseBefore(text) {
      const all = held ?? [];
      for (const upstream of new Set(all.map((packet) => packet.upstream))) {
        const bytes = Buffer.concat(all.filter((packet) => packet.upstream === upstream).map((packet) => packet.bytes));
        if (!bytes.includes(text)) continue;
        const message = bytes.lastIndexOf("HPUB ", bytes.indexOf(text));
        upstream.write(bytes.subarray(0, message));
        held = [...all.filter((packet) => packet.upstream !== upstream), { bytes: bytes.subarray(message), upstream }];
      }
    },
    held: () => Buffer.concat((held ?? []).map(({ bytes }) => bytes)).toString(),
    lose() {
      loses = true;
      lost = "";
    },
    find() {
      loses = false;
    },
    lost: () => lost,
    cut() {
      for (const socket of sockets) socket.destroy();
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function firstOpen(ports: readonly number[]): Promise<Socket | null> {
  for (const port of ports) {
    const socket = connect(port, HOST);
    const isOpen = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    });
    if (isOpen) return socket;
    socket.destroy();
  }
  return null;
}
