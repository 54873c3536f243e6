/**
 * A browser page that is a client, for tests: bundled from `test/browser/pages/`, served by the test itself, driven
 * through `window.session`.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { Browser, Page } from "playwright-core";
import type { Notice } from "../../../core/wire/wire.ts";
import { PATIENCE_MS } from "../../../dev/testing/until.ts";
import type { PageState, ReceivedEvent } from "../../browser/pages/session.ts";

export type Flavour = "nats.ws" | "nats-core";

export type ClientPage = AsyncDisposable & {
  readonly page: Page;
  /** Resolves when events cannot be missed any more; rejects when the login is refused. Takes the whole `ws://` URL. */
  connect(url: string, token: string, clusterId: string): Promise<void>;
  events(): Promise<ReceivedEvent[]>;
  /** Resolves with the first event, past or to come, about the object (and of the type), or rejects after `ms`. */
  event(wanted: { object: string; type?: string; after?: number }, ms?: number): Promise<ReceivedEvent>;
  tail(container: string, file: string): Promise<void>;
  tailText(): Promise<string>;
  /** Resolves once the tail's text contains `part`. */
  tailShows(part: string, ms?: number): Promise<void>;
  /** Resolves with the notice by which the tail ended. */
  tailEnd(ms?: number): Promise<NonNullable<PageState["tailEnd"]>>;
  notices(): Promise<Notice[]>;
  state(): Promise<PageState>;
  /**
   * Resolves once the client has subscribed to all it is granted: with or without a pattern, after so many cuts. What is
   * published between a cut and that moment does not reach it.
   */
  following(wanted?: { has?: string; hasNot?: string; cuts?: number }, ms?: number): Promise<PageState>;
  /** What the page wrote to its console as errors, and exceptions nobody caught. */
  readonly errors: string[];
  /** Size of the page's script in bytes. */
  readonly scriptBytes: number;
};

const PAGES = fileURLToPath(new URL("../../browser/pages/", import.meta.url));
const HTML = `<!doctype html><html lang="en"><meta charset="utf-8"><title>client</title><script type="module" src="/client-page.js"></script></html>`;
const scripts = new Map<Flavour, Promise<Uint8Array>>();

/**
 * Opens a page of its own context in the browser.
 * @param origin where the page is to seem to come from, e.g. the proxy's `http://127.0.0.1:8080`, whose WebSocket may
 * check it. Left out: a server of the test's own on loopback.
 */
export async function openClientPage(browser: Browser, flavour: Flavour, origin?: string): Promise<ClientPage> {
  const script = await scriptOf(flavour);
  const server = origin === undefined ? await serve(script) : null;
  const context = await browser.newContext();
  const page = await context.newPage();
  const errors: string[] = [];
  page.on("console", (line) => void (line.type() === "error" && errors.push(line.text())));
  page.on("pageerror", (error) => errors.push(String(error)));
  const close = async () => {
    await context.close();
    await server?.[Symbol.asyncDispose]();
  };
  try {
    const from = server?.origin ?? origin;
    if (server === null) {
      await page.route(`${from}/client-page`, (route) => route.fulfill({ contentType: "text/html", body: HTML }));
      await page.route(`${from}/client-page.js`, (route) =>
        route.fulfill({ contentType: "text/javascript", body: Buffer.from(script) }),
      );
    }
    await page.goto(`${from}/client-page`);
    await page.waitForFunction(() => window.session !== undefined);
  } catch (error) {
    await close();
    throw error;
  }

  return {
    page,
    errors,
    scriptBytes: script.byteLength,
    connect: (url, token, clusterId) =>
      page.evaluate(([u, t, c]) => window.session.connect(u, t, c), [url, token, clusterId] as const),
    events: () => page.evaluate(() => window.session.events()),
    async event({ object, type, after = 0 }, timeout = PATIENCE_MS) {
      const found = await page.waitForFunction(
        ([o, t, a]) =>
          window.session
            .events()
            .slice(a)
            .find((e) => e.event.object_uuid === o && (t === undefined || e.event.event_type === t)) ?? false,
        [object, type, after] as const,
        { timeout, polling: 10 },
      );
      return (await found.jsonValue()) as ReceivedEvent;
    },
    tail: (container, file) => page.evaluate(([c, f]) => window.session.tail(c, f), [container, file] as const),
    tailText: () => page.evaluate(() => window.session.tailText()),
    async tailShows(part, timeout = PATIENCE_MS) {
      await page.waitForFunction((text) => window.session.tailText().includes(text), part, { timeout, polling: 10 });
    },
    async tailEnd(timeout = PATIENCE_MS) {
      const end = await page.waitForFunction(() => window.session.state().tailEnd, undefined, {
        timeout,
        polling: 10,
      });
      return (await end.jsonValue()) as NonNullable<PageState["tailEnd"]>;
    },
    notices: () => page.evaluate(() => window.session.notices()),
    state: () => page.evaluate(() => window.session.state()),
    async following(wanted = {}, timeout = PATIENCE_MS) {
      const state = await page.waitForFunction(
        ({ has, hasNot, cuts = 0 }) => {
          const now = window.session.state();
          if (now.status !== "following" || now.cuts < cuts) return false;
          if (has !== undefined && !now.patterns.includes(has)) return false;
          return hasNot === undefined || !now.patterns.includes(hasNot) ? now : false;
        },
        wanted,
        { timeout, polling: 10 },
      );
      return (await state.jsonValue()) as PageState;
    },
    [Symbol.asyncDispose]: close,
  };
}

/** The page's script; bundled once per process. */
function scriptOf(flavour: Flavour): Promise<Uint8Array> {
  const known = scripts.get(flavour);
  if (known !== undefined) return known;
  const made = build({
    entryPoints: [`${PAGES}${flavour === "nats.ws" ? "nats-ws" : "nats-core"}.ts`],
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    platform: "browser",
    target: "es2022",
    // nats.ws mentions Node's crypto in a branch that browsers do not take.
    external: ["crypto"],
    logLevel: "silent",
  }).then(({ outputFiles }) => outputFiles[0]!.contents);
  scripts.set(flavour, made);
  return made;
}

async function serve(script: Uint8Array): Promise<AsyncDisposable & { origin: string }> {
  const server = createServer((request, response) => {
    const isScript = request.url === "/client-page.js";
    if (!isScript && request.url !== "/client-page") response.writeHead(204).end();
    else response.setHeader("Content-Type", isScript ? "text/javascript" : "text/html").end(isScript ? script : HTML);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
