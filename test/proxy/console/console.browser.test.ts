/** The console page in a real browser, over the real edge and a real nats-server; what is granted is a table. */
import { strict as assert } from "node:assert";
import type { Browser, Page } from "playwright-core";
import { launchChromium } from "../../support/servers/chromium.ts";
import { COLLECTION, type ConsoleSite, PROJECT, startConsoleSite } from "../../support/worlds/console-site.ts";
import { type StubService, startStubService } from "../../support/worlds/stub-service.ts";

const at = (...testids: string[]) => testids.map((id) => `[data-testid="${id}"]`).join(" ");
const alice = (...testids: string[]) => at("panel-alice", ...testids);
const bob = (...testids: string[]) => at("panel-bob", ...testids);
const LIVE = '[data-state="following"]';

describe("the console page", () => {
  let chromium: Browser;
  let service: StubService;
  let site: ConsoleSite;
  before(async () => {
    chromium = await launchChromium();
  });
  after(() => chromium.close());
  beforeEach(async () => {
    service = await startStubService();
    site = await startConsoleSite(service, { demo: true });
  });
  afterEach(async () => {
    await site[Symbol.asyncDispose]();
    await service[Symbol.asyncDispose]();
  });

  /** The page with both sessions live, and what it complained of. */
  async function open(viewport = { width: 1280, height: 900 }): Promise<{ page: Page; complaints: string[] }> {
    const page = await chromium.newPage({ viewport });
    const complaints: string[] = [];
    page.on("console", (line) => {
      if (line.type() === "error" || line.type() === "warning") complaints.push(line.text());
    });
    page.on("pageerror", (error) => complaints.push(String(error)));
    await page.goto(site.url);
    await page.waitForSelector(alice("status") + LIVE);
    await page.waitForSelector(bob("status") + LIVE);
    return { page, complaints };
  }

  it("shows alice and bob side by side, each with rights and log, and keeps to its own content policy", async () => {
    service.log("line one\n");
    const { page, complaints } = await open();
    assert.equal(await page.textContent(at("cluster-id")), "zzzzz");
    assert.equal(await page.textContent(alice("grant")), "arvados.zzzzz.live.alice.>");
    await page.waitForSelector(`${alice("log")}:text("line one")`);
    await page.waitForSelector(`${bob("log-status")}[data-state="ended"]:text("may not be read")`);
    const [left, right] = await Promise.all([page.locator(alice()).boundingBox(), page.locator(bob()).boundingBox()]);
    assert.ok(left !== null && right !== null && left.x + left.width <= right.x && left.y === right.y);
    assert.equal(await page.isVisible(at("login-form")), false);
    assert.deepEqual(complaints, []);
    await page.close();
  });

  it("tells the story: bob hears nothing, is shared with, hears, and is cut off", async () => {
    service.log("before\n");
    const { page, complaints } = await open();
    const cut = await page.getAttribute(at("flow"), "data-bob");
    assert.equal(cut, "cut");
    await page.click(at("action-update"));
    await page.waitForSelector(`${alice("event")}[data-uuid="${COLLECTION.uuid}"][data-type="update"]`);
    await page.waitForSelector(`${at("outcome-bob")}[data-heard="no"]`);
    assert.equal(await page.locator(bob("event")).count(), 0);

    await page.click(at("action-share"));
    await page.waitForSelector(`${bob("notice")}[data-notice="permissionsGrown"][data-tone="good"]`);
    await page.waitForSelector(`${at("flow")}[data-bob="open"]`);
    await page.waitForSelector(`${bob("log")}:text("before")`);
    assert.equal(await page.isDisabled(at("action-share")), true);
    await page.click(at("action-create"));
    await page.waitForSelector(`${bob("event")}[data-type="create"]`);
    await page.waitForSelector(`${at("outcome-bob")}[data-heard="yes"]`);
    const ms = Number(await page.getAttribute(`${bob("event")}[data-type="create"]`, "data-ms"));
    // A time zone would be a quarter of an hour or more.
    assert.ok(ms >= 0 && ms < 600_000, String(ms));
    assert.match((await page.textContent(at("action-status"))) ?? "", /Created “Sample 1”/);

    await page.click(at("action-unshare"));
    await page.waitForSelector(`${bob("notice")}[data-notice="permissionsChanged"][data-tone="bad"]`);
    await page.waitForSelector(`${at("flow")}[data-bob="cut"]`);
    await page.waitForSelector(`${bob("log-status")}:text("cut off")`);
    const before = await page.locator(bob("event")).count();
    await page.click(at("action-update"));
    await page.waitForSelector(`${at("outcome-alice")}[data-heard="yes"]`);
    await page.waitForSelector(`${at("outcome-bob")}[data-heard="no"]`);
    service.log("after\n");
    await page.waitForSelector(`${alice("log")}:text("after")`);
    assert.equal(await page.locator(bob("event")).count(), before);
    assert.doesNotMatch((await page.textContent(bob("log"))) ?? "", /after/);
    assert.deepEqual(complaints, []);
    await page.close();
  });

  it("stacks the panels in a window of 360 pixels, and scrolls in one direction only", async () => {
    const { page } = await open({ width: 360, height: 740 });
    await service.store(`alice.${PROJECT.uuid}.${COLLECTION.uuid}.collections`, COLLECTION.uuid, {
      name: `A name that is ${"very ".repeat(20)}long`,
    });
    service.log(`${"x".repeat(300)}\n`);
    await page.waitForSelector(alice("event"));
    await page.click(`${alice()} summary`);
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.equal(width, 360);
    const [upper, lower] = await Promise.all([page.locator(alice()).boundingBox(), page.locator(bob()).boundingBox()]);
    assert.ok(upper !== null && lower !== null && upper.y + upper.height <= lower.y);
    await page.close();
  });

  it("can be worked by keyboard alone", async () => {
    const { page } = await open();
    await page.keyboard.press("Tab");
    assert.equal(await focused(page), "action-share");
    await page.keyboard.press("Enter");
    await page.waitForSelector(`${at("flow")}[data-bob="open"]`);
    await page.waitForFunction(() => document.activeElement?.getAttribute("data-testid") === "action-unshare");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Space");
    await page.waitForSelector(alice("event"));
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.waitForSelector(`${alice()} details[open]`);
    await page.keyboard.press("Tab");
    assert.equal(await focused(page), "events");
    await page.close();
  });

  it("shows text that looks like markup as text", async () => {
    const { page, complaints } = await open();
    const name = `<img src="x" onerror="alert(1)">`;
    await service.store(`alice.${PROJECT.uuid}.${COLLECTION.uuid}.collections`, COLLECTION.uuid, { name });
    await page.waitForSelector(alice("event"));
    assert.equal(await page.textContent(`${alice("event")} .name`), name);
    assert.deepEqual(complaints, []);
    await page.close();
  });

  it("asks for a token where there is no demo, forgets it, and says when it is refused", async () => {
    await using plain = await startConsoleSite(service, { demo: false });
    const page = await chromium.newPage();
    await page.goto(plain.url);
    assert.equal(await page.getAttribute(at("token-input"), "type"), "password");
    await page.fill(at("token-input"), "v2/nonsense");
    await page.click(at("login-submit"));
    await page.waitForSelector(`${at("login-error")}:text("holds no token uuid")`);
    await page.fill(at("token-input"), "nonsense");
    await page.click(at("login-submit"));
    await page.waitForSelector(`${at("login-error")}:text("Refused")`);

    await page.fill(at("token-input"), service.users.bob.token);
    await page.keyboard.press("Enter");
    await page.waitForSelector(at("panel-you", "status") + LIVE);
    assert.equal(await page.inputValue(at("token-input")), "");
    assert.equal(await page.isVisible(at("demo")), false);
    await service.store("bob.zzzzz-4zz18-draft0000000000.collections", "zzzzz-4zz18-draft0000000000", {
      name: "Draft",
    });
    await page.waitForSelector(`${at("panel-you", "event")}:has-text("Draft")`);
    const kept = await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie]);
    assert.deepEqual(kept, [0, 0, ""]);

    service.notify(service.users.bob, "tokenEnded");
    await page.waitForSelector(`${at("login-error")}:text("has ended")`);
    await page.close();
  });
});

function focused(page: Page): Promise<string | null | undefined> {
  return page.evaluate(() => document.activeElement?.getAttribute("data-testid"));
}
