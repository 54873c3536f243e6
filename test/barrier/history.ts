/**
 * Arvados' rows as of every commit, in commit order, and who may read what by them. The judge is the oracle of the graph's own
 * tests (Arvados' rules written down a second time), over rows that PostgreSQL itself sent: nothing here is the product's. Pure.
 */
import type { ObjectFacts } from "../../core/graph-types.ts";
import { isGroupUuid, isUserUuid, resourceOf } from "../../core/uuid.ts";
import { Oracle, type Tables } from "../core/graph/oracle.ts";
import type { ColumnTexts, CommittedTransaction, DecodedChange } from "../support/servers/pgoutput.ts";

/** What a log row says was done to an object. */
export type LoggedEvent = { object: string; type: string };

type Version = { time: number; tables: Tables; oracle: Oracle | null };
type Commit = { lsn: bigint; time: number; version: number; logged: LoggedEvent[]; oldOwners: Map<string, string[]> };

const PERMISSION_TABLES = new Set(["users", "groups", "links"]);
/** Nothing in these worlds goes to the trash in the future, so whatever has a time has it behind it. */
const NOW = Number.MAX_SAFE_INTEGER;

export class History {
  readonly commits: Commit[] = [];
  readonly #rolesVisible: boolean;
  readonly #places = new Map<bigint, number>();
  readonly #versions: Version[];
  readonly #uuids = new Map<string, string>();
  readonly #users = new Map<string, string>();
  /** By uuid: the row since which commit. What was deleted stays as it last was. */
  readonly #rows = new Map<string, { since: number; columns: ColumnTexts }[]>();

  constructor(initial: readonly DecodedChange[], rolesVisible: boolean) {
    this.#rolesVisible = rolesVisible;
    const tables = { user: new Map(), group: new Map(), link: new Map(), owner: new Map(), cr: new Map() };
    this.#versions = [{ time: 0, tables, oracle: null }];
    for (const change of initial) this.#take(change, -1, tables);
  }

  add({ lsn, time, changes }: CommittedTransaction): void {
    const place = this.commits.length;
    const isPermission = changes.some(({ table }) => PERMISSION_TABLES.has(table));
    const before = this.#versions.at(-1) as Version;
    const tables = isPermission ? copyOf(before.tables) : before.tables;
    const logged: LoggedEvent[] = [];
    const oldOwners = new Map<string, string[]>();
    for (const change of changes) {
      if (change.table !== "logs") {
        this.#take(change, place, tables);
        continue;
      }
      const { object_uuid, event_type, properties } = change.columns;
      const object = object_uuid ?? "";
      logged.push({ object, type: event_type ?? "" });
      const old = oldOwnerIn(properties ?? "{}");
      if (old !== null) oldOwners.set(object, [...(oldOwners.get(object) ?? []), old]);
    }
    if (isPermission) this.#versions.push({ time, tables, oracle: null });
    const number = parse(lsn);
    this.#places.set(number, place);
    this.commits.push({ lsn: number, time, version: this.#versions.length - 1, logged, oldOwners });
  }

  /** The commit's place in the order, or undefined. */
  place(lsn: bigint): number | undefined {
    return this.#places.get(lsn);
  }

  /** May the user read this, as of the commit that tells it? */
  mayRead(user: string, logged: LoggedEvent, place: number): boolean {
    return this.#mayRead(user, logged, place, (this.commits[place] as Commit).version);
  }

  /**
   * Did the user have a right after that commit, before `time`, by which a login at that moment is shown what was published under the
   * subject: to the object, or to an owner or a role that the subject names?
   */
  cameToRead(user: string, event: LoggedEvent & { subject: string }, place: number, time: number): boolean {
    const { version } = this.commits[place] as Commit;
    const named = event.subject.split(".").filter((token) => isGroupUuid(token) || isUserUuid(token));
    for (let later = version + 1; later < this.#versions.length; later++) {
      if ((this.#versions[later] as Version).time > time) continue;
      if (this.#mayRead(user, event, place, later)) return true;
      if (named.some((one) => this.#oracle(later).seesDeletion(user, one))) return true;
    }
    return false;
  }

  /** May the user read it as of a commit after that one, and before `time`? */
  mightReadSoon(user: string, logged: LoggedEvent, place: number, time: number): boolean {
    for (let later = place + 1; later < this.commits.length; later++) {
      if ((this.commits[later] as Commit).time > time) return false;
      if (this.mayRead(user, logged, later)) return true;
    }
    return false;
  }

  /** How many states of the permissions there were. */
  get versions(): number {
    return this.#versions.length;
  }

  #mayRead(user: string, { object, type }: LoggedEvent, place: number, version: number): boolean {
    const oracle = this.#oracle(version);
    // The last word on the old path, for those who could read it there or may read what else lies there.
    if (type === "left") {
      const owners = this.commits[place]?.oldOwners.get(object) ?? [];
      const before = this.#facts(object, place - 1);
      const versionBefore = Math.min(version, this.commits[place - 1]?.version ?? 0);
      const couldRead = before !== null && this.#oracle(versionBefore).check(user, before, NOW);
      return couldRead || owners.some((owner) => oracle.seesDeletion(user, owner));
    }
    const facts = this.#facts(object, place);
    if (!facts) return false;
    if (type === "delete") return facts.owner !== null && oracle.seesDeletion(user, facts.owner);
    return oracle.check(user, facts, NOW);
  }

  #oracle(version: number): Oracle {
    const found = this.#versions[version] as Version;
    found.oracle ??= new Oracle(found.tables, this.#rolesVisible);
    return found.oracle;
  }

  #row(uuid: string, place: number): ColumnTexts | null {
    return this.#rows.get(uuid)?.findLast(({ since }) => since <= place)?.columns ?? null;
  }

  #facts(uuid: string, place: number): ObjectFacts | null {
    const resource = resourceOf(uuid);
    const row = this.#row(uuid, place);
    if (!resource || !row) return null;
    const tokenUser = row.user_id ? this.#users.get(row.user_id) : undefined;
    const facts: ObjectFacts = {
      uuid,
      resource,
      owner: row.owner_uuid ?? tokenUser ?? null,
      trashAt: millis(row.trash_at),
    };
    if (tokenUser !== undefined) facts.tokenUser = tokenUser;
    if (resource === "links") {
      const head = row.head_uuid ?? "";
      const headOwner = this.#row(head, place)?.owner_uuid ?? null;
      facts.link = { linkClass: row.link_class ?? "", tail: row.tail_uuid ?? "", head, headOwner };
    }
    return facts;
  }

  #take({ table, op, columns }: DecodedChange, since: number, tables: Tables): void {
    const key = `${table} ${columns.id}`;
    const uuid = op === "delete" ? (this.#uuids.get(key) ?? "") : (columns.uuid ?? "");
    if (op !== "delete") {
      this.#uuids.set(key, uuid);
      if (table === "users") this.#users.set(columns.id ?? "", uuid);
      const rows = this.#rows.get(uuid) ?? [];
      if (rows.length === 0) this.#rows.set(uuid, rows);
      // A large value that did not change is not sent again.
      rows.push({ since, columns: { ...rows.at(-1)?.columns, ...columns } });
    }
    setRow(tables, table, uuid, op === "delete" ? null : columns);
  }
}

function setRow(tables: Tables, table: string, uuid: string, row: ColumnTexts | null): void {
  const of = { users: tables.user, groups: tables.group, links: tables.link }[table];
  if (!of) return;
  of.delete(uuid);
  if (!row) return;
  const base = { id: Number(row.id), uuid, owner_uuid: row.owner_uuid ?? "" };
  if (table === "users") {
    const redirect_to_user_uuid = row.redirect_to_user_uuid ?? null;
    tables.user.set(uuid, {
      ...base,
      is_admin: row.is_admin === "t",
      is_active: row.is_active === "t",
      redirect_to_user_uuid,
    });
  } else if (table === "groups") {
    const { group_class = null, frozen_by_uuid = null } = row;
    tables.group.set(uuid, { ...base, group_class, trash_at: millis(row.trash_at), frozen_by_uuid });
  } else if (row.link_class === "permission") {
    const { id } = base;
    const [tail_uuid, head_uuid, name] = [row.tail_uuid ?? "", row.head_uuid ?? "", row.name ?? ""];
    tables.link.set(uuid, { id, uuid, tail_uuid, head_uuid, name });
  }
}

/** Anybody may write a log row: its properties may be anything. */
function oldOwnerIn(properties: string): string | null {
  try {
    const { old_attributes: old } = (JSON.parse(properties) ?? {}) as {
      old_attributes?: { owner_uuid?: unknown } | null;
    };
    return typeof old?.owner_uuid === "string" && old.owner_uuid !== "" ? old.owner_uuid : null;
  } catch {
    return null;
  }
}

function copyOf({ user, group, link, owner, cr }: Tables): Tables {
  return { user: new Map(user), group: new Map(group), link: new Map(link), owner, cr };
}

/** `YYYY-MM-DD HH:MM:SS.ffffff`, UTC. */
function millis(text: string | null | undefined): number | null {
  return text ? Date.parse(`${text.replace(" ", "T")}Z`) : null;
}

function parse(lsn: string): bigint {
  const [high = "", low = ""] = lsn.split("/");
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`);
}
