import { strict as assert } from "node:assert";
import {
  advanceGrants,
  GRANTS_START,
  type GrantsAction,
  type GrantsInput,
  type GrantsPhase,
  type GrantsState,
} from "../../client/grants-state.ts";
import { CLOSE_CODES, type CloseName } from "../../core/close-codes.ts";
import type { Notice, WhoamiAnswer } from "../../core/wire/wire.ts";

const who = (revision: string): WhoamiAnswer => ({
  user_uuid: "u",
  token_uuid: "t",
  session: "t.s",
  grants: { subscribe: ["arvados.c.live.u.>"], publish: [] },
  revision,
  records_sequence: 1,
});
const notice = (name: CloseName, revision = "1.9"): Notice => ({ notice: name, revision, ...CLOSE_CODES[name] });

const STATES: Record<GrantsPhase, GrantsState> = {
  down: GRANTS_START,
  asking: { ...GRANTS_START, phase: "asking" },
  current: { ...GRANTS_START, phase: "current", who: who("1.5") },
  renewing: { ...GRANTS_START, phase: "renewing", who: who("1.5") },
  ended: { ...GRANTS_START, phase: "ended" },
};
const INPUTS = {
  up: { type: "up" },
  down: { type: "down" },
  answer: { type: "answer", who: who("1.9") },
  unanswered: { type: "unanswered" },
  refused: { type: "refused" },
  grown: { type: "notice", notice: notice("permissionsGrown") },
  moved: { type: "notice", notice: notice("objectsMoved") },
  shrunk: { type: "notice", notice: notice("permissionsChanged") },
  draining: { type: "notice", notice: notice("draining") },
  tokenEnded: { type: "notice", notice: notice("tokenEnded") },
} satisfies Record<string, GrantsInput>;

type Did = GrantsAction["do"];
/** Every phase by every input: the phase after it, and what is done. A new phase or input does not compile until filled in. */
const TABLE: Record<GrantsPhase, Record<keyof typeof INPUTS, [GrantsPhase, ...Did[]]>> = {
  down: {
    up: ["asking", "ask"],
    down: ["down"],
    answer: ["down"],
    unanswered: ["down"],
    refused: ["down"],
    grown: ["down"],
    moved: ["down"],
    shrunk: ["down"],
    draining: ["down"],
    tokenEnded: ["ended", "end"],
  },
  asking: {
    up: ["asking", "ask"],
    down: ["down"],
    answer: ["current", "subscribe"],
    unanswered: ["asking", "askLater"],
    refused: ["asking"],
    grown: ["renewing", "renew"],
    moved: ["renewing", "renew"],
    shrunk: ["asking", "ask"],
    draining: ["asking"],
    tokenEnded: ["ended", "end"],
  },
  current: {
    up: ["asking", "ask"],
    down: ["down"],
    answer: ["current"],
    unanswered: ["current"],
    refused: ["renewing", "renew"],
    grown: ["renewing", "renew"],
    moved: ["renewing", "renew"],
    shrunk: ["asking", "ask"],
    draining: ["current"],
    tokenEnded: ["ended", "end"],
  },
  renewing: {
    up: ["asking", "ask"],
    down: ["down"],
    answer: ["renewing"],
    unanswered: ["renewing"],
    refused: ["renewing"],
    grown: ["renewing"],
    moved: ["renewing"],
    shrunk: ["renewing"],
    draining: ["renewing"],
    tokenEnded: ["ended", "end"],
  },
  ended: {
    up: ["ended"],
    down: ["ended"],
    answer: ["ended"],
    unanswered: ["ended"],
    refused: ["ended"],
    grown: ["ended"],
    moved: ["ended"],
    shrunk: ["ended"],
    draining: ["ended"],
    tokenEnded: ["ended"],
  },
};

describe("following grants", () => {
  for (const phase of Object.keys(TABLE) as GrantsPhase[]) {
    it(`knows what to do with everything while ${phase}`, () => {
      for (const name of Object.keys(INPUTS) as (keyof typeof INPUTS)[]) {
        const { state, actions } = advanceGrants(STATES[phase], INPUTS[name]);
        assert.deepEqual([state.phase, ...actions.map((action) => action.do)], TABLE[phase][name], name);
      }
    });
  }

  it("asks again while the gateway is older than the notice, and uses its answer meanwhile", () => {
    let step = advanceGrants(STATES.current, INPUTS.shrunk);
    step = advanceGrants(step.state, { type: "answer", who: who("1.8") });
    assert.deepEqual(
      step.actions.map((action) => action.do),
      ["subscribe", "askLater"],
    );
    step = advanceGrants(step.state, { type: "answer", who: who("1.10") });
    assert.equal(step.state.phase, "current");
    assert.equal(step.state.notBefore, null);
  });

  it("keeps the newest of several notices", () => {
    let { state } = advanceGrants(STATES.current, { type: "notice", notice: notice("permissionsGrown", "2.1") });
    ({ state } = advanceGrants(state, { type: "notice", notice: notice("permissionsGrown", "1.99") }));
    assert.equal(state.notBefore, "2.1");
  });

  it("logs in again at most three times for a grant that stays refused at one revision", () => {
    let state = STATES.current;
    const renewals: boolean[] = [];
    for (let i = 0; i < 5; i++) {
      const step = advanceGrants(state, { type: "refused" });
      renewals.push(step.actions.length === 1);
      state = step.state;
      if (state.phase !== "renewing") continue;
      for (const input of [INPUTS.down, INPUTS.up, { type: "answer", who: who("1.5") }] satisfies GrantsInput[]) {
        ({ state } = advanceGrants(state, input));
      }
    }
    assert.deepEqual(renewals, [true, true, true, false, false]);
    ({ state } = advanceGrants(advanceGrants(state, INPUTS.up).state, { type: "answer", who: who("1.6") }));
    assert.equal(advanceGrants(state, { type: "refused" }).state.phase, "renewing", "a new revision, a new try");
  });
});
