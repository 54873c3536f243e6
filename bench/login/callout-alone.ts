/**
 * The callout without logins: requests made beforehand as nats-server makes them, put to the service as fast as it answers. What
 * a login costs nats-server, the bottleneck of all logins, is left out.
 */
import { headers, type NatsConnection } from "@nats-io/nats-core";
import { createCurve, createServer as createServerKey, createUser } from "@nats-io/nkeys";
import { connect } from "@nats-io/transport-node";
import { createSigner } from "../../authcallout/login/jwt.ts";
import { createSealer } from "../../authcallout/login/xkey.ts";
import { deferred } from "../../runtime/deferred.ts";
import { processorTime } from "../support/processes.ts";
import { ASKER, type CalloutService, SID, USERS } from "./login-world.ts";

const REQUESTS = 256;
const IN_FLIGHT = 32;
const LIFE_S = 600;
const INBOX = "$SYS._INBOX.bench";

export type Alone = { perSecond: number; cpu: number };

export type Asker = { measure(size: number, ms: number): Promise<Alone>; close(): Promise<void> };

export async function createAsker(service: CalloutService): Promise<Asker> {
  const nc = await connect({ servers: service.url, ...ASKER });
  const { requests, xkey } = prepare(service);
  return {
    async measure(size, ms) {
      const bodies = requests.get(size) as Uint8Array[];
      await drive(nc, bodies, xkey, ms / 4);
      const before = await processorTime(service.pid);
      const begun = performance.now();
      const answered = await drive(nc, bodies, xkey, ms);
      const perSecond = (answered / (performance.now() - begun)) * 1_000;
      return { perSecond, cpu: ((await processorTime(service.pid)) - before) / answered };
    },
    close: () => nc.close(),
  };
}

/** By number of grants: requests sealed for the service by a server that only this program knows. */
function prepare({ keys }: CalloutService): { requests: Map<number, Uint8Array[]>; xkey: string } {
  const text = (seed: Uint8Array) => new TextDecoder().decode(seed);
  const signer = createSigner("server", text(createServerKey().getSeed()));
  const curve = createCurve();
  const sealer = createSealer(text(curve.getSeed()));
  const xkey = curve.getPublicKey();
  const now = Math.floor(Date.now() / 1_000);
  const request = (token: string, cid: number) =>
    signer.sign({
      sub: keys.issuer.public,
      aud: "nats-authorization-request",
      iat: now,
      exp: now + LIFE_S,
      nats: {
        server_id: { name: "bench", host: "127.0.0.1", id: signer.publicKey, version: "2.15.2", xkey },
        user_nkey: createUser().getPublicKey(),
        client_info: { host: "127.0.0.1", id: cid, user: SID, kind: "Client", type: "nats" },
        connect_opts: { user: SID, pass: token, lang: "bench", version: "0", protocol: 1 },
        type: "authorization_request",
        version: 2,
      },
    });
  const sealed = (token: string, at: number) => sealer.seal(Buffer.from(request(token, at)), keys.xkey.public);
  const requests = USERS.map(
    ({ size, token }, user) =>
      [size, Array.from({ length: REQUESTS }, (_, i) => sealed(token, user * REQUESTS + i + 1))] as const,
  );
  return { requests: new Map(requests), xkey };
}

/** How many were answered. */
async function drive(nc: NatsConnection, bodies: Uint8Array[], xkey: string, ms: number): Promise<number> {
  const end = performance.now() + ms;
  const head = headers();
  head.set("Nats-Server-Xkey", xkey);
  const [reply, done] = [`${INBOX}.${crypto.randomUUID()}`, deferred()];
  let [sent, answered] = [0, 0];
  const send = () => {
    nc.publish("$SYS.REQ.USER.AUTH", bodies[sent++ % bodies.length], { headers: head, reply });
  };
  const subscription = nc.subscribe(reply, {
    callback: (error, { data }) => {
      if (error) return done.reject(error);
      if (data.length < 200) return done.reject(new Error("the callout refuses"));
      answered++;
      if (performance.now() < end) send();
      else if (answered === sent) done.resolve();
    },
  });
  for (let i = 0; i < IN_FLIGHT; i++) send();
  await done.promise;
  subscription.unsubscribe();
  return answered;
}
