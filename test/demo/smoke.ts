/**
 * `npm run demo:smoke`: the demo without a person. Starts everything, presses the page's buttons in a real browser, prints what was
 * seen and after how long, and exits 0 if all of it was as it should be.
 */
import type { Page } from "playwright-core";
import { runDev } from "../../dev/dev.ts";
import { runService } from "../../runtime/lifecycle.ts";
import { createLog } from "../../runtime/log/log.ts";
import { launchChromium } from "../support/servers/chromium.ts";

const PATIENCE_MS = 5_000;

const print = (line: string) => process.stdout.write(`${line}\n`);

async function step(what: string, work: () => Promise<unknown>): Promise<void> {
  const begun = performance.now();
  await work();
  print(`${`${Math.round(performance.now() - begun)} ms`.padStart(10)}  ${what}`);
}

async function tell(page: Page): Promise<void> {
  const panel = (user: string) => page.getByTestId(`panel-${user}`);
  const press = (action: string) => page.getByTestId(`action-${action}`).click();
  const events = (user: string) => panel(user).locator('[data-testid="event"][data-type="update"]');
  const seen = (user: string, count: number) =>
    events(user)
      .nth(count - 1)
      .waitFor({ timeout: PATIENCE_MS });
  const log = (user: string) => panel(user).getByTestId("log");
  const logState = (user: string, state: string) =>
    panel(user).locator(`[data-testid="log-status"][data-state="${state}"]`).waitFor({ timeout: PATIENCE_MS });
  const count = async (user: string, expected: number) => {
    const found = await events(user).count();
    if (found !== expected) throw new Error(`${user} has ${found} updates, not ${expected}`);
  };

  await step("alice and bob are in", async () => {
    for (const user of ["alice", "bob"]) {
      await panel(user).locator('[data-testid="status"][data-state="following"]').waitFor({ timeout: PATIENCE_MS });
    }
  });
  await step("alice sees the log of her running container", () => log("alice").getByText("reads").waitFor());
  await step("alice sees her collection change", async () => {
    await press("update");
    await seen("alice", 1);
  });
  await step("bob has seen nothing", () => count("bob", 0));
  await step("alice shares the project, and bob sees the container's log", async () => {
    await press("share");
    await logState("bob", "live");
    await log("bob").getByText("reads").waitFor({ timeout: PATIENCE_MS });
  });
  await step("bob sees the next change", async () => {
    await press("update");
    await seen("bob", 1);
  });
  await step("alice takes it back, and bob's log ends with the reason", async () => {
    await press("unshare");
    await logState("bob", "ended");
  });
  await step("alice sees the next change, so it was published", async () => {
    await press("update");
    await seen("alice", 3);
  });
  await step("bob is in again and has not seen it", async () => {
    await panel("bob").locator('[data-testid="status"][data-state="following"]').waitFor({ timeout: PATIENCE_MS });
    await count("bob", 1);
  });
}

process.exitCode = await runService({
  name: "demo:smoke",
  log: createLog({ level: "warn" }),
  async start(scope) {
    const log = createLog({ level: "warn" });
    const dev = await runDev({ log, scope, print });
    const chromium = await launchChromium();
    scope.defer("chromium", () => chromium.close());
    const page = await chromium.newPage();
    await page.goto(dev.url);
    await tell(page);
    print("\nall as it should be");
    return { done: Promise.resolve(), drain: dev.drain };
  },
});
