/**
 * A made-up cluster of the size that the graph must bear, the same for every seed: 2,000 users, 300 roles, 100k projects
 * nested 6 deep, 20k permission links, 440k container requests each with a container. One user has 2,000 shared subtrees.
 */
import type { GroupRow, LinkRow, OwnerRow, PermissionChange, RequestRow, UserRow } from "../../core/rows.ts";
import { wellKnown } from "../../core/uuid.ts";
import { mulberry32 } from "../../dev/testing/random.ts";

const CLUSTER_ID = "zzzzz";
const KNOWN = wellKnown(CLUSTER_ID);

export type Size = { users: number; roles: number; projects: number; depth: number; links: number; requests: number };

export const FULL: Size = { users: 2_000, roles: 300, projects: 100_000, depth: 6, links: 20_000, requests: 440_000 };

/** How many subtrees are shared with the user of the grants question. */
export const SHARED_SUBTREES = 2_000;
/** How many members the role of the fan-out question has. */
export const ROLE_OF = 500;

/** Everything that the questions need to name. Rows are by `rowsOf`, so that a million of them need not be held at once. */
export class BenchCluster {
  readonly clusterId = CLUSTER_ID;
  readonly size: Size;
  readonly users: string[] = [];
  readonly roles: string[] = [];
  readonly projects: string[] = [];
  /** Project of each project's index that owns it, or -1 where a user does. */
  readonly parent: Int32Array;
  readonly links: { uuid: string; tail: string; head: string; name: string }[] = [];
  /** Collections that are shared by themselves, and where they live. */
  readonly sharedCollections: { uuid: string; owner: string }[] = [];
  readonly #random: () => number;

  constructor(size: Size = FULL, seed = 42) {
    this.size = size;
    this.#random = mulberry32(seed);
    this.parent = new Int32Array(size.projects).fill(-1);
    for (let i = 0; i < size.users; i++) this.users.push(uuid("tpzed", i + 1));
    for (let i = 0; i < size.roles; i++) this.roles.push(uuid("j7d0g", 900_000_000 + i));
    for (let i = 0; i < size.projects; i++) this.projects.push(uuid("j7d0g", i + 1));
    this.#nest();
    this.#link();
  }

  /** The user with many shared subtrees. */
  get sharee(): string {
    return this.users[1] as string;
  }

  /** The role with many members. */
  get bigRole(): string {
    return this.roles[0] as string;
  }

  ownerOfProject(index: number): string {
    const parent = this.parent[index] as number;
    return parent >= 0 ? (this.projects[parent] as string) : (this.users[index % this.size.users] as string);
  }

  /** The user at the top of a project's owners. */
  topOwner(project: string): string {
    let index = Number.parseInt(project.slice(12), 36) - 1;
    while ((this.parent[index] as number) >= 0) index = this.parent[index] as number;
    return this.ownerOfProject(index);
  }

  requestUuid(index: number): string {
    return uuid("xvhdp", index + 1);
  }

  containerUuid(index: number): string {
    return uuid("dz642", index + 1);
  }

  ownerOfRequest(index: number): string {
    return this.projects[(index * 7919) % this.size.projects] as string;
  }

  /** The rows in batches, as a replica would read them. */
  *batches(length = 20_000): Iterable<PermissionChange[]> {
    let batch: PermissionChange[] = [];
    for (const change of this.#rows()) {
      batch.push(change);
      if (batch.length < length) continue;
      yield batch;
      batch = [];
    }
    if (batch.length > 0) yield batch;
  }

  *#rows(): Iterable<PermissionChange> {
    let id = 0;
    for (const one of [KNOWN.rootUser, ...this.users]) {
      const row: UserRow = {
        id: ++id,
        uuid: one,
        owner_uuid: KNOWN.rootUser,
        is_admin: one === KNOWN.rootUser,
        is_active: true,
        redirect_to_user_uuid: null,
      };
      yield { kind: "user", uuid: one, row };
    }
    for (const one of [KNOWN.systemGroup, KNOWN.allUsersGroup, ...this.roles]) {
      yield { kind: "group", uuid: one, row: groupRow(++id, one, KNOWN.rootUser, "role") };
    }
    for (const [i, one] of this.projects.entries()) {
      yield { kind: "group", uuid: one, row: groupRow(++id, one, this.ownerOfProject(i), "project") };
    }
    for (let i = 0; i < this.size.requests; i++) {
      const one = this.requestUuid(i);
      const row: RequestRow = {
        id: ++id,
        uuid: one,
        owner_uuid: this.ownerOfRequest(i),
        container_uuid: this.containerUuid(i),
      };
      yield { kind: "cr", uuid: one, row };
    }
    for (const { uuid: one, owner } of this.sharedCollections) {
      const row: OwnerRow = { id: ++id, uuid: one, owner_uuid: owner };
      yield { kind: "owner", uuid: one, row };
    }
    for (const link of this.links) yield { kind: "link", uuid: link.uuid, row: linkRow(++id, link) };
  }

  /** Trees 6 deep: each project's parent is an earlier one, one level up. */
  #nest(): void {
    const { projects, depth } = this.size;
    const tops = Math.ceil(projects / 10);
    const level = Math.ceil((projects - tops) / (depth - 1));
    for (let i = tops; i < projects; i++) {
      const at = 1 + Math.floor((i - tops) / level);
      const from = at === 1 ? 0 : tops + (at - 2) * level;
      const to = at === 1 ? tops : tops + (at - 1) * level;
      this.parent[i] = from + Math.floor(this.#random() * (to - from));
    }
  }

  #link(): void {
    const { users, roles, projects } = this;
    let n = 0;
    const add = (tail: string, head: string, name: string): void => {
      this.links.push({ uuid: uuid("o0j2j", ++n), tail, head, name });
    };
    // What every cluster has: two links a user.
    for (const user of users) {
      add(KNOWN.systemGroup, user, "can_manage");
      add(user, KNOWN.allUsersGroup, "can_write");
      add(KNOWN.allUsersGroup, user, "can_read");
    }
    for (let i = 0; i < ROLE_OF && i < users.length; i++) add(users[i] as string, this.bigRole, "can_read");
    for (let i = 0; i < this.size.roles * 15; i++) {
      add(
        this.#pick(users),
        roles[1 + (i % (roles.length - 1))] as string,
        this.#random() < 0.1 ? "can_manage" : "can_read",
      );
    }
    // Leaves, so that no share covers another.
    const leaves = projects.length - Math.floor(projects.length / 6);
    const shares = Math.min(SHARED_SUBTREES, Math.floor(projects.length / 10));
    const step = Math.floor((projects.length - leaves) / shares);
    for (let i = 0; i < shares; i++) add(this.sharee, projects[leaves + i * step] as string, "can_read");
    while (this.links.length < this.size.links - 500) {
      const tail = this.#random() < 0.7 ? this.#pick(roles) : this.#pick(users);
      add(
        tail,
        this.#pick(projects),
        ["can_read", "can_write", "can_manage"][Math.floor(this.#random() * 3)] as string,
      );
    }
    while (this.links.length < this.size.links) {
      const one = uuid("4zz18", this.sharedCollections.length + 1);
      this.sharedCollections.push({ uuid: one, owner: this.#pick(projects) });
      add(this.#pick(users), one, "can_read");
    }
  }

  #pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#random() * from.length)] as T;
  }
}

export function linkRow(id: number, link: { uuid: string; tail: string; head: string; name: string }): LinkRow {
  return { id, uuid: link.uuid, tail_uuid: link.tail, head_uuid: link.head, name: link.name };
}

function groupRow(id: number, one: string, owner: string, groupClass: string): GroupRow {
  return { id, uuid: one, owner_uuid: owner, group_class: groupClass, trash_at: null, frozen_by_uuid: null };
}

export function uuid(infix: string, n: number): string {
  return `${CLUSTER_ID}-${infix}-${n.toString(36).padStart(15, "0")}`;
}
