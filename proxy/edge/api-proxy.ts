/**
 * Plain HTTP to the Arvados API on the edge's own origin, for pages that are served here. A client brings its own token in
 * `Authorization`; the edge adds nothing to it but the client's address, and decides nothing.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import httpProxy from "http-proxy";
import type { Logger } from "pino";
import { fault, reasonOf } from "../../core/errors.ts";
import { apiHeaders, apiRefusal, apiTarget } from "./api-request.ts";
import { requestAddress } from "./client.ts";

/** As long as Arvados itself lets a request take (API.RequestTimeout). */
export const ANSWER_WITHIN_MS = 300_000;

export type ApiProxyOptions = {
  url: string;
  isForwarder: (address: string) => boolean;
  log: Logger;
  /** @param status of the answer, `502` where Arvados gave none, `400` and `405` where the edge did not ask it */
  onAnswer: (status: number) => void;
};

export function passToArvados({ url, isForwarder, log, onAnswer }: ApiProxyOptions): RequestListener {
  const proxy = httpProxy.createProxyServer({ target: url, changeOrigin: true, proxyTimeout: ANSWER_WITHIN_MS });
  proxy.on("proxyRes", (answer, _request, response) => {
    const { headers, statusCode } = answer;
    for (const name of headers.connection?.split(",") ?? []) delete headers[name.trim().toLowerCase()];
    for (const name of OWN_TO_ARVADOS) delete headers[name];
    // What the library would write says nothing of the client's connection.
    headers.connection = response.shouldKeepAlive ? "keep-alive" : "close";
    // Files in logs are users' own: as pages of this origin they could read what the console keeps.
    headers["content-security-policy"] = "default-src 'none'; sandbox";
    headers["x-content-type-options"] = "nosniff";
    onAnswer(statusCode ?? 0);
    // The library leaves a client waiting whose answer breaks off.
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
    // Before the library sees the request: of `Expect: 100-continue` it sends the headers before it lets anybody change them.
    request.url = target as string;
    request.headers = apiHeaders(method, headers, requestAddress(request, isForwarder));
    proxy.web(request, response);
  };
}

/** What Arvados says of the connection to it, and to browsers of its own origin. */
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

/** In Arvados' own form; cut off where an answer has begun. What is left of the request is not read. */
function refuse(response: ServerResponse, status: number, message: string): void {
  if (response.headersSent) response.destroy();
  else
    response
      .writeHead(status, { "Content-Type": "application/json", Connection: "close" })
      .end(JSON.stringify({ errors: [message] }));
}
