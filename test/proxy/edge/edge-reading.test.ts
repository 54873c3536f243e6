/** What the edge reads: the upgrade request, INFO and CONNECT; and what it makes of CONNECT. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import fc from "fast-check";
import { parseNetworks } from "../../../core/address.ts";
import { signingKey, verifyingKey } from "../../../core/nkey.ts";
import { signStatement, verifyStatement } from "../../../core/session/edge-statement.ts";
import { clientAddress, isEncrypted, requestAddress, requestToken } from "../../../proxy/edge/client.ts";
import { clientInfo, formatConnect, readConnect, readInfo, tokenOf } from "../../../proxy/edge/connect-line.ts";

const bytes = (text: string) => Buffer.from(text);

describe("who opens a WebSocket", () => {
  const isForwarder = parseNetworks("127.0.0.1 ::1 10.0.0.0/8") ?? assert.fail();
  const of = (peer: string, forwardedFor?: string) => clientAddress(peer, forwardedFor, isForwarder);

  it("is the peer, whatever it says, unless that is a forwarder of the site", () => {
    assert.equal(of("203.0.113.7"), "203.0.113.7");
    assert.equal(of("203.0.113.7", "198.51.100.1"), "203.0.113.7");
    assert.equal(of("::ffff:203.0.113.7"), "203.0.113.7");
    assert.equal(of("::ffff:127.0.0.1", "198.51.100.1"), "198.51.100.1");
  });

  it("is the last one of X-Forwarded-For that no forwarder vouches for: what stands before may be invented", () => {
    assert.equal(of("127.0.0.1", "1.1.1.1, 198.51.100.1"), "198.51.100.1");
    assert.equal(of("127.0.0.1", "1.1.1.1, 198.51.100.1, 10.0.0.9"), "198.51.100.1");
    assert.equal(of("::1", "2001:DB8::0:7"), "2001:db8::7");
    assert.equal(of("127.0.0.1", "10.0.0.1, 10.0.0.2"), "10.0.0.1");
  });

  it("is the forwarder where that says nothing of anybody", () => {
    for (const header of [undefined, "", " "]) assert.equal(of("127.0.0.1", header), "127.0.0.1", header);
  });

  it("is the client in every form that a forwarder writes, and forwarders are known in them too", () => {
    for (const last of ["203.0.113.9:51000", '"[::ffff:203.0.113.9]:4711"', "203.0.113.9:_hidden"]) {
      assert.equal(of("127.0.0.1", `198.51.100.1, ${last}`), "203.0.113.9", last);
    }
    assert.equal(of("127.0.0.1", "198.51.100.1:4000, 10.0.0.9:51000"), "198.51.100.1");
    assert.equal(of("127.0.0.1", "[2001:db8::7]:4000 ,\t10.0.0.9"), "2001:db8::7");
  });

  it("is unknown, and not the forwarder, where nobody understands what that writes", () => {
    for (const header of [
      "unknown",
      "198.51.100.1, unknown",
      "198.51.100.1,",
      "1.1.1.1, _x",
      "1.1.1.1, unix:",
      "proxy.example",
    ]) {
      assert.equal(of("127.0.0.1", header), "unknown", header);
    }
    assert.equal(of("127.0.0.1", "198.51.100.1, unknown, 10.0.0.9"), "unknown");
    assert.equal(of(""), "unknown");
  });

  const request = (headers: IncomingHttpHeaders, remoteAddress = "127.0.0.1") =>
    ({ socket: { remoteAddress }, headers }) as Parameters<typeof requestAddress>[0];

  it("is read from Forwarded where there is no X-Forwarded-For", () => {
    const forms: [header: string, address: string][] = [
      ["for=203.0.113.9", "203.0.113.9"],
      ['for="[2001:db8::1]:4711"', "2001:db8::1"],
      ["for=1.1.1.1;proto=https, For=203.0.113.9;by=10.0.0.1", "203.0.113.9"],
      ['proto=https;for="203.0.113.9:4711" , for=10.0.0.9', "203.0.113.9"],
      ["for=203.0.113.9, proto=https", "unknown"],
      ["for=203.0.113.9, for=_hidden", "unknown"],
      ["for=203.0.113.9, for=unknown", "unknown"],
      ['for=203.0.113.9, for="8.8.8.8, 10.0.0.1"', "unknown"],
      ["nonsense", "unknown"],
    ];
    for (const [forwarded, address] of forms) {
      assert.equal(requestAddress(request({ forwarded }), isForwarder), address, forwarded);
    }
    const both = { forwarded: "for=1.1.1.1", "x-forwarded-for": "203.0.113.9" };
    assert.equal(requestAddress(request(both), isForwarder), "203.0.113.9");
    assert.equal(requestAddress(request(both, "198.51.100.7"), isForwarder), "198.51.100.7");
  });

  it("speaks TLS where a forwarder of the site says so, and nobody else", () => {
    const says: [headers: IncomingHttpHeaders, isTls: boolean][] = [
      [{ "x-forwarded-proto": "https" }, true],
      [{ "x-forwarded-proto": "HTTPS, http" }, true],
      [{ "x-forwarded-proto": "wss" }, true],
      [{ "x-forwarded-proto": "http" }, false],
      [{ forwarded: 'for=1.1.1.1;proto="https"' }, true],
      [{ forwarded: "for=1.1.1.1;proto=http" }, false],
      [{ forwarded: "proto=https", "x-forwarded-proto": "http" }, false],
      [{}, false],
    ];
    for (const [headers, isTls] of says) {
      assert.equal(isEncrypted(request(headers), isForwarder), isTls, JSON.stringify(headers));
      assert.equal(isEncrypted(request(headers, "203.0.113.9"), isForwarder), false);
    }
  });

  it("may bring a token in a header or in the query", () => {
    assert.equal(requestToken({ authorization: "Bearer v2/a/b" }, "/nats"), "v2/a/b");
    assert.equal(requestToken({ authorization: "OAuth2 v2/a/b " }, "/nats?api_token=other"), "v2/a/b");
    assert.equal(requestToken({}, "/nats?x=1&api_token=v2%2Fa%2Fb"), "v2/a/b");
    assert.equal(requestToken({ authorization: "Basic v2/a/b" }, "/nats"), "");
    assert.equal(requestToken({}, "/nats?"), "");
    assert.equal(requestToken({}, "api_token=x"), "");
  });
});

describe("CONNECT", () => {
  it("is read once its line is whole, and leaves what follows", () => {
    const line = 'CONNECT {"user":"x"}\r\n';
    for (let end = 0; end < line.length; end++) {
      assert.deepEqual(readConnect(bytes(line.slice(0, end))), { incomplete: true }, String(end));
    }
    assert.deepEqual(readConnect(bytes(`${line}PING\r\n`)), { options: { user: "x" }, rest: bytes("PING\r\n") });
    assert.deepEqual(readConnect(bytes("connect\t{}\n")), { options: {}, rest: bytes("") });
  });

  it("that is none is refused as soon as it shows", () => {
    for (const text of ["P", "PING\r\n", "CONNECTED", "CONNECT{}", "\r\nCONNECT {}", "GET / HTTP/1.1", "\0"]) {
      assert.deepEqual(readConnect(bytes(text)), { refused: "connectInvalid" }, text);
    }
    for (const body of ["", "{", "[]", "null", '"x"', "{}{}"]) {
      assert.deepEqual(readConnect(bytes(`CONNECT ${body}\r\n`)), { refused: "connectInvalid" }, body);
    }
  });

  it("that is too long is refused, whole or not", () => {
    const long = `CONNECT {"user":"${"x".repeat(5_000)}"}`;
    assert.deepEqual(readConnect(bytes(long)), { refused: "connectTooLong" });
    assert.deepEqual(readConnect(bytes(`${long}\r\n`)), { refused: "connectTooLong" });
    assert.ok("options" in readConnect(bytes(`CONNECT {}\r\nPUB x 5000\r\n${"x".repeat(5_000)}`)));
  });

  it("has the token in auth_token, otherwise in pass", () => {
    assert.equal(tokenOf({ auth_token: "a", pass: "b" }), "a");
    assert.equal(tokenOf({ auth_token: "", pass: "b" }), "b");
    assert.equal(tokenOf({ auth_token: 1, pass: null }), "");
  });

  it("is written with our fields, whatever the client called its own", () => {
    const additions = { auth_token: "token", pass: "statement", proxy_sig: "signature" };
    const theirs = [
      "pass",
      "PASS",
      "Pass",
      "pa\u017fs",
      "auth_token",
      "Auth_Token",
      "proxy_sig",
      "PROXY_SIG",
      "__proto__",
    ];
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...theirs, "user", "lang", "protocol")), (names) => {
        const given = JSON.parse(`{${names.map((name) => `${JSON.stringify(name)}: "theirs"`).join(",")}}`);
        const line = formatConnect(given, additions).toString();
        assert.match(line, /^CONNECT \{.*\}\r\n$/);
        const read = JSON.parse(line.slice("CONNECT ".length)) as Record<string, string>;
        // As Go reads JSON: without regard to case, in its sense.
        for (const [name, value] of Object.entries(additions)) {
          const alike = Object.keys(read).filter((key) => key.replaceAll("\u017f", "s").toLowerCase() === name);
          assert.deepEqual(alike, [name]);
          assert.equal(read[name], value);
        }
        assert.equal((read as Record<string, unknown>).protocol, 0, "an older client, which is sent no further INFO");
        if (names.includes("user")) assert.equal(read.user, "theirs");
      }),
    );
    assert.ok(
      !("proxy_sig" in JSON.parse(formatConnect({ proxy_sig: "x" }, { auth_token: "", pass: "" }).toString().slice(8))),
    );
  });
});

describe("INFO", () => {
  it("gives the nonce once it is whole", () => {
    assert.equal(readInfo(bytes('INFO {"nonce":"abc')), "incomplete");
    assert.deepEqual(readInfo(bytes('INFO {"nonce":"abcdefgh_-1"}\r\nPING\r\n')), { nonce: "abcdefgh_-1" });
    assert.deepEqual(readInfo(bytes("INFO {}\r\n")), { nonce: null });
  });

  it("is not taken from what is no nats-server", () => {
    for (const text of ["HTTP/1.1 200 OK\r\n", "INFO nonsense\r\n", "x".repeat(70_000)]) {
      assert.equal(readInfo(bytes(text)), "invalid");
    }
  });

  it("goes to the client without a name or an address inside, and with what clients read", () => {
    const inside = {
      ...{ server_name: "nats-0", host: "10.1.2.3", port: 4222, ip: "nats://10.1.2.3:4222/", client_ip: "10.1.2.9" },
      ...{ connect_urls: ["10.1.2.3:8080"], ws_connect_urls: ["10.1.2.4:8080"], cluster: "c", domain: "d", xkey: "X" },
      ...{
        leafnode_urls: ["10.1.2.3:7422"],
        gateway_url: "10.1.2.3:7222",
        go: "go1.26",
        git_commit: "abc",
        more: "10.1.2.3",
      },
    };
    const told = {
      ...{ server_id: "N", version: "2.15.2", proto: 1, headers: true, auth_required: true, max_payload: 1_048_576 },
      ...{ jetstream: true, client_id: 7, nonce: "abcdefgh" },
    };
    const text = clientInfo(bytes(`INFO ${JSON.stringify({ ...inside, ...told })} \r\nPING\r\n`)).toString();
    const [line = "", rest] = text.split("\r\n");
    assert.deepEqual(JSON.parse(line.slice("INFO ".length)), told);
    assert.equal(rest, "PING");
  });

  it("gets no statement signed by calling it a nonce", () => {
    const key = signingKey(Buffer.alloc(32, 1));
    const nonce = signStatement([key], "203.0.113.7", "token", 0).split("|").slice(0, 3).join("|");
    assert.deepEqual(readInfo(bytes(`INFO ${JSON.stringify({ nonce })}\r\n`)), { nonce: null });
  });
});

describe("a statement about a client's address", () => {
  const key = signingKey(Buffer.alloc(32, 1));
  // The public half of that seed.
  const known = verifyingKey(Buffer.from("8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c", "hex"));
  const NOW = 1_000_000_000_000;

  it("holds for the token that it was made for, for a while", () => {
    for (const address of ["203.0.113.7", "2001:db8::7", "unknown"]) {
      const said = signStatement([key], address, "token", NOW);
      assert.equal(verifyStatement([known], said, "token", NOW), address);
      assert.equal(verifyStatement([known], said, "token", NOW + 29_000), address);
      assert.equal(verifyStatement([known], said, "token", NOW + 30_000), null);
      assert.equal(verifyStatement([known], said, "another", NOW), null);
    }
  });

  it("holds for a callout that knows either key, while the edge signs with two", () => {
    const other = generateKeyPairSync("ed25519");
    const said = signStatement([other.privateKey, key], "203.0.113.7", "token", NOW);
    for (const trusted of [[known], [other.publicKey], [known, other.publicKey]]) {
      assert.equal(verifyStatement(trusted, said, "token", NOW), "203.0.113.7");
    }
    assert.equal(verifyStatement([generateKeyPairSync("ed25519").publicKey], said, "token", NOW), null);
    assert.equal(verifyStatement([], said, "token", NOW), null);
  });

  it("holds in no other form", () => {
    const said = signStatement([key], "203.0.113.7", "token", NOW);
    fc.assert(
      fc.property(fc.nat(said.length - 1), fc.constantFrom(..."09afAF|.:-_ "), (place, char) => {
        fc.pre(said[place] !== char);
        const changed = said.slice(0, place) + char + said.slice(place + 1);
        // The last letter of 64 bytes in base64 has bits that mean nothing.
        fc.pre(place !== said.length - 1);
        assert.equal(verifyStatement([known], changed, "token", NOW), null);
      }),
    );
    for (const text of ["", "edge1|", `${said}x`, ` ${said}`, said.slice(0, -1), `${said}\n`]) {
      assert.equal(verifyStatement([known], text, "token", NOW), null);
    }
  });
});
