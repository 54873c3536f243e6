/**
 * The port for operators, never for users: `/livez` (the process answers), `/readyz` (the service works, or why it does not), `/metrics`.
 * `service-host.ts` opens it for each service.
 */
import type { ServerResponse } from "node:http";
import { reasonOf } from "../core/errors.ts";
import { type Address, urlOf } from "./config/setting.ts";
import { createHttpServer, pathOf } from "./http-server.ts";
import { listen } from "./listen.ts";
import type { Metrics } from "./metrics.ts";
import type { Readiness } from "./service.ts";

type AdminServer = { url: string; close(): Promise<void> };

type AdminServerOptions = {
  address: Address;
  /** As in "the bridge's admin port cannot listen on ...". */
  what: string;
  /** The setting that moves it. */
  setting: string;
  readiness: () => Readiness;
  metrics: Metrics;
};

export async function startAdminServer(options: AdminServerOptions): Promise<AdminServer> {
  const { address, what, setting, metrics, readiness } = options;
  const pages: Record<string, (response: ServerResponse) => Promise<void> | void> = {
    "/livez": (response) => answer(response, 200, "text/plain", "ok\n"),
    "/readyz": (response) => answerReadiness(response, readiness),
    "/metrics": async (response) => answer(response, 200, metrics.contentType, await metrics.text()),
  };
  const server = createHttpServer((request, response) => {
    const page = pages[pathOf(request.url ?? "")];
    if (request.method !== "GET" && request.method !== "HEAD")
      answer(response, 405, "text/plain", "GET or HEAD only\n");
    else if (!page) answer(response, 404, "text/plain", `there are ${Object.keys(pages).join(", ")}\n`);
    else
      Promise.resolve(page(response)).catch((error: unknown) =>
        answer(response, 500, "text/plain", `${reasonOf(error)}\n`),
      );
  });
  const bound = await listen(server, address, { what, setting });
  return {
    url: urlOf("http", bound),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Ready when every condition is. */
export function isReady(readiness: Readiness): boolean {
  return Object.values(readiness).every((condition) => condition.ok);
}

function answerReadiness(response: ServerResponse, ask: () => Readiness): void {
  const conditions = safely(ask);
  const ready = isReady(conditions);
  answer(response, ready ? 200 : 503, "application/json", `${JSON.stringify({ ready, conditions })}\n`);
}

/** A service whose readiness cannot be read is not ready. */
function safely(ask: () => Readiness): Readiness {
  try {
    return ask();
  } catch (error) {
    return { readiness: { ok: false, says: `cannot tell: ${reasonOf(error)}` } };
  }
}

function answer(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { "content-type": type, "cache-control": "no-store" });
  response.end(body);
}
