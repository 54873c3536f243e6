/**
 * The part of the Arvados API that hands out containers' logs: `GET /arvados/v1/container_requests/<cr>/log/<container>/<file>` with
 * Range, for whoever has the token, as Arvados answers it for a running container (a file in memory that grows) and for a saved log.
 */
import type { ServerResponse } from "node:http";
import { startLoopbackServer } from "./servers/loopback-server.ts";

type ApiRequest = { request: string; container: string; file: string; from: number; status: number };

export type SimulatedApi = AsyncDisposable & {
  url: string;
  token: string;
  /** What was asked for, in order. */
  requests: ApiRequest[];
  /** The container writes more. */
  append(container: string, file: string, more: string | Uint8Array): void;
  /** The file as it is; empty where it is not there. */
  file(container: string, file: string): Buffer;
  /** It is another file from now on, or none. */
  replace(container: string, file: string, bytes: Uint8Array | null): void;
  /** Every request is answered so, until this is set back to null. */
  failing: number | null;
};

const PATH = /^\/arvados\/v1\/container_requests\/([^/]+)\/log\/([^/]+)\/([^/]+)$/;

export async function startArvadosApi(token: string, port = 0): Promise<SimulatedApi> {
  const files = new Map<string, Buffer>();
  const requests: ApiRequest[] = [];
  const server = await startLoopbackServer((request, response) => {
    const [, cr = "", container = "", name = ""] = PATH.exec(request.url ?? "") ?? [];
    const file = decodeURIComponent(name);
    const [, first = "0", last = ""] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
    const isKnown = request.headers.authorization === `Bearer ${token}`;
    const bytes = files.get(`${container}/${file}`);
    const status = api.failing ?? (isKnown ? null : 401) ?? (bytes === undefined ? 404 : null);
    if (status === null && bytes)
      send(response, bytes, Number(first), last === "" ? Number.POSITIVE_INFINITY : Number(last));
    else response.writeHead(status ?? 500).end();
    requests.push({ request: cr, container, file, from: Number(first), status: response.statusCode });
  }, port);
  const file = (container: string, name: string) => files.get(`${container}/${name}`) ?? Buffer.alloc(0);
  const api: SimulatedApi = {
    ...server,
    token,
    requests,
    failing: null,
    file,
    append(container, name, more) {
      files.set(`${container}/${name}`, Buffer.concat([file(container, name), Buffer.from(more)]));
    },
    replace(container, name, bytes) {
      if (bytes) files.set(`${container}/${name}`, Buffer.from(bytes));
      else files.delete(`${container}/${name}`);
    },
  };
  return api;
}

/** As Go's net/http serves a file: an empty one whole, a range behind the end with 416. */
function send(response: ServerResponse, bytes: Buffer, first: number, last: number): void {
  const size = bytes.length;
  if (size === 0) {
    response.writeHead(200, { "content-length": 0 }).end();
  } else if (first >= size) {
    response.writeHead(416, { "content-range": `bytes */${size}` }).end();
  } else {
    const part = bytes.subarray(first, last + 1);
    const range = `bytes ${first}-${first + part.length - 1}/${size}`;
    response.writeHead(206, { "content-range": range, "content-length": part.length }).end(part);
  }
}
