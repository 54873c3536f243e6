/** Attacks on requests to the Arvados API, against a backend that records each byte: it gets what the edge has checked, once. */
import assert from "node:assert/strict";
import { createServer, type Socket } from "node:net";
import fc from "fast-check";
import { createApp } from "../../../proxy/app.ts";
import { passToArvados } from "../../../proxy/edge/api-proxy.ts";
import { apiTarget } from "../../../proxy/edge/api-request.ts";
import { createPublicListener } from "../../../proxy/public-listener.ts";
import { silentLog } from "../../../runtime/log/log.ts";
import { generateKeys } from "../../../streams-config/keys.ts";
import { askRaw } from "../../support/clients/raw-http.ts";

const ANSWER = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
/** No request of this test is longer; a backend that waits for more answers anyway. */
const QUIET_MS = 40;

describe("the API behind the edge, to a raw backend,", () => {
  let got: string[] = [];
  let door: Door;
  /** One more before the same backend, for whose peers are forwarders of the site, or are not. */
  let openDoor: (isTrusted: boolean) => Promise<Door>;
  let closeBackend: () => Promise<void>;
  before(async () => {
    const sockets = new Set<Socket>();
    const backend = createServer((socket) => {
      const at = got.push("") - 1;
      sockets.add(socket);
      let quiet: NodeJS.Timeout | undefined;
      socket.on("error", () => {});
      socket.on("data", (bytes) => {
        got[at] += bytes.toString("latin1");
        clearTimeout(quiet);
        quiet = setTimeout(() => socket.end(ANSWER), QUIET_MS);
      });
    });
    await new Promise<void>((resolve) => backend.listen(0, "127.0.0.1", resolve));
    const target = `http://127.0.0.1:${(backend.address() as { port: number }).port}`;
    openDoor = (isTrusted) => startDoor(target, (address) => isTrusted && address === "127.0.0.1");
    door = await openDoor(false);
    closeBackend = async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => backend.close(resolve));
    };
  });
  beforeEach(() => {
    got = [];
  });
  after(async () => {
    await door.close();
    await closeBackend();
  });

  /** Sends it, waits for the answer's end, and returns its status and what the backend got on each connection. */
  async function send(request: string): Promise<{ status: string; got: string[] }> {
    const answer = await askRaw(door.url, request);
    return { status: answer.slice("HTTP/1.1 ".length, "HTTP/1.1 ".length + 3), got };
  }
  const line = (target: string, headers = "", method = "GET") =>
    `${method} ${target} HTTP/1.1\r\nHost: events.example.org\r\nConnection: close\r\n${headers}\r\n`;

  const TARGETS = [
    "/arvados/v1/..\\..\\login",
    "/arvados/v1\\..\\..\\login",
    "/arvados/v1/..\\..%5clogin",
    "/arvados/v1/../../login",
    "/arvados/v1/..",
    "/arvados/v1/.",
    "/arvados/v1/./users",
    "/arvados/v1/%2e%2e/%2e%2e/login",
    "/arvados/v1/%2E./login",
    "/arvados/v1/.%2e/login",
    "/arvados/v1/..%2f..%2flogin",
    "/arvados/v1/x%2f..%2f..%2flogin",
    "/arvados/v1/..%5c..%5clogin",
    "/arvados/v1/%252e%252e/login",
    "/arvados/v1/..%252f..%252flogin",
    "/arvados/v1/%25%32%65%25%32%65/login",
    "/arvados/v1/%c0%ae%c0%ae/login",
    "/arvados/v1/..%c0%af..%c0%aflogin",
    "/arvados/v1/%uff0e%uff0e/login",
    "/arvados/v1/%ef%bc%8e%ef%bc%8e/login",
    "/arvados/v1/%e2%80%a5/login",
    "/arvados/v1/..;/..;/login",
    "/arvados/v1/..;x=y/login",
    "/arvados/v1/..%3b/login",
    "/arvados/v1/..%20/login",
    "/arvados/v1/%c2%a0../login",
    "/arvados/v1//login",
    "/arvados/v1/x//../../login",
    "/arvados/v1/users%00",
    "/arvados/v1/users%0d%0aX-Forwarded-For:%201.1.1.1",
    "/arvados/v1/users%09",
    "/arvados/v1/users%7f",
    "/arvados/v1/users%",
    "/arvados/v1/users%zz",
    "/arvados/v1/users#/../../login",
    "/arvados/v1/us\u00e9rs",
    "/arvados/v1/users?\u00e9",
    "//arvados/v1/users",
    "/\\arvados/v1/users",
    "/./arvados/v1/users",
    "/x/../arvados/v1/users",
    "/%61rvados/v1/users",
    "/arvados%2fv1/users",
    "/ARVADOS/v1/users",
    "/arvados/v1",
    "/arvados/v1.5/users",
    "http://events.example.org/arvados/v1/users",
    "http://169.254.169.254/arvados/v1/users",
    "//evil.example/arvados/v1/users",
    "*",
    "arvados/v1/users",
    "@evil.example/arvados/v1/users",
    ":80/arvados/v1/users",
  ];
  for (const target of TARGETS) {
    it(`passes nothing on for ${JSON.stringify(target)}`, async () => {
      const { status, got } = await send(line(target));
      assert.match(status, /^4\d\d$/);
      assert.deepEqual(got, []);
    });
  }

  const CLEAR = [
    "/arvados/v1/users/current",
    "/arvados/v1/container_requests/zzzzz-xvhdp-0/log/zzzzz-dz642-0/stdout.txt",
    "/arvados/v1/x/log/y/..z.txt",
    "/arvados/v1/x/log/y/",
    "/arvados/v1/x/log/y/a%20b%3Fc%23d%C3%A9.txt",
    "/arvados/v1/x/log/y/a;b~c!$&'()*+,=:@-_.txt",
    "/arvados/v1/groups?filters=%5B%5B%22a%22,%22=%22,%22b%22%5D%5D&a=/../..\\\\..//%2e%2e",
    "/discovery/v1/apis/arvados/v1/rest",
  ];
  for (const target of CLEAR) {
    it(`passes on ${target} as it is`, async () => {
      const { status, got } = await send(line(target));
      assert.equal(status, "200");
      assert.equal(got.length, 1);
      assert.equal(got[0]?.split("\r\n")[0], `GET ${target} HTTP/1.1`);
    });
  }

  it("judges as clear only what is the same for everybody who reads it once or twice", () => {
    const parts = fc.constantFrom(
      "/",
      "\\",
      ".",
      "..",
      "%2e",
      "%2f",
      "%5c",
      "%25",
      "a",
      "?",
      "#",
      ";",
      "%",
      "%00",
      "\uff0e",
    );
    fc.assert(
      fc.property(fc.array(parts, { maxLength: 12 }), (word) => {
        const target = `/arvados/v1/${word.join("")}`;
        const judged = apiTarget(target);
        if (judged === null || judged === "unclear") return;
        const [path = ""] = judged.split("?");
        for (const read of [path, decodeURIComponent(path), decodeURIComponent(decodeURIComponent(path))]) {
          const seen = new URL(read.replaceAll("\\", "/").replaceAll("?", "").replaceAll("#", ""), "http://x").pathname;
          assert.ok(seen.startsWith("/arvados/v1/"), `${target} is ${seen} to somebody`);
        }
        assert.equal(apiTarget(judged), judged);
      }),
      { numRuns: 2_000 },
    );
  });

  const BODIES: [what: string, request: string][] = [
    [
      "DELETE with a chunked body",
      line("/arvados/v1/x", "Transfer-Encoding: chunked\r\n", "DELETE").concat("0\r\n\r\n"),
    ],
    ["GET with a chunked body", line("/arvados/v1/x", "Transfer-Encoding: chunked\r\n").concat("0\r\n\r\n")],
    ["GET with a body", line("/arvados/v1/x", "Content-Length: 3\r\n").concat("abc")],
    ["HEAD with a body", line("/arvados/v1/x", "Content-Length: 3\r\n", "HEAD").concat("abc")],
    ["OPTIONS with a body", line("/arvados/v1/x", "Content-Length: 3\r\n", "OPTIONS").concat("abc")],
    ["DELETE with a body", line("/arvados/v1/x", "Content-Length: 3\r\n", "DELETE").concat("abc")],
    [
      "a length and chunks",
      line("/arvados/v1/x", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "POST").concat("0\r\n\r\n"),
    ],
    [
      "chunks and a length",
      line("/arvados/v1/x", "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "POST").concat("0\r\n\r\n"),
    ],
    ["two lengths", line("/arvados/v1/x", "Content-Length: 3\r\nContent-Length: 4\r\n", "POST").concat("abcd")],
    ["a list of lengths", line("/arvados/v1/x", "Content-Length: 3, 3\r\n", "POST").concat("abc")],
    ["a length with a sign", line("/arvados/v1/x", "Content-Length: +3\r\n", "POST").concat("abc")],
    ["a negative length", line("/arvados/v1/x", "Content-Length: -1\r\n", "POST")],
    ["a hexadecimal length", line("/arvados/v1/x", "Content-Length: 0x3\r\n", "POST").concat("abc")],
    [
      "chunks that are compressed",
      line("/arvados/v1/x", "Transfer-Encoding: gzip, chunked\r\n", "POST").concat("0\r\n\r\n"),
    ],
    [
      "chunks twice",
      line("/arvados/v1/x", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "POST").concat("0\r\n\r\n"),
    ],
    ["an unknown encoding", line("/arvados/v1/x", "Transfer-Encoding: xchunked\r\n", "POST").concat("0\r\n\r\n")],
    ["an encoding that is none", line("/arvados/v1/x", "Transfer-Encoding: identity\r\n", "POST")],
    ["an encoding after a tab", line("/arvados/v1/x", "Transfer-Encoding:\x0bchunked\r\n", "POST").concat("0\r\n\r\n")],
    ["a space before the colon", line("/arvados/v1/x", "Transfer-Encoding : chunked\r\n", "POST").concat("0\r\n\r\n")],
    ["a folded header", line("/arvados/v1/x", "Transfer-Encoding:\r\n chunked\r\n", "POST").concat("0\r\n\r\n")],
    ["a bare line feed", line("/arvados/v1/x", "X: y\nTransfer-Encoding: chunked\r\n", "DELETE").concat("0\r\n\r\n")],
    ["a bare carriage return", line("/arvados/v1/x", "X: y\rTransfer-Encoding: chunked\r\n", "DELETE")],
    ["chunks in HTTP/1.0", "POST /arvados/v1/x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    ["HTTP/2 begun by hand", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
    ["TRACE", line("/arvados/v1/x", "", "TRACE")],
    ["CONNECT", "CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: a\r\n\r\n"],
    ["an API's path to CONNECT", "CONNECT /arvados/v1/x HTTP/1.1\r\nHost: a\r\n\r\n"],
    ["PURGE", line("/arvados/v1/x", "", "PURGE")],
    ["a method in small letters", line("/arvados/v1/x", "", "get")],
  ];
  const SECOND = line("/login", "X-Smuggled: yes\r\n");
  for (const [what, request] of BODIES) {
    it(`passes nothing on of ${what}, with a second request behind it`, async () => {
      const { status, got } = await send(request + SECOND);
      assert.match(status, /^[45]\d\d$/);
      assert.deepEqual(got, []);
    });
  }

  it("passes a body on in one way of telling its length, and a second request behind it by its own path only", async () => {
    const length = "Content-Length: 5\r\n";
    const chunked = "Transfer-Encoding: Chunked\r\n";
    for (const [headers, body, passed] of [
      [length, "ab\r\nc", /\r\ncontent-length: 5\r\n[\s\S]*\r\n\r\nab\r\nc$/i],
      [
        chunked,
        "5;x=y\r\nab\r\nc\r\n0\r\nX-Trailer: y\r\n\r\n",
        /\r\ntransfer-encoding: chunked\r\n[\s\S]*\r\n\r\n5\r\nab\r\nc\r\n0\r\n\r\n$/i,
      ],
      ["", "", /\r\ncontent-length: 0\r\n[\s\S]*\r\n\r\n$/i],
    ] as const) {
      got = [];
      const request = line("/arvados/v1/x", headers, "POST").replace("Connection: close\r\n", "");
      await send(request + body + SECOND);
      assert.equal(got.length, 1, JSON.stringify(got));
      assert.match(got[0] ?? "", passed);
      assert.equal(got[0]?.match(/content-length|transfer-encoding/gi)?.length, 1);
      assert.doesNotMatch(got[0] ?? "", /smuggled|trailer|x=y/i);
    }
  });

  it("tells Arvados the client's address, of several header lines the last one's, and none where it is unknown", async () => {
    const trusting = await openDoor(true);
    for (const [lines, address] of [
      ["X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 203.0.113.9:51000\r\n", "203.0.113.9"],
      ["X-Forwarded-For: 1.1.1.1\r\nForwarded: for=2.2.2.2\r\nx-forwarded-for: [2001:db8::1]:1\r\n", "2001:db8::1"],
      ["X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: unknown\r\n", undefined],
      [`${"A: b\r\n".repeat(2_500)}X-Forwarded-For: 203.0.113.9\r\n`, "203.0.113.9"],
    ] as const) {
      got = [];
      await askRaw(trusting.url, line("/arvados/v1/x", lines));
      assert.equal(/^x-forwarded-for: (.*)$/im.exec(got[0] ?? "no request")?.[1]?.trim(), address);
      assert.equal(got.length, 1);
    }
    await trusting.close();
  });

  it("hands over the headers that it names and no other one, also where the client expects 100-continue", async () => {
    const forged = [
      ...["Forwarded: for=1.1.1.1", "X-Forwarded-For: 1.1.1.1", "X-Forwarded-Host: evil", "X-Forwarded-Proto: ftp"],
      ...[
        "X-Forwarded-Port: 1",
        "X-Forwarded-Prefix: /x",
        "X-Forwarded-Server: x",
        "X-Forwarded: x",
        "Forwarded-For: 1.1.1.1",
      ],
      ...["X_Forwarded_For: 1.1.1.1", "X-Real-IP: 1.1.1.1", "True-Client-IP: 1.1.1.1", "CF-Connecting-IP: 1.1.1.1"],
      ...["Fastly-Client-IP: 1.1.1.1", "X-Client-IP: 1.1.1.1", "Client-IP: 1.1.1.1", "X-Cluster-Client-IP: 1.1.1.1"],
      ...["X-Original-URL: /login", "X-Rewrite-URL: /login", "X-Original-Host: x", "Via: 1.1 evil", "Max-Forwards: 0"],
      ...[
        "Cookie: arvados_api_token=x",
        "Cookie2: x",
        "Proxy-Authorization: Basic x",
        "Proxy: http://evil",
        "X-Accel-Redirect: /x",
      ],
      ...[
        "Keep-Alive: timeout=9",
        "TE: trailers",
        "Trailer: X-Trailer",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMA",
        "Expect: 100-continue",
      ],
      ...["Connection: close, Range, X-Request-Id", "Range: bytes=0-1", "X-Request-Id: req-1"],
    ];
    const own = ["Authorization: Bearer mine", "Content-Type: application/json", "Accept: */*", "Content-Length: 2"];
    for (const method of ["POST", "GET"]) {
      got = [];
      const mine = method === "POST" ? own : own.slice(0, 3);
      const head = `${method} /arvados/v1/x HTTP/1.1\r\nHost: events.example.org\r\n${[...forged, ...mine].join("\r\n")}\r\n\r\n`;
      await send(head + (method === "POST" ? "{}" : ""));
      const lines = got[0]?.split("\r\n\r\n")[0]?.split("\r\n").slice(1) ?? [];
      const passed = Object.fromEntries(lines.map((text) => text.toLowerCase().split(": ")));
      const { host, ...others } = passed;
      assert.match(host ?? "", /^127\.0\.0\.1:\d+$/);
      assert.deepEqual(others, {
        ...{ authorization: "bearer mine", "content-type": "application/json", accept: "*/*", connection: "close" },
        ...{ "x-forwarded-for": "127.0.0.1", ...(method === "POST" ? { "content-length": "2" } : {}) },
      });
    }
  });
});

type Door = { url: string; close(): Promise<void> };

async function startDoor(target: string, isForwarder: (address: string) => boolean): Promise<Door> {
  const log = silentLog();
  const about = { clusterId: "zzzzz", publicWebsocketUrl: null, publicNatsUrl: null, serviceVersion: "0" };
  const api = passToArvados({ url: target, isForwarder, log, onAnswer: () => {} });
  const { server, edge } = createPublicListener(createApp({ ...about, consoleDir: "/none", api }), {
    ...{ natsWebsocketUrl: "ws://127.0.0.1:1", seed: generateKeys().edge.seed, isForwarder, log },
    ...{ connectWithin: 1_000, stalledAfter: 1_000, now: Date.now, onEnded: () => {} },
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
    async close() {
      edge.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
