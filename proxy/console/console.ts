/** The console page: the demo's two users side by side, or, where there is no demo, one session with a token. */
import type { WellKnown } from "../../core/wire/wire.ts";
import { body, type DemoAction, type DemoDescription, demoCluster, namesOf } from "./demo.ts";
import { part } from "./dom.ts";
import { createFlow } from "./flow.ts";
import { createOutcome, type DemoUserName } from "./outcome.ts";
import { createPanel } from "./panel.ts";
import { participate } from "./participant.ts";

const page = part(document, "console");

async function start(): Promise<void> {
  const wellKnown = await body<WellKnown>(await fetch("/.well-known/arvados-nats"));
  part(document, "cluster-id").textContent = wellKnown.clusterId;
  const demo = await demoCluster();
  if (demo === null) offerLogin(wellKnown);
  else demonstrate(wellKnown, demo);
  page.dataset.ready = "yes";
}

function demonstrate({ websocketUrl, clusterId }: WellKnown, demo: DemoDescription): void {
  const names = namesOf(demo);
  const flow = createFlow(page, demo.project.name);
  const outcome = createOutcome(page, demo.project.name, names);
  const file = demo.container.files[0];
  const empty: Record<DemoUserName, string> = {
    alice: "Nothing yet. Alice hears of everything she owns.",
    bob: `Nothing yet. Bob hears of “${demo.project.name}” once alice shares it with him.`,
  };
  const actions = drawActions(outcome.perform);
  const bobMay = (read: boolean) => {
    flow.bobMay(read);
    actions.offer(read ? "unshare" : "share");
  };
  bobMay(demo.shared);
  part(page, "demo").hidden = false;

  for (const user of ["alice", "bob"] as const) {
    const panel = createPanel(user, names, empty[user]);
    part(page, "panels").append(panel.element);
    void participate({
      panel,
      websocketUrl,
      clusterId,
      token: demo.users[user].token,
      persistent: true,
      ...(file === undefined ? {} : { container: { uuid: demo.container.uuid, file } }),
      onEvent({ event }) {
        flow.arrived(user);
        outcome.heard(user, event.object_uuid);
      },
      onNotice: () => outcome.heard(user, null),
      onPatterns(patterns) {
        // What the session may listen to is the truth, whoever pressed a button and where.
        if (user === "bob") bobMay(patterns.some((pattern) => pattern.split(".").includes(demo.project.uuid)));
      },
    });
  }
}

/** Of `share` and `unshare` one is on offer at a time. */
function drawActions(perform: (action: DemoAction) => Promise<unknown>): { offer(way: "share" | "unshare"): void } {
  const buttons = [...page.querySelectorAll<HTMLButtonElement>("[data-action]")];
  let busy = false;
  const setBusy = (now: boolean) => {
    busy = now;
    for (const button of buttons) button.setAttribute("aria-busy", String(now));
  };
  for (const button of buttons) {
    button.addEventListener("click", async () => {
      if (busy) return;
      setBusy(true);
      // A refusal has been shown by then.
      await perform(button.dataset.action as DemoAction).catch(() => {});
      setBusy(false);
    });
  }
  return {
    offer(way) {
      const pair = buttons.filter(({ dataset }) => dataset.action === "share" || dataset.action === "unshare");
      const held = document.activeElement;
      for (const button of pair) button.disabled = button.dataset.action !== way;
      // A button that goes out of use under the finger hands its focus on.
      if (pair.some((button) => button === held && button.disabled)) pair.find((button) => !button.disabled)?.focus();
    },
  };
}

function offerLogin({ websocketUrl, clusterId }: WellKnown): void {
  const form = part<HTMLFormElement>(page, "login-form");
  const input = part<HTMLInputElement>(page, "token-input");
  const trouble = part(page, "login-error");
  form.hidden = false;
  form.addEventListener("submit", async (submit) => {
    submit.preventDefault();
    const token = input.value.trim();
    input.value = "";
    trouble.hidden = true;
    form.hidden = true;
    const panel = createPanel("you", new Map(), "Nothing yet. What this token may read shows here as it changes.");
    part(page, "panels").replaceChildren(panel.element);
    try {
      const last = await participate({ panel, websocketUrl, clusterId, token, persistent: false });
      trouble.textContent =
        last === "refused"
          ? "Refused: the token is wrong or has ended, or the service cannot check it at the moment."
          : "The session has ended.";
      if (last === "refused") panel.element.remove();
    } catch (error) {
      panel.element.remove();
      trouble.textContent = error instanceof Error ? error.message : String(error);
    }
    trouble.hidden = false;
    form.hidden = false;
    input.focus();
  });
}

start().catch((error: unknown) => {
  const trouble = part(page, "trouble");
  trouble.textContent = `The service does not answer: ${error instanceof Error ? error.message : String(error)}. Reload the page to try again.`;
  trouble.hidden = false;
  page.dataset.ready = "failed";
});
