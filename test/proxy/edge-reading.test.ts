/** What the edge reads: the upgrade request, INFO and CONNECT; and what it makes of CONNECT. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import fc from "fast-check";
import { parseNetworks } from "../../core/address.ts";
import { signStatement, verifyStatement } from "../../core/edge-statement.ts";
import { signingKey, verifyingKey } from "../../core/nkey.ts";
import { clientAddress, requestToken } from "../../proxy/edge/client.ts";
import { formatConnect, readConnect, readInfo, tokenOf } from "../../proxy/edge/connect-line.ts";

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

  it("is the forwarder where that names none", () => {
    for (const header of [undefined, "", "unknown", "198.51.100.1, unknown", "198.51.100.1,"]) {
      assert.equal(of("127.0.0.1", header), "127.0.0.1", header);
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

  it("has the token in auth_token, else in pass", () => {
    assert.equal(tokenOf({ auth_token: "a", pass: "b" }), "a");
    assert.equal(tokenOf({ auth_token: "", pass: "b" }), "b");
    assert.equal(tokenOf({ auth_token: 1, pass: null }), "");
  });

  it("goes on with our fields, whatever the client called its own", () => {
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
      fc.property(fc.array(fc.constantFrom(...theirs, "user", "lang")), (names) => {
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
    for (const address of ["203.0.113.7", "2001:db8::7"]) {
      const said = signStatement([key], address, "token", NOW);
      assert.equal(verifyStatement([known], said, "token", NOW), address);
      assert.equal(verifyStatement([known], said, "token", NOW + 29_000), address);
      assert.equal(verifyStatement([known], said, "token", NOW + 30_000), null);
      assert.equal(verifyStatement([known], said, "another", NOW), null);
    }
  });

  it("holds for whoever knows either key, while the edge signs with two", () => {
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
