/** Logins as cheap as they can be made: a socket, CONNECT, PING, until PONG. The load on both cores is nats-server's and the service's. */
import { connect, type Socket } from "node:net";

export type Target = { port: number; user: string; pass: string };

/** Resolves with the milliseconds from connecting to PONG; rejects with what the server said. */
export function login({ port, user, pass }: Target): Promise<number> {
  return new Promise((resolve, reject) => {
    const begun = performance.now();
    let heard = "";
    const socket: Socket = connect(port, "127.0.0.1");
    socket.setNoDelay(true);
    socket.on("connect", () => {
      const options = { verbose: false, pedantic: false, lang: "bench", version: "0", protocol: 1, user, pass };
      socket.write(`CONNECT ${JSON.stringify(options)}\r\nPING\r\n`);
    });
    socket.on("data", (chunk) => {
      heard += chunk.toString("latin1");
      if (heard.includes("PONG")) {
        resolve(performance.now() - begun);
        socket.destroy();
      } else if (heard.includes("-ERR")) {
        reject(new Error(heard.slice(heard.indexOf("-ERR"), heard.indexOf("-ERR") + 60).trim()));
        socket.destroy();
      }
    });
    socket.on("error", reject);
  });
}

export type Storm = { perSecond: number; times: number[] };

/** Logs in again and again, so many at a time, for so long. */
export async function loginStorm(target: Target, parallel: number, ms: number): Promise<Storm> {
  const times: number[] = [];
  const begun = performance.now();
  const end = begun + ms;
  const one = async () => {
    while (performance.now() < end) times.push(await login(target));
  };
  await Promise.all(Array.from({ length: parallel }, one));
  return { perSecond: (times.length / (performance.now() - begun)) * 1000, times };
}
