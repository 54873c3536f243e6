/** The attacks of main.ts as data, each with its control: the same load where it can hurt nobody. */
import { sessionId, sessionKey } from "../../client/mod.ts";
import { subjectsOf } from "../../core/subjects.ts";
import type { Attack } from "./attacks.ts";
import {
  broadLogs,
  type Copied,
  customLogs,
  deepLogs,
  shareThousands,
  type Table,
  toggleShares,
  unshareThousands,
  updateScopes,
} from "./rows.ts";
import type { StackFacts } from "./stack.ts";

type Attacks = (at: StackFacts) => Attack[];

/** `control` "bystander": the same attack against a stack of its own on the same host. */
export type Trial = { name: string; attack: Attacks; control: Attacks | "bystander"; settle: number };

const SETTLE_MS = 300;
/** What many sessions do at first is a start, not an attack that continues. */
const LONG_SETTLE_MS = 1_500;
const SID = sessionId();
const CROWD = 200;
/** Sessions that the user of many single shares has open. */
const FEW = 10;

export async function hostileTrials(facts: StackFacts): Promise<Trial[]> {
  return [...(await messages(facts)), ...sessions(), ...tokens(), ...logs(), ...shares()];
}

/** Control: the same messages to the inbox of the attacker. */
async function messages({ clusterId, users: { bob } }: StackFacts): Promise<Trial[]> {
  const subjects = subjectsOf(clusterId);
  const key = await sessionKey(bob.token, SID);
  const inbox = `${subjects.inboxPrefix(key)}.x`;
  const publish = (subject: string, bytes: number, perSecond: number) => (): Attack[] => [
    { kind: "publish", user: SID, pass: bob.token, subject, reply: inbox, bytes, perSecond },
  ];
  const trial = (name: string, verb: "whoami" | "tail", bytes: number, perSecond: number): Trial => ({
    name,
    attack: publish(subjects.api(key, verb), bytes, perSecond),
    control: publish(inbox, bytes, perSecond),
    settle: SETTLE_MS,
  });
  return [
    trial("20,000 whoami a second", "whoami", 0, 20_000),
    trial("bodies of 128 kB, 25 MB a second", "whoami", 131_072, 200),
    trial("500 tails a second", "tail", 0, 500),
  ];
}

/** The right uuid with a wrong secret. */
const guessOf = (token: string) => `${token.split("/").slice(0, 2).join("/")}/guess`;

function sessions(): Trial[] {
  const login = (pass: string, hold: boolean, perSecond: number): Attack => {
    return { kind: "login", pass, hold, perSecond, most: 2_000 };
  };
  const trial = (name: string, attack: Attacks, settle = SETTLE_MS): Trial => {
    return { name, attack, control: "bystander", settle };
  };
  return [
    trial("200 sessions a second, held", ({ users }) => [login(users.bob.token, true, 200)], LONG_SETTLE_MS),
    trial("100 logins a second", ({ users }) => [login(users.bob.token, false, 100)]),
    trial("100 guesses a second", ({ users }) => [login(guessOf(users.bob.token), false, 100)]),
    trial(
      `share loop with ${CROWD} sessions that come back`,
      ({ users: { alice, eve }, projects }) => [
        { kind: "crowd", pass: eve.token, count: CROWD },
        { kind: "share", tail: eve.uuid, head: projects.genomes, by: alice.uuid, perSecond: 10 },
      ],
      LONG_SETTLE_MS,
    ),
  ];
}

type Written = (table: Table, at: StackFacts) => string[];

/** Control: the same rows in a copy of the table that is not published. */
function written(
  name: string,
  table: Copied,
  perSecond: number,
  statements: Written,
  { beside, undo }: { beside?: (at: StackFacts, table: Table) => Attack[]; undo?: (table: Table) => string } = {},
): Trial {
  const into = (where: Table): Attacks => {
    return (at) => [
      {
        kind: "rows",
        statements: statements(where, at),
        perSecond,
        ...(undo ? { undo: undo(where) } : {}),
      },
      ...(beside?.(at, where) ?? []),
    ];
  };
  return { name, attack: into(table), control: into(`${table}_copy`), settle: SETTLE_MS };
}

function tokens(): Trial[] {
  const trial = (name: string, which: "widest" | "tooWide") =>
    written(name, "api_client_authorizations", 5, (table, at) => updateScopes(table, at, which), {
      beside: ({ users, scoped }, table) => {
        const pass = table === "api_client_authorizations" ? scoped[which].token : users.carol.token;
        return [{ kind: "login", pass, hold: false, perSecond: 15, most: 2_000 }];
      },
    });
  return [
    trial("a token of 5,000 objects, updated and used", "tooWide"),
    trial("a token of 256 objects, updated and used", "widest"),
  ];
}

function logs(): Trial[] {
  return [
    written("5 log rows a second, nested 8,000 deep", "logs", 5, deepLogs),
    written("2 log rows a second of 3 MB of small values", "logs", 2, broadLogs),
    written("1,000 custom log rows a second", "logs", 10, customLogs),
  ];
}

function shares(): Trial[] {
  const few =
    (whose: "bob" | "carol") =>
    (at: StackFacts): Attack[] => {
      return [{ kind: "crowd", pass: at.users[whose].token, count: FEW }];
    };
  return [
    written("100 of 4,001 single collections shared a second", "links", 100, shareThousands, {
      beside: few("bob"),
      undo: unshareThousands,
    }),
    written("50 of 4,001 single shares toggled a second", "links", 50, toggleShares, { beside: few("carol") }),
  ];
}
