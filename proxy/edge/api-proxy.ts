/**
 * Passes plain HTTP requests to the Arvados API, for pages that the proxy serves. The client sends its own token in `Authorization`; the
 * edge adds only the client's address, and checks no rights.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import httpProxy from "http-proxy";
import type { Logger } from "pino";
import { fault, reasonOf } from "../../core/errors.ts";
import { apiHeaders, apiRefusal, apiTarget } from "./api-request.ts";
import { requestAddress } from "./client.ts";

/** Arvados' own limit for a request (API.RequestTimeout). */
export const ANSWER_WITHIN_MS = 300_000;

export type ApiProxyOptions = {
  url: string;
  isForwarder: (address: string) => boolean;
  log: Logger;
  /** @param status of the answer; `502` if Arvados gave none, `400` or `405` if the edge refused the request */
  onAnswer: (status: number) => void;
};

export function passToArvados({ url, isForwarder, log, onAnswer }: ApiProxyOptions): RequestListener {
  const proxy = httpProxy.createProxyServer({ target: url, changeOrigin: true, proxyTimeout: ANSWER_WITHIN_MS });
  proxy.on("proxyRes", (answer, _request, response) => {
    const { headers, statusCode } = answer;
    for (const name of headers.connection?.split(",") ?? []) delete headers[name.trim().toLowerCase()];
    for (const name of OWN_TO_ARVADOS) delete headers[name];
    // The library would copy what Arvados says about its own connection to the proxy.
    headers.connection = response.shouldKeepAlive ? "keep-alive" : "close";
    // Users write the files in logs: as pages of this origin they could read what the console stores.
    headers["content-security-policy"] = "default-src 'none'; sandbox";
    headers["x-content-type-options"] = "nosniff";
    onAnswer(statusCode ?? 0);
    // If an answer breaks off, the library leaves the client waiting.
    answer.on("error", () => {});
    answer.on("close", () => {
      if (!answer.complete) response.destroy();
    });
  });
  proxy.on("error", (error, _request, response) => {
    const { code, message } = fault("arvados.unreachable", { url, reason: reasonOf(error) });
    log.warn({ code }, message);
    onAnswer(502);
    if (response && "writeHead" in response) refuse(response, 502, "The Arvados API does not answer: try again later.");
  });
  return (request: IncomingMessage, response: ServerResponse) => {
    const { method = "", httpVersion, headers, url: asked = "" } = request;
    const target = apiTarget(asked);
    const refusal =
      target === null || target === "unclear"
        ? { status: 400, message: "This is no clear path of the Arvados API." }
        : apiRefusal(method, httpVersion, headers);
    if (refusal) {
      onAnswer(refusal.status);
      refuse(response, refusal.status, refusal.message);
      return;
    }
    // Changed before the library sees the request: with `Expect: 100-continue` it sends the headers before any hook runs.
    request.url = target as string;
    request.headers = apiHeaders(method, headers, requestAddress(request, isForwarder));
    proxy.web(request, response);
  };
}

/** Headers about Arvados' connection to the proxy, or for pages of Arvados' own origin. */
const OWN_TO_ARVADOS = [
  "alt-svc",
  "clear-site-data",
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "set-cookie",
  "strict-transport-security",
  "trailer",
  "upgrade",
];

/** Answers as Arvados does; closes the connection if an answer has begun. The rest of the request is not read. */
function refuse(response: ServerResponse, status: number, message: string): void {
  if (response.headersSent) response.destroy();
  else
    response
      .writeHead(status, { "Content-Type": "application/json", Connection: "close" })
      .end(JSON.stringify({ errors: [message] }));
}
