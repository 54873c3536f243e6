import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SpillFile } from "../../../bridge/spill/spill-file.ts";
import { Fault } from "../../../core/errors.ts";

describe("a spill file", () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "spill-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const namesFolder = (error: unknown) => error instanceof Fault && error.message.includes(`in ${folder}`);

  it("reads back what was appended, and leaves no name in its folder", async () => {
    const file = new SpillFile(folder);
    file.append(Buffer.from("one"));
    const offset = file.append(Buffer.from("two"));
    assert.equal(file.read(offset, 100).toString(), "two");
    assert.deepEqual(await readdir(folder), []);
    file.close();
  });

  it("names its folder where the folder does not exist", async () => {
    const missing = join(folder, "missing");
    assert.throws(
      () => new SpillFile(missing),
      (error) => namesFolder(error) && String(error).includes(missing),
    );
  });

  it("names its folder where reading or writing fails", () => {
    const file = new SpillFile(folder);
    file.append(Buffer.from("one"));
    file.read(0, 3);
    file.close();
    assert.throws(() => file.read(0, 3), namesFolder);
    assert.throws(() => file.append(Buffer.alloc(1024 * 1024)), namesFolder);
  });
});
