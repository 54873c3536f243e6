import assert from "node:assert/strict";
import { freePorts, isFree } from "../../../dev/servers/free-ports.ts";

describe("free ports", () => {
  it("are as many as wanted, none twice, free, and none that an outgoing connection could have", async () => {
    const ports = [...(await freePorts(5)), ...(await freePorts(5))];
    assert.equal(new Set(ports).size, 10);
    for (const port of ports) assert.ok(port < 32_768 && (await isFree(port)), String(port));
  });

  it("are none where none is wanted", async () => assert.deepEqual(await freePorts(0), []));
});
