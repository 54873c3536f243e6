/** Reads parts of a container's log files from the Arvados API, while the container runs and later. */
import { arvadosGet, whyNoAnswer } from "../../runtime/arvados-get.ts";

export type LogFileName = { request: string; container: string; file: string };

export type LogAnswer =
  | { type: "read"; data: Uint8Array; size: number | null }
  | { type: "short" }
  | { type: "absent" }
  | { type: "failed"; reason: string };

export type LogApiOptions = {
  /** Of the Arvados API, without a path. */
  url: string;
  /** SystemRootToken. */
  token: string;
  timeoutMs: number;
};

/** At most `length` bytes of the file from its byte `from` on. */
export type ReadLog = (name: LogFileName, from: number, length: number, signal: AbortSignal) => Promise<LogAnswer>;

export function createLogApi({ url, token, timeoutMs }: LogApiOptions): ReadLog {
  return async ({ request, container, file }, from, length, signal) => {
    const path = `/arvados/v1/container_requests/${request}/log/${container}/${encodeURIComponent(file)}`;
    try {
      const response = await arvadosGet({
        url,
        path,
        token,
        headers: {
          range: `bytes=${from}-${from + length - 1}`,
          // In a compressed answer the offsets would not be those of the file.
          "accept-encoding": "identity",
        },
        signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      });
      return await answerOf(response, from, length);
    } catch (error) {
      return { type: "failed", reason: whyNoAnswer(error) };
    }
  };
}

async function answerOf(response: Response, from: number, length: number): Promise<LogAnswer> {
  const { status, headers } = response;
  if (status === 200) {
    // The whole file: the server ignored the range, as it does for an empty file.
    const size = headers.get("content-length");
    const data = await bytesOf(response, from, length);
    return { type: "read", data, size: size === null ? null : Number(size) };
  }
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers.get("content-range") ?? "");
  if (status === 206 && Number(range?.[1]) === from) {
    const size = range?.[2] === "*" ? null : Number(range?.[2]);
    return { type: "read", data: await bytesOf(response, 0, length), size };
  }
  await response.body?.cancel();
  if (status === 416) return { type: "short" };
  if (status === 404) return { type: "absent" };
  return {
    type: "failed",
    reason: status === 206 ? "the answer has another range than requested" : `status ${status}`,
  };
}

/** `length` bytes of a body after the first `skip`. No more of it is kept in memory. */
async function bytesOf(response: Response, skip: number, length: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let left = length;
  let ahead = skip;
  if (!response.body) return new Uint8Array();
  for await (const part of response.body) {
    const wanted = part.subarray(Math.min(ahead, part.length)).subarray(0, left);
    ahead -= Math.min(ahead, part.length);
    parts.push(wanted);
    left -= wanted.length;
    // Leaving the loop cancels the body.
    if (left === 0) break;
  }
  return Buffer.concat(parts);
}
