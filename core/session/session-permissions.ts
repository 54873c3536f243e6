/**
 * What nats-server enforces for one session: the `pub` and `sub` permissions of the user JWT. No other file writes them.
 * Traps (docs/nats-facts.md 2): an empty allow list allows everything, and an allow that ends in `*` admits `>`.
 */
import { createHash, type Hash } from "node:crypto";
import { LOG_FILES } from "../logs/log-files.ts";
import { ALL_CLUSTERS, type SessionKey, type Subjects, VERBS } from "../subjects.ts";

export type UserPermissions = {
  pub: { allow: string[] };
  sub: { allow: string[]; deny: string[] };
};

/** What a session may do, except for what is private to it (inbox, notices, verbs). Equal rights have equal hashes. */
export type SessionRights = {
  subscribe: readonly string[];
  publish: readonly string[];
  hash: string;
  /** At least this many subjects were counted, more than a session may have: it has none. */
  over?: number;
};

/** What follows from the patterns alone. There may be thousands, and every session of the user shares them. */
type Base = { root: string; subscribe: readonly string[]; hash: Hash };

const bases = new WeakMap<readonly string[], Base>();

function baseOf(subjects: Subjects, patterns: readonly string[]): Base {
  const known = bases.get(patterns);
  if (known?.root === subjects.root) return known;
  const subscribe = [...patterns.map(subjects.live), subjects.resync];
  const base = { root: subjects.root, subscribe, hash: createHash("sha256").update(subscribe.join("\n")) };
  bases.set(patterns, base);
  return base;
}

/**
 * @param patterns from the permission graph, already reduced to the token's scopes
 * @param containers containers whose own token this is: their literal log subjects may be published
 * @param extra full subjects that a role gives
 */
export function compileSessionRights(
  subjects: Subjects,
  patterns: readonly string[],
  containers: readonly string[],
  extra: { subscribe: readonly string[]; publish: readonly string[] } = { subscribe: [], publish: [] },
): SessionRights {
  const base = baseOf(subjects, patterns);
  const subscribe = extra.subscribe.length > 0 ? [...base.subscribe, ...extra.subscribe] : base.subscribe;
  const own = containers.flatMap((container) => LOG_FILES.map((file) => subjects.log(container, file)));
  const publish = [...own, ...extra.publish];
  const hash = base.hash.copy();
  for (const subject of extra.subscribe) hash.update(`\n${subject}`);
  hash.update("\n\n").update(publish.join("\n"));
  return { subscribe, publish, hash: hash.digest("base64url").slice(0, 22) };
}

/** Lists that many sessions share, as the inside of a JSON array, encoded once. */
const encodedLists = new WeakMap<readonly string[], string>();

function encodedInside(list: readonly string[]): string {
  const known = encodedLists.get(list);
  if (known !== undefined) return known;
  const encoded = list.map((subject) => `,${JSON.stringify(subject)}`).join("");
  encodedLists.set(list, encoded);
  return encoded;
}

/** `permissionsOf` as JSON: the private part of the session, then the shared lists, which are encoded already. */
export function permissionsJson(subjects: Subjects, key: SessionKey, rights: SessionRights): string {
  const { pub, sub } = permissionsOf(subjects, key, { subscribe: [], publish: [], hash: "" });
  const own = (list: readonly string[]) => JSON.stringify(list).slice(0, -1);
  return `"pub":{"allow":${own(pub.allow)}${encodedInside(rights.publish)}]},"sub":{"allow":${own(sub.allow)}${encodedInside(rights.subscribe)}],"deny":${JSON.stringify(sub.deny)}}`;
}

export function permissionsOf(subjects: Subjects, key: SessionKey, rights: SessionRights): UserPermissions {
  return {
    pub: { allow: [...VERBS.map((verb) => subjects.api(key, verb)), ...rights.publish] },
    sub: {
      allow: [subjects.notice(key), subjects.inbox(key), ...rights.subscribe],
      // No queue subscriptions: two users with one queue name would get only a part of the events each.
      deny: [`${ALL_CLUSTERS} >`],
    },
  };
}
