/** Each setting is read by product code: one that nothing reads promises an operator what does not happen. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { allSettings } from "../../../runtime/config/table.ts";

const ROOT = new URL("../../../", import.meta.url).pathname;
/** `dev/` gives settings values, and `runtime/config/` declares them. */
const PRODUCT = ["authcallout", "bridge", "cli", "proxy", "replica", "runtime"];
/** Read with the name of a service or an account in brackets. */
const READ_BY_NAME = ["admin", "nkeys"];

const code = PRODUCT.flatMap((folder) =>
  readdirSync(`${ROOT}${folder}`, { encoding: "utf8", recursive: true }).map((file) => `${folder}/${file}`),
)
  .filter((file) => file.endsWith(".ts"))
  .filter((file) => !file.startsWith("runtime/config/"))
  .map((file) => readFileSync(`${ROOT}${file}`, "utf8"))
  .join("\n");

/** As `config.name`, or taken out of an object in `const { name } = config` and `({ name }: Config)`. */
function isRead(name: string): boolean {
  const read = new RegExp(`\\.${name}\\b(?!\\()|\\{[^{}()]*\\b${name}\\b[^{}()]*\\}\\s*(=[^=>]|:\\s*\\w*Config\\b)`);
  return read.test(code);
}

describe("each setting", () => {
  for (const { path, setting } of allSettings()) {
    const [first = ""] = path;
    it(`is read: ${setting.file}`, () => {
      assert.ok(isRead(READ_BY_NAME.includes(first) ? first : (path.at(-1) ?? "")));
    });
  }

  it("that is only declared, or only given a value, is found: negative control", () => {
    for (const name of ["stalenessTial", "arvadosWebsocketUrl"]) assert.equal(isRead(name), false);
  });
});
