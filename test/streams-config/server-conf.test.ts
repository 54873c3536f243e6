import assert from "node:assert/strict";
import { NATS_SERVICE_NAMES, serviceUsers } from "../../streams-config/accounts.ts";
import { generateKeys, publicKeys } from "../../streams-config/keys.ts";
import { type ServerConf, serverConf } from "../../streams-config/server-conf.ts";

const keys = generateKeys();

function render(over: Partial<ServerConf> = {}): string {
  return serverConf({ clusterId: "zzzzz", keys: publicKeys(keys), storeDir: "/tmp/store", ...over });
}

describe("keys", () => {
  it("are of the kinds that nats-server asks for, each another one", () => {
    assert.match(keys.issuer.public, /^A[A-Z2-7]{55}$/);
    assert.match(keys.issuer.seed, /^SA[A-Z2-7]{56}$/);
    assert.match(keys.xkey.public, /^X[A-Z2-7]{55}$/);
    assert.match(keys.xkey.seed, /^SX[A-Z2-7]{56}$/);
    const users = serviceUsers(keys.users);
    for (const { value } of users) {
      assert.match(value.public, /^U[A-Z2-7]{55}$/);
      assert.match(value.seed, /^SU[A-Z2-7]{56}$/);
    }
    assert.equal(new Set(users.map(({ value }) => value.public)).size, users.length);
  });

  it("survive JSON", () => {
    assert.deepEqual(JSON.parse(JSON.stringify(keys)), keys);
  });
});

describe("the configuration of nats-server", () => {
  it("holds public keys and no seed", () => {
    const text = render();
    for (const { value } of serviceUsers(keys.users)) {
      assert.ok(text.includes(value.public));
      assert.ok(!text.includes(value.seed));
    }
    for (const { seed } of [keys.issuer, keys.xkey, keys.edge]) assert.ok(!text.includes(seed));
  });

  it("names every service user in auth_users, because users who are missing there go to the callout", () => {
    const line = /auth_users: \[(.*)\]/.exec(render())?.[1] ?? "";
    const named = line.split(", ").map((quoted) => quoted.slice(1, -1));
    assert.deepEqual(
      named.sort(),
      serviceUsers(keys.users)
        .map(({ value }) => value.public)
        .sort(),
    );
    assert.ok(named.length > NATS_SERVICE_NAMES.length);
  });

  it("trusts the edge, and nobody else, to be a proxy", () => {
    const [line] = /^proxies .*$/m.exec(render()) ?? [];
    assert.equal(line, `proxies { trusted: [{ key: "${keys.edge.public}" }] }`);
  });

  it("advertises no server's address to clients, alone and in a cluster", () => {
    const cluster = { name: "c", port: 6222, routes: [6222, 6223] };
    for (const text of [render(), render({ cluster })]) {
      assert.match(text, /^cluster \{\n(?: {2}.*\n)* {2}no_advertise: true\n\}$/m);
    }
    assert.doesNotMatch(render(), /^ {2}(?:listen|routes):/m);
  });

  it("pings native clients before a proxy between them cuts them off", () => {
    assert.match(render(), /^ping_interval: "20s"$/m);
  });

  it("has no user who needs no login", () => {
    assert.doesNotMatch(render(), /no_auth_user/);
  });

  it("keeps service users off the websocket port", () => {
    const text = render();
    const users = text.match(/^ *nkey: /gm)?.length;
    assert.equal(text.match(/allowed_connection_types: \[STANDARD\]/g)?.length, users);
  });

  it("quotes what could break out of a string", () => {
    assert.ok(render({ storeDir: 'a"b\\c\nd$e' }).includes('store_dir: "a\\"b\\\\c\\x0ad$e"'));
  });

  it("refuses a cluster id that is not one token of a subject", () => {
    for (const clusterId of ["", "zzzz", "zz.zz", "zz>zz", "ZZZZZ", "zzzzz\n"]) {
      assert.throws(() => render({ clusterId }), RangeError, JSON.stringify(clusterId));
    }
  });

  it("listens on loopback, without monitoring unless asked", () => {
    const text = render();
    assert.doesNotMatch(text, /^http:/m);
    assert.deepEqual(text.match(/^ *host: .*$/gm), ['host: "127.0.0.1"', '  host: "127.0.0.1"']);
    assert.match(render({ ports: { monitor: 8222 } }), /^http: "127\.0\.0\.1:8222"$/m);
  });
});
