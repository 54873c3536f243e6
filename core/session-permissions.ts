/**
 * What nats-server is told to enforce for one session: the user JWT's `pub` and `sub` permissions.
 * Nobody else writes permissions. Traps (facts/nats 2): an empty allow list allows everything, and an allow that ends in `*` admits `>`.
 */
import { createHash } from "node:crypto";
import { LOG_FILES } from "./log-files.ts";
import { type SessionKey, type Subjects, VERBS } from "./subjects.ts";

export type Permissions = {
  pub: { allow: string[] };
  sub: { allow: string[]; deny: string[] };
};

/** What a session may do, without what is its own (inbox, notices, verbs): equal rights give an equal hash. */
export type Rights = { subscribe: readonly string[]; publish: readonly string[]; hash: string };

/**
 * @param patterns subject tails from the permission graph, already cut down to the token's scopes
 * @param containers containers whose own token this is: their literal log subjects may be published
 * @param extra subjects in full that a role gives
 */
export function rightsOf(
  subjects: Subjects,
  patterns: readonly string[],
  containers: readonly string[],
  extra: { subscribe: readonly string[]; publish: readonly string[] } = { subscribe: [], publish: [] },
): Rights {
  const subscribe = [...patterns.map(subjects.live), subjects.resync, ...extra.subscribe];
  const own = containers.flatMap((container) => LOG_FILES.map((file) => subjects.log(container, file)));
  const publish = [...own, ...extra.publish];
  const hash = createHash("sha256").update(subscribe.join("\n")).update("\n\n").update(publish.join("\n"));
  return { subscribe, publish, hash: hash.digest("base64url").slice(0, 22) };
}

/** The lists of rights that many sessions share, as the inside of JSON arrays, encoded once. */
const encodedRights = new WeakMap<Rights, { publish: string; subscribe: string }>();

/** `permissionsOf` as JSON: what is the session's own in front of what is encoded already. */
export function permissionsJson(subjects: Subjects, key: SessionKey, rights: Rights): string {
  let encoded = encodedRights.get(rights);
  if (!encoded) {
    const inside = (list: readonly string[]) => list.map((subject) => `,${JSON.stringify(subject)}`).join("");
    encoded = { publish: inside(rights.publish), subscribe: inside(rights.subscribe) };
    encodedRights.set(rights, encoded);
  }
  const { pub, sub } = permissionsOf(subjects, key, { subscribe: [], publish: [], hash: "" });
  const own = (list: readonly string[]) => JSON.stringify(list).slice(0, -1);
  return `"pub":{"allow":${own(pub.allow)}${encoded.publish}]},"sub":{"allow":${own(sub.allow)}${encoded.subscribe}],"deny":${JSON.stringify(sub.deny)}}`;
}

export function permissionsOf(subjects: Subjects, key: SessionKey, rights: Rights): Permissions {
  return {
    pub: { allow: [...VERBS.map((verb) => subjects.api(key, verb)), ...rights.publish] },
    sub: {
      allow: [subjects.notice(key), subjects.inbox(key), ...rights.subscribe],
      // No queue subscriptions: two users on one queue name would take each other's events.
      deny: [`${subjects.root.split(".")[0]}.> >`],
    },
  };
}
