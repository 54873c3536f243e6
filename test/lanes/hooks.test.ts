import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { until } from "../../dev/testing/until.ts";
import { leftovers } from "./leftovers.ts";

describe("a test without a suffix", () => {
  it("has five seconds", function () {
    assert.equal(this.test?.timeout(), 5_000);
  });

  it("has the time that it asks for", function () {
    assert.equal(this.test?.timeout(), 7_000);
  }).timeout(7_000);
});

describe("what tests leave behind", () => {
  const isGone = (what: string) => until(() => !leftovers().includes(what), `the end of ${what}`);

  it("is found where a server listens, until it is closed", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    assert.ok(leftovers().includes("TCPServerWrap"));
    server.close();
    await isGone("TCPServerWrap");
  });

  it("is found where a process runs, until it ends", async () => {
    const child = spawn(process.execPath, ["-e", "process.stdin.resume()"], { stdio: ["pipe", "ignore", "ignore"] });
    assert.ok(leftovers().includes("ProcessWrap"));
    child.stdin.end();
    await isGone("ProcessWrap");
  });
});
