/**
 * `npm run bench:edge [-- --quick] [-- --json FILE]`: one event to a thousand browsers, and how many deliveries a second, through the edge, beside
 * nats-server's own WebSocket port and a pipe that looks at no byte. All three in one run, in turns; ratios of the medians.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../../dev/servers/free-ports.ts";
import { findNatsServer } from "../../dev/servers/nats-binary.ts";
import {
  benchArgs,
  type Measurement,
  median,
  quantile,
  row,
  rowAtLeast,
  table,
  writeResults,
} from "../support/measure.ts";
import { processorTime, residentBytes } from "../support/processes.ts";
import { type Crowd, openCrowd, SUBJECT } from "./crowd.ts";

const { json, quick } = benchArgs(process.argv.slice(2));
const BROWSERS = 1_000;
const ROUNDS = quick ? 2 : 5;
const EVENTS = quick ? 40 : 200;
const ROUND_MS = quick ? 700 : 3_000;
const TRIPS = quick ? 200 : 1_000;
const IN_FLIGHT = 32;
const SIZES = [128, 1_024];

const WAYS = ["own", "pipe", "edge"] as const;
type Way = (typeof WAYS)[number];
type Figures = Record<string, Record<Way, number[]>>;

const [natsPort, webPort] = (await freePorts(2)) as [number, number];
const dir = await mkdtemp(join(tmpdir(), "bench-edge-"));
const nats = await startNats();
const processes = { edge: await startWay("edge"), pipe: await startWay("pipe") };
const ports: Record<Way, number> = { own: webPort, pipe: processes.pipe.port, edge: processes.edge.port };
const publisher = connect(natsPort, "127.0.0.1");
publisher.on("data", (chunk) => chunk.includes("PING\r\n") && publisher.write("PONG\r\n"));
publisher.write('CONNECT {"verbose":false}\r\n');

const figures: Figures = {};
const note = (what: string, way: Way, value: number) => {
  figures[what] ??= { own: [], pipe: [], edge: [] };
  figures[what][way].push(value);
};
for (let round = 0; round < ROUNDS; round++) {
  for (const way of round % 2 === 0 ? WAYS : WAYS.toReversed()) await measure(way);
}
const rows = results();
console.log(table(rows));
if (json !== null) await writeResults(json, "edge", rows);
publisher.destroy();
for (const child of [nats, processes.edge.child, processes.pipe.child]) {
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  await ended;
}
await rm(dir, { recursive: true, force: true });
process.exit(0);

async function measure(way: Way): Promise<void> {
  const pid = way === "own" ? null : processes[way].child.pid;
  const before = pid ? await residentBytes(pid) : 0;
  const crowd = await openCrowd(ports[way], BROWSERS);
  if (pid) note("idle", way, ((await residentBytes(pid)) - before) / BROWSERS / 1_024);
  const trips: number[] = [];
  for (let i = 0; i < TRIPS; i++) trips.push(await crowd.roundTrip());
  note("trip", way, median(trips));
  const from = pid ? await processorTime(pid) : 0;
  note("fan-out", way, quantile(await fanOut(crowd, EVENTS), 0.5));
  if (pid) note("cost", way, (((await processorTime(pid)) - from) * 1_000) / (EVENTS * BROWSERS));
  for (const size of SIZES) note(`rate ${size}`, way, await rate(crowd, size));
  crowd.close();
}

/** Milliseconds from an event to each browser, one event at a time. */
async function fanOut(crowd: Crowd, events: number): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < events; i++) {
    let heard = 0;
    const all = new Promise<void>((resolve) => {
      const sent = performance.now();
      crowd.onBytes = () => {
        times.push(performance.now() - sent);
        if (++heard === BROWSERS) resolve();
      };
    });
    publisher.write(event(128));
    await all;
  }
  return times;
}

/** Deliveries a second while so many events are in flight. */
async function rate(crowd: Crowd, size: number): Promise<number> {
  const bytes = `MSG ${SUBJECT} 1 ${size}\r\n`.length + size + 2;
  const message = event(size);
  let [published, received] = [0, 0];
  let isOver = false;
  const drained = new Promise<void>((resolve) => {
    crowd.onBytes = (_, more) => {
      received += more;
      const delivered = received / bytes;
      while (!isOver && published * BROWSERS - delivered < IN_FLIGHT * BROWSERS) {
        publisher.write(message);
        published += 1;
      }
      if (isOver && delivered >= published * BROWSERS) resolve();
    };
  });
  const from = performance.now();
  for (; published < IN_FLIGHT; published++) publisher.write(message);
  await new Promise((resolve) => setTimeout(resolve, ROUND_MS));
  const figure = received / bytes / ((performance.now() - from) / 1_000);
  isOver = true;
  await drained;
  return figure;
}

function event(size: number): Buffer {
  return Buffer.from(`PUB ${SUBJECT} ${size}\r\n${"e".repeat(size)}\r\n`);
}

function results(): Measurement[] {
  const of = (what: string, way: Way) => median(figures[what]?.[way] ?? []);
  const ratio = (what: string, to: Way) => of(what, "edge") / of(what, to);
  const ms = (value: number) => `${value.toFixed(1)} ms`;
  const thousands = (value: number) => `${(value / 1_000).toFixed(0)}k/s`;
  const beside = (what: string, say: (value: number) => string) =>
    `edge ${say(of(what, "edge"))}, pipe ${say(of(what, "pipe"))}, nats-server ${say(of(what, "own"))}`;
  return [
    row(
      `one event to ${BROWSERS}, p50 (${beside("fan-out", ms)}): to nats-server's port`,
      ratio("fan-out", "own"),
      "x",
      1.5,
    ),
    row("the same: to the pipe", ratio("fan-out", "pipe"), "x"),
    ...SIZES.flatMap((size) => [
      rowAtLeast(
        `deliveries, ${IN_FLIGHT} in flight, ${size} B (${beside(`rate ${size}`, thousands)}): to nats-server's port`,
        ratio(`rate ${size}`, "own"),
        "x",
        0.6,
      ),
      row("the same: to the pipe", ratio(`rate ${size}`, "pipe"), "x"),
    ]),
    row("round trip beyond nats-server's own", of("trip", "edge") - of("trip", "own"), "ms", 0.2),
    row("processor time a delivery, one event at a time: edge", of("cost", "edge"), "us", 8),
    row("the same: pipe", of("cost", "pipe"), "us"),
    row("memory of an idle session: edge", Math.max(...(figures.idle?.edge ?? [])), "kB", 10),
    row("the same: pipe", Math.max(...(figures.idle?.pipe ?? [])), "kB"),
  ];
}

async function startNats() {
  const conf = join(dir, "nats.conf");
  const websocket = `websocket { listen: "127.0.0.1:${webPort}", no_tls: true }`;
  await writeFile(conf, `listen: "127.0.0.1:${natsPort}"\nmax_connections: 10000\nmax_pending: 16MB\n${websocket}\n`);
  const { path } = await findNatsServer();
  const child = spawn(path, ["-c", conf], { stdio: ["ignore", "ignore", "pipe"] });
  for await (const line of child.stderr) if (String(line).includes("Server is ready")) break;
  return child;
}

async function startWay(kind: "edge" | "pipe") {
  const file = new URL("way.ts", import.meta.url).pathname;
  const child = spawn(process.execPath, ["--import", "tsx", file, kind, String(webPort)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [said] = await once(child.stdout, "data");
  return { child, port: Number(String(said).trim().split(" ")[1]) };
}
