import assert from "node:assert/strict";
import type { RequestListener } from "node:http";
import { createLogApi, type LogAnswer } from "../../../bridge/logs/log-api.ts";
import { startLoopbackServer } from "../../../dev/servers/loopback-server.ts";
import { startArvadosApi } from "../../../dev/simulated-api.ts";

const CONTAINER = "zzzzz-dz642-000000000000000";
const name = { request: "zzzzz-xvhdp-000000000000000", container: CONTAINER, file: "stdout.txt" };
const { signal } = new AbortController();

const shown = (answer: LogAnswer) =>
  answer.type === "read" ? [Buffer.from(answer.data).toString(), answer.size] : answer.type;

describe("reading a log from the Arvados API", () => {
  it("gets a part of the file and its size, and distinguishes a missing, an empty and a shorter file", async () => {
    await using api = await startArvadosApi("root");
    const read = createLogApi({ url: api.url, token: "root", timeoutMs: 5_000 });
    assert.equal(shown(await read(name, 0, 10, signal)), "absent");
    api.replace(CONTAINER, "stdout.txt", new Uint8Array());
    assert.deepEqual(shown(await read(name, 0, 10, signal)), ["", 0]);
    api.append(CONTAINER, "stdout.txt", "0123456789");
    assert.deepEqual(shown(await read(name, 0, 4, signal)), ["0123", 10]);
    assert.deepEqual(shown(await read(name, 8, 10, signal)), ["89", 10]);
    assert.equal(shown(await read(name, 10, 10, signal)), "short");
    assert.equal(api.requests[0]?.request, name.request);
  });

  it("reads its part from an answer that ignores the range, and no more", async () => {
    await using server = await startLoopbackServer(
      (_request, response) => void response.end("0123456789".repeat(100_000)),
    );
    const read = createLogApi({ url: server.url, token: "root", timeoutMs: 5_000 });
    assert.deepEqual(shown(await read(name, 8, 4, signal)), ["8901", 1_000_000]);
  });

  it("fails on refusals, errors, another range than requested, redirects, silence and no server, and never names the token", async () => {
    const token = "systemroottokensystemroottoken";
    const others: RequestListener[] = [
      (_request, response) => void response.writeHead(403).end(token),
      (_request, response) => void response.writeHead(502).end(),
      (_request, response) => void response.writeHead(206, { "content-range": "bytes 5-6/10" }).end("56"),
      (_request, response) => void response.writeHead(302, { location: "http://127.0.0.1:1/" }).end(),
      () => {},
    ];
    const reasons: string[] = [];
    for (const listener of others) {
      await using server = await startLoopbackServer(listener);
      const answer = await createLogApi({ url: server.url, token, timeoutMs: 200 })(name, 0, 10, signal);
      assert.equal(answer.type, "failed");
      if (answer.type === "failed") reasons.push(answer.reason);
    }
    const { url } = await startLoopbackServer(() => {}).then(async (server) => {
      await server[Symbol.asyncDispose]();
      return server;
    });
    const gone = await createLogApi({ url, token, timeoutMs: 200 })(name, 0, 10, signal);
    assert.match(gone.type === "failed" ? gone.reason : "", /ECONNREFUSED/);
    assert.deepEqual(reasons.slice(0, 2), ["status 403", "status 502"]);
    assert.ok(reasons.every((reason) => reason !== "" && !reason.includes(token)));
  });
});
