/**
 * Small clusters in which anything goes, for fast-check: a fixed cast of uuids (a few of them hostile), and rows that may own
 * each other in circles, name what is not there, or come and go in any order.
 */
import fc from "fast-check";
import type { GraphOptions, ObjectFacts } from "../../../core/graph-types.ts";
import type { GraphRows, PermissionChange } from "../../../core/rows.ts";
import { type Resource, wellKnown } from "../../../core/uuid.ts";
import { NOW } from "../../vectors/world.ts";

export const CLUSTER = "zzzzz";
const { rootUser, allUsersGroup, systemGroup } = wellKnown(CLUSTER);

const make = (infix: string, letter: string) => `zzzzz-${infix}-${letter.repeat(15)}`;
/** A user and a group by their shape, and subjects by their looks. */
const HOSTILE_USER = "*.>.x-tpzed-0000000000000 >";
const HOSTILE_GROUP = "a.>.b-j7d0g-*.000000000000.";

export const USERS = [rootUser, ...["a", "b", "c", "d"].map((one) => make("tpzed", one)), HOSTILE_USER];
export const GROUPS = [
  allUsersGroup,
  systemGroup,
  ...["p", "q", "r", "s", "t"].map((one) => make("j7d0g", one)),
  HOSTILE_GROUP,
];
const COLLECTIONS = ["m", "n"].map((one) => make("4zz18", one));
const WORKFLOW = make("7fd4e", "w");
const REQUESTS = ["e", "f"].map((one) => make("xvhdp", one));
const CONTAINERS = ["g", "h"].map((one) => make("dz642", one));
const OTHER_LINK = make("o0j2j", "z");
const HOSTILE_OBJECTS = ["", ">", "a.*", "@role.>"];
const LINKS = Array.from({ length: 12 }, (_, i) => make("o0j2j", i.toString(36)));

const OBJECTS = [...COLLECTIONS, WORKFLOW, ...REQUESTS, OTHER_LINK];
const OWNERS = [...USERS, ...GROUPS, COLLECTIONS[0] as string, "", HOSTILE_OBJECTS[1] as string];

const owner = fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...USERS, ...GROUPS) }, fc.constantFrom(...OWNERS));
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(arbitrary, { freq: 5 });

const userChange: fc.Arbitrary<PermissionChange> = fc.constantFrom(...USERS).chain((uuid) =>
  maybe(
    fc.record<GraphRows["user"]>({
      id: fc.nat(),
      uuid: fc.constant(uuid),
      owner_uuid: fc.oneof({ weight: 4, arbitrary: fc.constant(rootUser) }, owner),
      is_admin: uuid === rootUser ? fc.constant(true) : fc.nat(9).map((n) => n === 0),
      is_active: fc.nat(3).map((n) => n > 0),
      redirect_to_user_uuid: fc.nat(9).map((n) => (n === 0 ? rootUser : null)),
    }),
  ).map((row) => ({ kind: "user", uuid, row })),
);

const groupChange: fc.Arbitrary<PermissionChange> = fc.constantFrom(...GROUPS).chain((uuid) =>
  maybe(
    fc.record<GraphRows["group"]>({
      id: fc.nat(),
      uuid: fc.constant(uuid),
      owner_uuid: owner,
      group_class: fc.constantFrom("project", "project", "role", "role", "filter", null),
      trash_at: fc.constantFrom(null, null, null, NOW - 1, NOW + 1),
      frozen_by_uuid: fc.constantFrom(null, null, rootUser),
    }),
  ).map((row) => ({ kind: "group", uuid, row })),
);

const tail = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...USERS, ...GROUPS) },
  fc.constantFrom(...HOSTILE_OBJECTS, COLLECTIONS[0] as string),
);
const head = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...USERS, ...GROUPS, ...OBJECTS) },
  fc.constantFrom(...HOSTILE_OBJECTS, ...CONTAINERS, ...LINKS),
);
const name = fc.constantFrom(
  "can_read",
  "can_read",
  "can_write",
  "can_manage",
  "can_manage",
  "can_login",
  "can_sing",
  "",
);

const linkChange: fc.Arbitrary<PermissionChange> = fc.constantFrom(...LINKS).chain((uuid) =>
  maybe(
    fc.record<GraphRows["link"]>({
      id: fc.nat(),
      uuid: fc.constant(uuid),
      tail_uuid: tail,
      head_uuid: head,
      name,
    }),
  ).map((row) => ({ kind: "link", uuid, row })),
);

const ownerChange: fc.Arbitrary<PermissionChange> = fc.constantFrom(...OBJECTS).chain((uuid) =>
  maybe(fc.record<GraphRows["owner"]>({ id: fc.nat(), uuid: fc.constant(uuid), owner_uuid: owner })).map((row) => ({
    kind: "owner",
    uuid,
    row,
  })),
);

const requestChange: fc.Arbitrary<PermissionChange> = fc.constantFrom(...REQUESTS).chain((uuid) =>
  maybe(
    fc.record<GraphRows["cr"]>({
      id: fc.nat(),
      uuid: fc.constant(uuid),
      owner_uuid: owner,
      container_uuid: fc.constantFrom(null, ...CONTAINERS),
    }),
  ).map((row) => ({ kind: "cr", uuid, row })),
);

export const change: fc.Arbitrary<PermissionChange> = fc.oneof(
  { weight: 5, arbitrary: linkChange },
  { weight: 3, arbitrary: groupChange },
  { weight: 2, arbitrary: userChange },
  { weight: 1, arbitrary: ownerChange },
  { weight: 1, arbitrary: requestChange },
);

/** A cluster's rows: most of the cast is there. */
export const rows: fc.Arbitrary<PermissionChange[]> = fc.array(change, { minLength: 20, maxLength: 60, size: "max" });

export const deltas: fc.Arbitrary<PermissionChange[][]> = fc.array(
  fc.array(change, { minLength: 1, maxLength: 4, size: "max" }),
  { minLength: 1, maxLength: 8, size: "max" },
);

// A tame cluster: every row is there and its own kind, and all that comes and goes are links that Arvados would make.

const ROLES = GROUPS.filter((uuid) => /-[rst]{15}$|fffff$|00000$/.test(uuid));
const PROJECTS = GROUPS.filter((uuid) => !ROLES.includes(uuid));
const TAME: PermissionChange[] = [
  ...USERS.map((uuid): PermissionChange => {
    const is_admin = uuid === rootUser;
    const row = { id: 0, uuid, owner_uuid: rootUser, is_admin, is_active: true, redirect_to_user_uuid: null };
    return { kind: "user", uuid, row };
  }),
  ...GROUPS.map((uuid, i): PermissionChange => {
    const role = ROLES.includes(uuid);
    const owner_uuid = role ? rootUser : ([USERS[1], GROUPS[2]][i % 2] ?? rootUser);
    const group_class = role ? "role" : "project";
    return { kind: "group", uuid, row: { id: 0, uuid, owner_uuid, group_class, trash_at: null, frozen_by_uuid: null } };
  }),
  ...OBJECTS.map((uuid, i): PermissionChange => {
    return { kind: "owner", uuid, row: { id: 0, uuid, owner_uuid: [...GROUPS.slice(2), USERS[2]][i % 7] ?? rootUser } };
  }),
];

const tameLink: fc.Arbitrary<PermissionChange> = fc.constantFrom(...LINKS).chain((uuid) =>
  maybe(
    fc.record<GraphRows["link"]>({
      id: fc.nat(),
      uuid: fc.constant(uuid),
      tail_uuid: fc.constantFrom(...USERS.slice(1), ...ROLES),
      head_uuid: fc.oneof(
        { weight: 3, arbitrary: fc.constantFrom(...OBJECTS, ...PROJECTS) },
        fc.constantFrom(...ROLES, ...USERS),
      ),
      name: fc.constantFrom("can_read", "can_write", "can_manage"),
    }),
  ).map((row) => ({ kind: "link", uuid, row })),
);

/** The owner of an object becomes known with the first link to it, and is forgotten with the last. */
const tameOwner: fc.Arbitrary<PermissionChange> = fc
  .tuple(fc.constantFrom(...TAME.filter(({ kind }) => kind === "owner")), fc.boolean())
  .map(([one, known]) => (known ? one : ({ ...one, row: null } as PermissionChange)));

/** A project comes to lie in another one, or at some user's: those of later letters in earlier ones, so that none lies in itself. */
const tameMove: fc.Arbitrary<PermissionChange> = fc.constantFrom(...PROJECTS.keys()).chain((at) =>
  fc.constantFrom(...USERS.slice(1), ...PROJECTS.slice(0, at)).map((owner_uuid): PermissionChange => {
    const uuid = PROJECTS[at] as string;
    const row = { id: 0, uuid, owner_uuid, group_class: "project", trash_at: null, frozen_by_uuid: null };
    return { kind: "group", uuid, row };
  }),
);

export const tameRows: fc.Arbitrary<PermissionChange[]> = fc
  .array(tameLink, { minLength: 6, maxLength: 20, size: "max" })
  .map((links) => [...TAME, ...links]);

export const tameDeltas: fc.Arbitrary<PermissionChange[][]> = fc.array(
  fc.array(fc.oneof({ weight: 4, arbitrary: tameLink }, tameOwner), { minLength: 1, maxLength: 2, size: "max" }),
  { minLength: 1, maxLength: 10, size: "max" },
);

/** The same where projects move as well, and longer. */
export const tameMoves: fc.Arbitrary<PermissionChange[][]> = fc.array(
  fc.array(fc.oneof({ weight: 2, arbitrary: tameLink }, tameMove), { minLength: 1, maxLength: 2, size: "max" }),
  { minLength: 4, maxLength: 16, size: "max" },
);

// A cluster full of links of unknown names, among roles and users who manage each other.

const oddLink: fc.Arbitrary<PermissionChange> = fc.constantFrom(...LINKS).chain((uuid) =>
  maybe(
    fc.record<GraphRows["link"]>({
      id: fc.nat(),
      uuid: fc.constant(uuid),
      tail_uuid: fc.constantFrom(...USERS.slice(1), ...ROLES, ...ROLES, ...PROJECTS),
      head_uuid: fc.oneof(
        { weight: 4, arbitrary: fc.constantFrom(...ROLES, ...USERS.slice(1)) },
        fc.constantFrom(...PROJECTS, ...OBJECTS),
      ),
      name: fc.constantFrom("can_sing", "can_sing", "", "can_read", "can_manage"),
    }),
  ).map((row) => ({ kind: "link", uuid, row })),
);

export const oddRows: fc.Arbitrary<PermissionChange[]> = fc
  .array(oddLink, { minLength: 10, maxLength: 24, size: "max" })
  .map((links) => [...TAME, ...links]);

export const oddDeltas: fc.Arbitrary<PermissionChange[][]> = fc.array(
  fc.array(fc.oneof({ weight: 4, arbitrary: oddLink }, tameMove, groupChange, userChange), {
    minLength: 1,
    maxLength: 3,
    size: "max",
  }),
  { minLength: 1, maxLength: 10, size: "max" },
);

/** The sizes above which rights are published in another way: of roles, of users, of what links point at. */
export type Bounds = Pick<GraphOptions, "audienceMin" | "heavyMin" | "crowdMin">;
const NEVER = Number.POSITIVE_INFINITY;
/** Small ones, where it does not depend on the past what has passed them. */
export const bounds: fc.Arbitrary<Bounds> = fc.record({
  audienceMin: fc.constantFrom(0, 1, 3, NEVER),
  heavyMin: fc.constantFrom(0, 3, 4, NEVER, NEVER),
  crowdMin: fc.constantFrom(0, 1, 2, 4, NEVER),
});
/** And such where it does. */
export const anyBounds: fc.Arbitrary<Bounds> = fc.record({
  audienceMin: fc.constantFrom(0, 1, 3, 5, NEVER),
  heavyMin: fc.constantFrom(0, 3, 6, 10, 15, 20, 25, NEVER),
  crowdMin: fc.constantFrom(0, 1, 2, 5, NEVER),
});

/** The rows that are left after some changes, by `<kind> <uuid>`. */
export function standing(changes: Iterable<PermissionChange>): Map<string, PermissionChange> {
  const left = new Map<string, PermissionChange>();
  for (const one of changes) {
    const key = `${one.kind} ${one.uuid}`;
    if (one.row === null) left.delete(key);
    else left.set(key, one);
  }
  return left;
}

/**
 * Everything that can be asked about. An object's owner is what its rows say (a request's own row first), or, where the
 * graph knows none, one given for the asking: the bridge may see an object before the graph hears where it lives.
 */
export function changedObjects(changes: Iterable<PermissionChange>): ObjectFacts[] {
  const left = standing(changes);
  const ownerOf = (kind: string, uuid: string) =>
    (left.get(`${kind} ${uuid}`)?.row as { owner_uuid?: string } | null | undefined)?.owner_uuid ?? null;
  const facts: ObjectFacts[] = [];
  const add = (resource: Resource, uuid: string, owner: string | null, more: Partial<ObjectFacts> = {}) =>
    facts.push({ uuid, resource, owner, ...more });
  for (const uuid of USERS) add("users", uuid, ownerOf("user", uuid));
  for (const uuid of GROUPS) add("groups", uuid, ownerOf("group", uuid));
  for (const [i, uuid] of COLLECTIONS.entries()) {
    add("collections", uuid, ownerOf("owner", uuid) ?? GROUPS[2 + i] ?? null, { trashAt: i === 0 ? NOW - 1 : null });
  }
  add("workflows", WORKFLOW, ownerOf("owner", WORKFLOW) ?? USERS[1] ?? null);
  for (const uuid of REQUESTS)
    add("container_requests", uuid, ownerOf("cr", uuid) ?? ownerOf("owner", uuid) ?? GROUPS[3] ?? null);
  for (const uuid of CONTAINERS) add("containers", uuid, rootUser);
  add("links", OTHER_LINK, ownerOf("owner", OTHER_LINK) ?? USERS[2] ?? null, {
    link: { linkClass: "tag", tail: "", head: COLLECTIONS[0] as string },
  });
  const owners = new Map(facts.map((one) => [one.uuid, one.owner]));
  for (const one of left.values()) {
    if (one.kind !== "link" || one.row === null) continue;
    const { tail_uuid, head_uuid } = one.row;
    const headOwner = owners.get(head_uuid) ?? null;
    add("links", one.uuid, rootUser, {
      link: { linkClass: "permission", tail: tail_uuid, head: head_uuid, headOwner },
    });
  }
  return facts;
}

/** Owners whose deletions are asked about. */
export const DELETION_OWNERS: readonly string[] = OWNERS.filter((one) => one !== "");
