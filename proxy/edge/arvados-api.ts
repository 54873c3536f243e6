/**
 * Plain HTTP to the Arvados API on the edge's own origin, for pages that are served here. Whoever asks brings a token of his own in
 * `Authorization`; the edge adds nothing to it but the client's address, and decides nothing.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import httpProxy from "http-proxy";
import type { Logger } from "pino";
import { fault, reasonOf } from "../../core/errors.ts";
import { requestAddress } from "./client.ts";

/** Arvados' API and its description; neither Workbench's pages nor logins. */
const API_PATHS = ["/arvados/v1/", "/discovery/v1/"];

/** As long as Arvados itself lets a request take (API.RequestTimeout). */
const ANSWER_WITHIN_MS = 300_000;

/** @param target of the request; one with dots may be read as another path behind us */
export function isApiRequest(target: string): boolean {
  const [path = ""] = target.split("?");
  const hasDots = /(?:^|\/|%2f)(?:\.|%2e){1,2}(?:$|\/|%2f)/i.test(path);
  return !hasDots && API_PATHS.some((prefix) => path.startsWith(prefix));
}

export type ArvadosApiOptions = {
  url: string;
  isForwarder: (address: string) => boolean;
  log: Logger;
  /** @param status of the answer, `502` where Arvados gave none */
  onAnswer: (status: number) => void;
};

export function passToArvados({ url, isForwarder, log, onAnswer }: ArvadosApiOptions): RequestListener {
  const proxy = httpProxy.createProxyServer({ target: url, changeOrigin: true, proxyTimeout: ANSWER_WITHIN_MS });
  proxy.on("proxyReq", (question, request) => {
    question.setHeader("X-Forwarded-For", requestAddress(request, isForwarder));
    // A page of another origin could make a browser send it; a token it has to know.
    question.removeHeader("cookie");
  });
  proxy.on("proxyRes", ({ headers, statusCode }) => {
    delete headers["set-cookie"];
    // Files in logs are users' own: as pages of this origin they could read what the console keeps.
    headers["content-security-policy"] = "default-src 'none'; sandbox";
    headers["x-content-type-options"] = "nosniff";
    onAnswer(statusCode ?? 0);
  });
  proxy.on("error", (error, _request, response) => {
    const { code, message } = fault("arvados.unreachable", { url, reason: reasonOf(error) });
    log.warn({ code }, message);
    onAnswer(502);
    if (response && "writeHead" in response) refuse(response, "The Arvados API does not answer: try again later.");
  });
  return (request: IncomingMessage, response: ServerResponse) => proxy.web(request, response);
}

/** In Arvados' own form; cut off where an answer has begun. */
function refuse(response: ServerResponse, message: string): void {
  if (response.headersSent) response.destroy();
  else response.writeHead(502, { "Content-Type": "application/json" }).end(JSON.stringify({ errors: [message] }));
}
