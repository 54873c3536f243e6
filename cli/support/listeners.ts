/** Listeners of a nats-server that are not for sessions, as its monitoring port reports them. */
import { z } from "zod";

const TIMEOUT_MS = 5_000;
const listener = z.object({ host: z.string().optional(), port: z.number().optional() }).optional();
const varz = z.object({ server_name: z.string(), leaf: listener, mqtt: listener, gateway: listener });
const NAMES = { leaf: "leafnodes", mqtt: "mqtt", gateway: "gateway" } as const;

/** `listeners`: as `leafnodes 0.0.0.0:7422`. */
type OtherListeners = { name: string; listeners: string[] };

/** @throws where nothing answers, or no nats-server does */
export async function otherListeners(monitorUrl: string): Promise<OtherListeners> {
  const answer = await fetch(new URL("/varz", monitorUrl), { signal: AbortSignal.timeout(TIMEOUT_MS) });
  return listenersIn(await answer.json());
}

/** Pure. */
function listenersIn(body: unknown): OtherListeners {
  const { server_name, ...doors } = varz.parse(body);
  const listeners = (Object.keys(NAMES) as (keyof typeof NAMES)[]).flatMap((key) => {
    const { host = "", port = 0 } = doors[key] ?? {};
    return port > 0 ? [`${NAMES[key]} ${host}:${port}`] : [];
  });
  return { name: server_name, listeners };
}
