import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { runCli } from "../../cli/run.ts";
import { createSecret, podApi } from "../../cli/support/kubernetes.ts";
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
  it("prints a Secret with new keys at each run, and nothing else", async () => {
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

  it("writes files that only their owner can read, and never overwrites one", async () => {
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

  describe("that replace those in use", () => {
    const folder = mkdtempSync(join(tmpdir(), "arvados-nats-keys-"));
    after(() => rmSync(folder, { recursive: true }));
    const variables = (...path: string[]) =>
      Object.fromEntries(
        readFileSync(join(folder, ...path), "utf8")
          .trim()
          .split("\n")
          .map((line) => line.split("=") as [string, string]),
      );

    it("come alone, and beside the old ones for the services", async () => {
      await cli("keys", "--write", join(folder, "old"));
      const { code, out } = await cli("keys", "--write", join(folder, "new"), "--replace", join(folder, "old"));
      assert.equal(code, 0);
      assert.doesNotMatch(out, SEED);
      for (const file of ["bridge.env", "authcallout.env", "proxy.env", "streams.env"]) {
        const [old, fresh, both] = [variables("old", file), variables("new", file), variables("new", "both", file)];
        for (const [name, value] of Object.entries(fresh)) {
          if (name.endsWith("_PUBLIC_EDGE")) assert.equal(both[name], value);
          else assert.equal(both[name], `${value} ${old[name]}`, name);
        }
      }
      const edgeOf = (...path: string[]) => variables(...path, "authcallout.env").ARVADOS_NATS_PUBLIC_EDGE;
      assert.equal(variables("new", "both", "authcallout.env").ARVADOS_NATS_PUBLIC_EDGE_OLD, edgeOf("old"));
      assert.ok(!readdirSync(join(folder, "new", "both")).includes("nats-server.env"), "it knows one key of each kind");
    });

    it("are found in a Secret, as we print it and as Kubernetes gives it back", async () => {
      const { out } = await cli("keys");
      const printed = parseAllDocuments(out)[0]?.toJS() as { stringData: Record<string, string> };
      const { stringData, ...rest } = printed;
      const encoded = Object.entries(stringData).map(([name, value]) => [name, Buffer.from(value).toString("base64")]);
      writeFileSync(join(folder, "printed.yaml"), out);
      writeFileSync(join(folder, "given.json"), JSON.stringify({ ...rest, data: Object.fromEntries(encoded) }));
      for (const file of ["printed.yaml", "given.json"]) {
        const changed = await cli("keys", "--name", "two", "--replace", join(folder, file), "--nats-namespace", "nats");
        const [both, fresh, publics] = parseAllDocuments(changed.out).map((document) => document.toJS());
        assert.deepEqual(
          [both, fresh, publics].map(({ metadata }) => metadata.name),
          ["two-both", "two", "two-public"],
        );
        const name = "ARVADOS_NATS_ISSUER_SEED";
        assert.equal(both.stringData[name], `${fresh.stringData[name]} ${stringData[name]}`);
        assert.equal(both.stringData.ARVADOS_NATS_PUBLIC_ISSUER, publics.stringData.ARVADOS_NATS_PUBLIC_ISSUER);
      }
    });

    it("are named when they are missing, without repeating what was read", async () => {
      writeFileSync(join(folder, "half.yaml"), "stringData:\n  ARVADOS_NATS_ISSUER_SEED: SAxyz\n");
      const { code, err, out } = await cli("keys", "--replace", join(folder, "half.yaml"));
      assert.equal(code, 2);
      assert.match(err, /some keys in use are missing: ARVADOS_NATS_XKEY_SEED, /);
      assert.ok(!(err + out).includes("SAxyz"));
      assert.match((await cli("keys", "--replace", join(folder, "nowhere"))).err, /cannot be read: ENOENT/);
    });
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
