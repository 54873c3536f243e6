/** Every kind of client, driven alike: what it sees of an object, and of a log. */
import assert from "node:assert/strict";
import type { Browser } from "playwright-core";
import { sessionId } from "../../../client/mod.ts";
import type { TailRequest } from "../../../core/wire/wire.ts";
import { until } from "../../../dev/testing/until.ts";
import type { ClientLine, ForeignClient, ForeignClientOptions } from "../../clients/foreign-client.ts";
import { startGoClient } from "../../clients/go-client.ts";
import { startPythonClient } from "../../clients/python-client.ts";
import { type Flavour, openClientPage } from "../clients/client-page.ts";
import type { TestStack } from "../worlds/stack.ts";

/** `delay`: milliseconds from the commit in PostgreSQL to the client. */
export type Seen = { event_type: string; delay: number };

export type Viewer = AsyncDisposable & {
  /** The next event about the object that has not been asked for yet. */
  event(object: string): Promise<Seen>;
  /** How many events about the object came so far, after a round trip to the server. */
  count(object: string): Promise<number>;
  /** Resolves once the client follows the project. */
  mayRead(project: string): Promise<void>;
  /** Resolves once the client is in again, without the project. */
  mayNotRead(project: string): Promise<void>;
  tail(container: string, file: string): Promise<void>;
  /** Resolves once a tail has been asked for and refused. */
  tailRefused(container: string, file: string): Promise<void>;
  tailShows(text: string): Promise<void>;
  tailText(): Promise<string>;
  tailEnd(): Promise<{ name: string }>;
};

export type ViewerKind = {
  name: string;
  open(world: { stack: TestStack; chromium: Browser }, token: string): Promise<Viewer>;
};

const inBrowser = (flavour: Flavour): ViewerKind => ({
  name: `a browser on ${flavour}`,
  async open({ stack, chromium }, token) {
    const page = await openClientPage(chromium, flavour, stack.url);
    await page.connect(`${stack.url.replace("http", "ws")}/nats`, token, stack.cluster.clusterId);
    const asked = new Map<string, number>();
    const about = async (object: string) => (await page.events()).filter(({ event }) => event.object_uuid === object);
    const follows = (project: string) => async () =>
      (await page.state()).patterns.some((pattern) => pattern.endsWith(`.${project}.>`));
    return {
      async event(object) {
        const place = asked.get(object) ?? 0;
        const received = await until(async () => (await about(object))[place], `event ${place + 1} about ${object}`);
        asked.set(object, place + 1);
        const delay = received.receivedAt - Date.parse(received.commitTime ?? "");
        return { event_type: received.event.event_type, delay };
      },
      async count(object) {
        await page.following();
        return (await about(object)).length;
      },
      async mayRead(project) {
        await page.following();
        await until(follows(project), "the client to follow what was shared");
      },
      async mayNotRead(project) {
        await until(async () => !(await follows(project)()), "the client to follow less");
        await page.following();
      },
      tail: (container, file) => page.tail(container, file),
      async tailRefused(container, file) {
        await page.tail(container, file);
        assert.equal((await page.tailEnd()).notice, "refused");
      },
      tailShows: (text) => page.tailShows(text),
      tailText: () => page.tailText(),
      async tailEnd() {
        return { name: (await page.tailEnd()).notice };
      },
      [Symbol.asyncDispose]: () => page[Symbol.asyncDispose](),
    };
  },
});

/**
 * A program in another language follows the subjects it is given and no more; so the test starts it again where a person would give it others.
 * What it follows is alice's project, whose subject is known from whose it is.
 */
const program = (name: string, start: (options: ForeignClientOptions) => Promise<ForeignClient>): ViewerKind => ({
  name,
  async open({ stack }, token) {
    const { clusterId, users, projects } = stack.cluster;
    const subject = `arvados.${clusterId}.live.${users.alice.uuid}.${projects.genomes}.>`;
    const base = { url: stack.nats.url, token, clusterId, subjects: [subject] };
    const lines: ClientLine[] = [];
    let client = await start({ ...base, sid: sessionId() });
    const restart = async (tail?: TailRequest) => {
      lines.push(...client.lines);
      await client.stop();
      client = await start({ ...base, sid: sessionId(), ...(tail ? { tail } : {}) });
      await client.next("subscribed", (line) => line.subject === subject);
    };
    await client.next("subscribed", (line) => line.subject === subject);
    const all = () => [...lines, ...client.lines];
    const text = () => client.lines.map((line) => (line.type === "chunk" ? line.text : "")).join("");
    return {
      async event(object) {
        const { event_type } = await client.next("event", (line) => line.object_uuid === object);
        return { event_type, delay: 0 };
      },
      count: async (object) => all().filter((line) => line.type === "event" && line.object_uuid === object).length,
      async mayRead() {
        // Whoever signs in after the callout has said so signs in with the new rights.
        await client.next("notice", (line) => line.notice === "permissionsGrown");
        await restart();
      },
      async mayNotRead() {
        await client.next("permission");
      },
      tail: async (container, file) => restart({ container, file }),
      async tailRefused(container, file) {
        await restart({ container, file });
        assert.equal((await client.next("refused")).reason, "read.forbidden");
      },
      async tailShows(part) {
        await until(() => text().includes(part), `${part} in the log`);
      },
      tailText: async () => text(),
      async tailEnd() {
        await client.next("reconnected");
        const end = client.lines.find((line) => line.type === "tail_ended");
        // The session is cut at the same moment: where that was first, the end was said to nobody.
        return { name: end?.notice ?? "readRevoked" };
      },
      [Symbol.asyncDispose]: async () => {
        await client.stop();
      },
    };
  },
});

export const viewers: ViewerKind[] = [
  inBrowser("nats.ws"),
  inBrowser("nats-core"),
  program("a Go program on nats.go", startGoClient),
  program("a Python program on nats-py", startPythonClient),
];
