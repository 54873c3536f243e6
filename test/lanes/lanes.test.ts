import assert from "node:assert/strict";
import { loadedWith, type SourceFile, sourceFiles } from "../layout/sources.ts";
import { laneError, laneOf } from "./lanes.ts";

/** What is wrong with the suffix of a test file that imports this. */
function errorOf(path: string, imported: string): string | null {
  const files: SourceFile[] = [
    { path, text: `import { a } from "../a.ts";\n` },
    { path: "a.ts", text: imported },
  ];
  return laneError(path, loadedWith(path, new Map(files.map((file) => [file.path, file]))));
}

const NATS = 'import { startNatsServer } from "./dev/servers/nats-server.ts";';
const POSTGRES = 'import { startPostgres } from "./dev/servers/postgres.ts";';

describe("the suffix of a test file", () => {
  it("names the servers that its tests need", () => {
    const files = new Map(sourceFiles().map((file) => [file.path, file]));
    const tests = [...files.keys()].filter((path) => path.endsWith(".test.ts"));
    assert.ok(tests.length > 150);
    assert.deepEqual(
      tests.flatMap((path) => laneError(path, loadedWith(path, files)) ?? []),
      [],
    );
  });

  it("is missed where a test starts a server", () => {
    assert.match(String(errorOf("test/x.test.ts", NATS)), /loads launchers of nats-server/);
    assert.match(String(errorOf("test/x.test.ts", POSTGRES)), /loads launchers of PostgreSQL/);
    assert.match(
      String(errorOf("test/x.nats.test.ts", `${NATS}\n${POSTGRES}`)),
      /loads launchers of PostgreSQL,nats-server/,
    );
  });

  it("is refused where a test does not need it, and where it names no lane", () => {
    assert.match(String(errorOf("test/x.pg.test.ts", "")), /loads launchers of no server/);
    assert.throws(() => laneOf("test/x.slow.test.ts"), RangeError);
  });

  it("is right where a test needs just that, or only a type", () => {
    assert.equal(errorOf("test/x.nats.test.ts", NATS), null);
    assert.equal(errorOf("test/x.pg.test.ts", POSTGRES), null);
    assert.equal(errorOf("test/x.test.ts", 'import type { NatsServer } from "./dev/servers/nats-server.ts";'), null);
  });
});
