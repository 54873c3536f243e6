import assert from "node:assert/strict";
import { Servers } from "../../../authcallout/sessions/servers.ts";

describe("the servers that may hold sessions", () => {
  it("are all that were ever seen, silent ones too", () => {
    const servers = new Servers();
    assert.equal(servers.seen("n1", "A"), "new");
    assert.equal(servers.seen("n1", "A"), "known");
    servers.seen("n2", "B");
    servers.silent("B");
    assert.deepEqual(servers.ids(), ["A", "B"]);
    assert.equal(servers.silentCount, 1);
  });
  it("lose one whose name comes back under a new id, for good", () => {
    const servers = new Servers();
    servers.seen("n1", "A");
    assert.equal(servers.seen("n1", "A2"), "new");
    assert.deepEqual(servers.ids(), ["A2"]);
    assert.equal(servers.seen("n1", "A"), "former", "a late word of the old process changes nothing");
    assert.deepEqual(servers.ids(), ["A2"]);
  });
  it("lose one that says it shuts down, and one that an admin gives up until it shows up again", () => {
    const servers = new Servers();
    servers.seen("n1", "A");
    servers.seen("n2", "B");
    servers.ended("A");
    assert.equal(servers.forget("n2"), "B");
    assert.deepEqual(servers.ids(), []);
    assert.equal(servers.seen("n2", "B"), "returned");
    assert.equal(servers.forget("n9"), null);
  });
});
