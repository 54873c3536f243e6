/** Ports of loopback that were free a moment ago. */
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";

/**
 * Below those that systems give to outgoing connections (Linux from 32768, others from 49152), one of which could take the port before
 * its server does, or while that one is being restarted.
 */
const [FIRST, END] = [15_000, 30_000];
/** None comes twice soon, and another process hardly looks in the same place. */
let next = randomInt(FIRST, END);

export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  for (let tries = FIRST; ports.length < count && tries < END; tries++) {
    const port = next;
    next = next + 1 < END ? next + 1 : FIRST;
    if (await isFree(port)) ports.push(port);
  }
  if (ports.length === count) return ports;
  throw new Error(`no ${count} free ports between ${FIRST} and ${END}`);
}

export async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EADDRINUSE") return false;
    throw error;
  } finally {
    if (server.listening) await new Promise((done) => server.close(done));
  }
}
