/**
 * Extra subject rights by role groups: a table in the settings names Arvados role groups (or single users) and the templates that
 * their members get. Membership is a chain of permission links from an active user through role groups; nothing else counts. Pure.
 */
import type { GraphChange, GroupRow, LinkRow } from "../rows.ts";
import { type Subjects, SYSLOG_LEVELS } from "../subjects.ts";
import { isGroupUuid, isUserUuid, isUuid } from "../uuid.ts";

type Template = { subscribe: (subjects: Subjects) => string[]; publish: (subjects: Subjects) => string[] };

const none = () => [];
export const ROLE_TEMPLATES = {
  /** A dispatcher: sees the queue, writes the logs of the containers it runs. */
  dispatch: { subscribe: ({ queueAll }) => [queueAll], publish: ({ logAll }) => [logAll] },
  "log-writer": { subscribe: none, publish: ({ logAll }) => [logAll] },
  /** By its levels, so that a service on one host has a known number of subjects, and a bounded share of SYSLOG. */
  "syslog-writer": {
    subscribe: none,
    publish: ({ sys }) => SYSLOG_LEVELS.map((level) => sys("*.*", level)),
  },
  /** Sees every event and every service's log. */
  auditor: { subscribe: ({ liveAll, sysAll }) => [liveAll, sysAll], publish: none },
} as const satisfies Record<string, Template>;

export type RoleName = keyof typeof ROLE_TEMPLATES;
/** A template, or one that is bound to a service on a host: `syslog-writer:keepstore.host1`. */
export type Role = RoleName | `syslog-writer:${string}.${string}`;
/** Group or user uuid -> roles. */
export type RoleTable = ReadonlyMap<string, readonly Role[]>;

const PLACED = /^syslog-writer:([\w-]+\.[\w-]+)$/;

export function templateOf(role: Role): Template {
  const [, place] = PLACED.exec(role) ?? [];
  if (place === undefined) return ROLE_TEMPLATES[role as RoleName];
  return { subscribe: none, publish: ({ sys }) => SYSLOG_LEVELS.map((level) => sys(place, level)) };
}

/** `uuid=role`, separated by spaces; a uuid may occur more than once. Returns a string that says what is wrong, if anything is. */
export function parseRoles(text: string): RoleTable | string {
  const table = new Map<string, Role[]>();
  for (const entry of text.split(/\s+/).filter((part) => part !== "")) {
    const [uuid = "", name = "", ...rest] = entry.split("=");
    if (!isUuid(uuid) || !(isGroupUuid(uuid) || isUserUuid(uuid)) || rest.length > 0) {
      return `"${entry}" is not of the form <group or user uuid>=<template>`;
    }
    if (!Object.hasOwn(ROLE_TEMPLATES, name) && !PLACED.test(name)) {
      return `there is no template "${name}"; there are ${Object.keys(ROLE_TEMPLATES).join(", ")}, and syslog-writer:<service>.<host>`;
    }
    table.set(uuid, [...(table.get(uuid) ?? []), name as Role]);
  }
  return table;
}

/** A group that gives roles. One in the trash gives nothing, as in Arvados. */
export function isRoleGroup(row: GroupRow | null): boolean {
  return row?.group_class === "role" && row.trash_at === null;
}

export class RoleIndex {
  readonly #table: RoleTable;
  readonly #links = new Map<string, LinkRow>();
  readonly #active = new Set<string>();
  readonly #groups = new Set<string>();
  /** Head -> its links. */
  readonly #byHead = new Map<string, Set<LinkRow>>();
  #roles = new Map<string, readonly Role[]>();
  /** Groups through which a user may have got a role at the last count: no other group's links matter. */
  #reached: ReadonlySet<string> = new Set();

  constructor(table: RoleTable) {
    this.#table = table;
    this.#reached = new Set(table.keys());
  }

  /** Applies rows; returns the users whose roles have changed. */
  apply(changes: readonly GraphChange[]): Set<string> {
    if (this.#table.size === 0) return new Set();
    let concerned = false;
    for (const change of changes) {
      if (change.kind === "user") {
        const active = change.row?.is_active === true && change.row.redirect_to_user_uuid === null;
        concerned = put(this.#active, change.uuid, active) || concerned;
      } else if (change.kind === "group") {
        const isNews = put(this.#groups, change.uuid, isRoleGroup(change.row));
        concerned = (isNews && this.#reached.has(change.uuid)) || concerned;
      } else if (change.kind === "link") {
        // A count costs all members of all groups of the table, so not every share is worth one.
        concerned = this.#setLink(change.uuid, change.row) || concerned;
      }
    }
    return concerned ? this.#recount() : new Set();
  }

  of(user: string): readonly Role[] {
    return this.#roles.get(user) ?? [];
  }

  /** Returns whether a role may have changed. */
  #setLink(uuid: string, row: LinkRow | null): boolean {
    const old = this.#links.get(uuid);
    const mattered = old !== undefined && this.#reached.has(old.head_uuid);
    if (old) {
      const others = this.#byHead.get(old.head_uuid);
      others?.delete(old);
      if (others?.size === 0) this.#byHead.delete(old.head_uuid);
    }
    if (!row) {
      this.#links.delete(uuid);
      return mattered;
    }
    this.#links.set(uuid, row);
    this.#byHead.set(row.head_uuid, (this.#byHead.get(row.head_uuid) ?? new Set()).add(row));
    return mattered || this.#reached.has(row.head_uuid);
  }

  #recount(): Set<string> {
    const before = this.#roles;
    const found = new Map<string, Set<Role>>();
    const reached = new Set<string>();
    for (const [uuid, names] of this.#table) {
      for (const user of isUserUuid(uuid) ? [uuid] : this.#membersOf(uuid, reached)) {
        if (!this.#active.has(user)) continue;
        found.set(user, new Set([...(found.get(user) ?? []), ...names]));
      }
    }
    this.#reached = reached;
    this.#roles = new Map([...found].map(([user, names]) => [user, [...names].sort()]));
    const users = new Set([...before.keys(), ...this.#roles.keys()]);
    return new Set([...users].filter((user) => String(before.get(user) ?? []) !== String(this.of(user))));
  }

  /** Users with a chain of links to the group, through other groups, which are added to `reached`. */
  #membersOf(group: string, reached: Set<string>): Set<string> {
    const users = new Set<string>();
    const seen = new Set([group]);
    for (const node of seen) {
      reached.add(node);
      if (!this.#groups.has(node)) continue;
      for (const { tail_uuid: tail } of this.#byHead.get(node) ?? []) {
        if (isUserUuid(tail)) users.add(tail);
        else if (isGroupUuid(tail)) seen.add(tail);
      }
    }
    return users;
  }
}

/** Returns whether the set has changed. */
function put(set: Set<string>, member: string, isIn: boolean): boolean {
  if (set.has(member) === isIn) return false;
  if (isIn) set.add(member);
  else set.delete(member);
  return true;
}
