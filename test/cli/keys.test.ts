import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { createSecret, podApi } from "../../cli/kubernetes.ts";
import { runCli } from "../../cli/run.ts";
import { generateKeys } from "../../streams-config/keys.ts";
import { keysSecret } from "../../streams-config/keys-manifest.ts";

async function cli(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const [out, err]: [string[], string[]] = [[], []];
  const code = await runCli(args, {
    out: (text) => out.push(text),
    err: { write: (text) => err.push(text) },
    env: {},
    signals: new EventEmitter(),
  });
  return { code, out: out.join(""), err: err.join("") };
}

const SEED = /S[AUX][A-Z2-7]{56}/;

describe("arvados-nats keys", () => {
  it("prints a Secret, other keys at each run, and says nothing besides", async () => {
    const [first, second] = [await cli("keys"), await cli("keys", "--debug")];
    assert.deepEqual([first.code, first.err, second.err], [0, "", ""]);
    const seedOf = ({ out }: { out: string }) => parseAllDocuments(out)[0]?.toJS().stringData.ARVADOS_NATS_XKEY_SEED;
    assert.match(seedOf(first), SEED);
    assert.notEqual(seedOf(first), seedOf(second));
  });

  it("adds a Secret without seeds for nats-server's namespace", async () => {
    const { out } = await cli("keys", "--namespace", "arvados", "--nats-namespace", "nats");
    const [all, publics] = parseAllDocuments(out).map((document) => document.toJS());
    assert.deepEqual([all.metadata.namespace, publics.metadata.namespace], ["arvados", "nats"]);
    assert.doesNotMatch(JSON.stringify(publics), SEED);
  });

  it("refuses empty and impossible names", async () => {
    for (const name of ["", "A", "-a", "a b"]) assert.equal((await cli("keys", "--name", name)).code, 2);
  });

  it("writes files that only their owner can read, and never over those that are there", async () => {
    const folder = mkdtempSync(join(tmpdir(), "arvados-nats-keys-"));
    try {
      const { code, out } = await cli("keys", "--write", folder);
      assert.equal(code, 0);
      assert.doesNotMatch(out, SEED);
      const files = readdirSync(folder).map((name) => join(folder, name));
      assert.deepEqual([...new Set(files.map((file) => statSync(file).mode & 0o777))], [0o600]);
      const texts = files.map((file) => readFileSync(file, "utf8"));
      assert.equal((await cli("keys", "--write", folder)).code, 1);
      assert.deepEqual(
        files.map((file) => readFileSync(file, "utf8")),
        texts,
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("does not create anything outside a pod, and prints no key then", async () => {
    const { code, out, err } = await cli("keys", "--create");
    assert.equal(code, 1);
    assert.match(err, /does not run in a pod/);
    assert.doesNotMatch(out + err, SEED);
  });
});

describe("the Secret that is created in the cluster", () => {
  const asked: { path: string | undefined; token: string | undefined; body: string }[] = [];
  let status = 201;
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (part) => {
      body += part;
    });
    request.on("end", () => {
      asked.push({ path: request.url, token: request.headers.authorization, body });
      response.writeHead(status).end(body);
    });
  });
  before((done) => void server.listen(0, "127.0.0.1", done));
  after((done) => void server.close(done));

  const secret = keysSecret(generateKeys(), { name: "k" });
  const create = () => {
    const { port } = server.address() as AddressInfo;
    return createSecret({ url: `http://127.0.0.1:${port}`, token: "t", namespace: "here" }, secret);
  };

  it("is posted whole, once", async () => {
    assert.equal(await create(), "created");
    assert.equal(asked[0]?.path, "/api/v1/namespaces/here/secrets");
    assert.equal(asked[0]?.token, "Bearer t");
    assert.deepEqual(JSON.parse(asked[0]?.body ?? ""), secret);
  });

  it("is left as it is where it exists", async () => {
    status = 409;
    assert.equal(await create(), "exists");
  });

  it("is not repeated in the error when Kubernetes refuses it", async () => {
    status = 403;
    await assert.rejects(create, (error: Error) => /answers 403/.test(error.message) && !SEED.test(error.message));
  });

  it("needs the service account's files", async () => {
    await assert.rejects(() => podApi({ KUBERNETES_SERVICE_HOST: "10.0.0.1" }, "/nowhere"), /ENOENT/);
  });
});
