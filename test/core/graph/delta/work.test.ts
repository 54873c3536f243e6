/**
 * What a single change costs, by counting: each look-up and each step of a walk is a piece of work. In a world four times as large a
 * change that concerns one user takes about the same, and one that concerns everybody at most about four times as much.
 */
import assert from "node:assert/strict";
import { PermissionGraph } from "../../../../core/graph/permission-graph.ts";
import { Nodes } from "../../../../core/graph/store/nodes.ts";
import { Ownership } from "../../../../core/graph/store/ownership.ts";
import { Links } from "../../../../core/graph/store/permission-links.ts";
import type { PermissionChange } from "../../../../core/rows.ts";
import { C, collection, G, K, link, lives, NOW, project, request, role, U, unlink, user } from "../cast.ts";

const name = (prefix: string, i: number) => `${prefix}${i.toString(36)}x`;
const times = <T>(count: number, make: (i: number) => T[]): T[] =>
  Array.from({ length: count }, (_, i) => make(i)).flat();
const gone = ({ kind, uuid }: PermissionChange) => ({ kind, uuid, row: null }) as PermissionChange;

/** The methods by which all of the graph's walks go, and the sets that hold what they find. */
const STEPS: [object, string[]][] = [
  [Nodes.prototype, ["isUser", "isGroup", "uuid", "find", "retain", "release", "token"]],
  [Links.prototype, ["in", "out", "get"]],
  [Ownership.prototype, ["owner", "up", "set"]],
  [Set.prototype, ["add", "has", "delete"]],
  [Map.prototype, ["get", "set", "delete"]],
  [Array.prototype, ["push", "indexOf"]],
];

/** How many steps something takes. */
function workOf(work: () => void): number {
  let steps = 0;
  const real: [Record<string, unknown>, string, unknown][] = [];
  for (const [prototype, methods] of STEPS) {
    for (const method of methods) {
      const holder = prototype as Record<string, unknown>;
      const original = holder[method] as (...args: unknown[]) => unknown;
      real.push([holder, method, original]);
      const counted = method === "indexOf" ? (self: unknown) => (self as unknown[]).length : () => 1;
      holder[method] = function (this: unknown, ...args: unknown[]) {
        steps += counted(this);
        return original.apply(this, args);
      };
    }
  }
  try {
    work();
  } finally {
    for (const [holder, method, original] of real) holder[method] = original;
  }
  return steps;
}

const everybody = project("everybody", U("root"), { group_class: "role" });
const members = (size: number): PermissionChange[] => [
  everybody,
  role("crew"),
  project("plan", U("ann")),
  ...times(size, (i) => [
    user(name("u", i)),
    link(name("e", i), U(name("u", i)), G("everybody"), "can_write"),
    link(name("v", i), G("everybody"), U(name("u", i))),
    link(name("s", i), G("system"), U(name("u", i)), "can_manage"),
    link(name("m", i), U(name("u", i)), G("crew")),
  ]),
  ...times(20, (i) => [project(name("p", i), U("ann")), link(name("l", i), G("crew"), G(name("p", i)))]),
];
const odd = (size: number) => [
  ...members(size),
  link("odd1", G("everybody"), G("plan"), "can_sing"),
  link("odd2", U("ann"), G("crew"), "can_sing"),
  link("odd3", U("bob"), G("system"), "can_sing"),
  link("odd4", U("bob"), U(name("u", 0))),
];
const chain = (size: number) => [
  project(name("d", 0), U("ann")),
  ...times(size, (i) => [project(name("d", i + 1), G(name("d", i)))]),
];
const circle = (size: number) => [
  ...times(size, (i) => [project(name("d", i), G(name("d", (i + 1) % size)))]),
  link("seen", U("bob"), G(name("d", 1))),
];
const owner = (size: number) => [project("plan", U("ann")), ...times(size, (i) => [project(name("d", i), U("ann"))])];
const wide = (size: number) => [...owner(size), ...times(size, (i) => [link(name("l", i), U("bob"), G(name("d", i)))])];
const linked = (size: number) => [
  project("plan", U("ann")),
  ...times(size, (i) => [user(name("u", i)), link(name("l", i), U(name("u", i)), G("plan"))]),
];
const joiner = (size: number) =>
  times(size, (i) => [role(name("r", i)), link(name("l", i), U("bob"), G(name("r", i)))]);
const manager = (size: number) =>
  times(size, (i) => [user(name("u", i)), link(name("l", i), U("bob"), U(name("u", i)), "can_manage")]);
const managed = (size: number) =>
  times(size, (i) => [user(name("u", i)), link(name("l", i), U(name("u", i)), U("ann"), "can_manage")]);
const singles = (size: number) =>
  times(size, (i) => [lives(C(name("c", i)), U("ann")), link(name("l", i), U("bob"), C(name("c", i)))]);
/** The graph knows where an object lives while links point to it, and forgets it with the last link. */
const unshared = (i: number) => [unlink(name("l", i)), gone(lives(C(name("c", i)), U("ann")))];
const container = (size: number) => times(size, (i) => [request(name("q", i), U("ann"), K("k"))]);

type Case = {
  world: (size: number) => PermissionChange[];
  change: (size: number) => PermissionChange[];
  heavyMin?: number;
};
const one = (world: Case["world"], ...change: PermissionChange[]): Case => ({ world, change: () => change });

/** Changes that concern one user, or nobody, however many there are. */
const SMALL: Record<string, Case> = {
  "a share with all users": one(members, link("new", G("everybody"), G("plan"))),
  "a share with all users beside links of unknown names": one(odd, link("new", G("everybody"), G("plan"))),
  "a share with a large role beside links of unknown names": one(odd, link("new", G("crew"), G("plan"))),
  "a share with one user": one(members, link("new", U("bob"), G("plan"))),
  "a share with one user of something that many have": one(linked, link("new", U("bob"), G("plan"))),
  "a user who leaves a large role": one(members, unlink(name("m", 3))),
  "a user who is deactivated": one(members, user(name("u", 3), { is_active: false })),
  "a user who becomes an admin": one(members, user(name("u", 3), { is_admin: true })),
  "a link of an unknown name": one(members, link("new", U("bob"), G("plan"), "can_sing")),
  "a link of an unknown name from all users": one(members, link("new", G("everybody"), G("plan"), "can_sing")),
  "a project that moves": one(members, project("plan", U("bob"))),
  "a project that is trashed": one(members, project("plan", U("ann"), { trash_at: NOW })),
  "an owner's new project": one(owner, project("new", U("ann"))),
  "an owner's project that is deleted": one(owner, gone(project("plan", ""))),
  "an owner's user row": one(owner, user("ann", { is_active: false })),
  "one of many links to a project": one(linked, unlink(name("l", 3))),
  "one of many managers": one(managed, unlink(name("l", 3))),
  "a share with a user whom many manage": one(managed, project("new", U("bob")), link("new", U("ann"), G("new"))),
  "a share with a heavy user": {
    ...one(singles, lives(C("new"), U("ann")), link("new", U("bob"), C("new"))),
    heavyMin: 100,
  },
  "a share with a heavy user that is taken back": { ...one(singles, unlink(name("l", 3))), heavyMin: 100 },
  "the last share of an object, taken back from a user of many": one(singles, ...unshared(3)),
  "the last share of an object, taken back from a heavy user": { ...one(singles, ...unshared(3)), heavyMin: 100 },
  "a request that shows what others show": one(container, request("new", U("ann"), K("k"))),
};

/** Changes that concern everybody (what all may see of a new user, too), or somebody with as much as there is. */
const LARGE: Record<string, Case> = {
  "a project at the bottom of many that moves": {
    world: chain,
    change: (size) => [project(name("d", size), U("bob"))],
  },
  "the row of the all-users group that is deleted": one(members, gone(everybody)),
  "a user who comes to belong to a role": one(members, user(name("u", 3), { owner_uuid: G("crew") })),
  "a user who is deleted": one(members, gone(user(name("u", 3)))),
  "a new user": one(
    members,
    user("new"),
    link("new1", U("new"), G("everybody"), "can_write"),
    link("new2", G("everybody"), U("new")),
    link("new3", U("new"), G("crew")),
  ),
  "the row of a large role that is deleted": one(members, gone(role("crew"))),
  "the row of a large role that comes back": {
    world: (size) => [...members(size), gone(role("crew"))],
    change: () => [role("crew")],
  },
  "a large role that becomes a project": one(members, project("crew", U("root"))),
  "a large role that is deleted with all its links": {
    world: members,
    change: (size) => [
      gone(role("crew")),
      ...times(size, (i) => [unlink(name("m", i))]),
      ...times(20, (i) => [unlink(name("l", i))]),
    ],
  },
  "a large role that gets a role": one(members, role("inner"), link("new", G("crew"), G("inner"))),
  "the system user's row that is deleted": one(members, gone(user("root"))),
  "a user who joins those who manage everybody": one(members, link("new", U("bob"), G("system"))),
  "a user who joins a role beside links of unknown names": one(odd, link("new", U("ann"), G("system"))),
  "a link of an unknown name to a role": one(members, link("new", U("bob"), G("system"), "can_sing")),
  "a share deep down": { world: chain, change: (size) => [link("new", U("bob"), G(name("d", size)))] },
  "a deep tree that moves": one(chain, project(name("d", 0), U("bob"))),
  "a deep tree that moves into itself": {
    world: chain,
    change: (size) => [project(name("d", 0), G(name("d", size)))],
  },
  "a share in a circle of owners": one(circle, link("new", U("bob"), G(name("d", 0)))),
  "a circle of owners that is broken": one(circle, project(name("d", 0), U("ann"))),
  "a user who leaves one of many roles": one(joiner, unlink(name("l", 3))),
  "a user who gets many roles' rights managed": one(joiner, link("new", U("ann"), U("bob"), "can_manage")),
  "a manager of many who loses one": one(manager, unlink(name("l", 3))),
  "a manager of many who is deleted": one(manager, gone(user("bob"))),
  "an owner who is owned": one(owner, user("ann", { owner_uuid: U("bob") })),
  "an owner who is managed": one(wide, link("new", U("eve"), U("ann"), "can_manage")),
  "somebody with much who is managed": one(wide, link("new", U("eve"), U("bob"), "can_manage")),
  "a project with many links that moves": one(linked, project("plan", U("bob"))),
  "a project with many links that is deleted": one(linked, gone(project("plan", ""))),
};

const SIZE = 500;

function workOfCase({ world, change, heavyMin = Number.POSITIVE_INFINITY }: Case, size: number): number {
  const graph = new PermissionGraph({ clusterId: "zzzzz", roleGroupsVisibleToAll: true, audienceMin: 20, heavyMin });
  const rows = [user("root"), user("ann"), user("bob"), user("eve"), role("system"), ...world(size)];
  graph.load(rows);
  for (const { kind, uuid, row } of rows) if (kind === "user" && row !== null) graph.grants(uuid);
  graph.route(collection("c", G("plan")), NOW);
  const delta = change(size);
  // The first routes after it may have to look again.
  return workOf(() => {
    graph.apply(delta);
    graph.route(collection("c", G("plan")), NOW);
  });
}

describe("the work that a change takes", function () {
  this.timeout(60_000);

  for (const [what, one] of Object.entries(SMALL)) {
    it(`does not grow with a cluster that it does not concern: ${what}`, () => {
      const [small, large] = [workOfCase(one, SIZE), workOfCase(one, 4 * SIZE)];
      assert.ok(large <= 1.5 * small + 100, `${small} steps with ${SIZE}, ${large} with ${4 * SIZE}`);
    });
  }

  for (const [what, one] of Object.entries(LARGE)) {
    it(`grows no faster than what it concerns: ${what}`, () => {
      const [small, large] = [workOfCase(one, SIZE), workOfCase(one, 4 * SIZE)];
      assert.ok(large <= 1.25 * 4 * small + 400, `${small} steps with ${SIZE}, ${large} with ${4 * SIZE}`);
    });
  }

  it("is not more for a role's members if one of them is near the bound for heavy users", () => {
    const work = (shares: number): number => {
      const bounds = { audienceMin: 1_000, heavyMin: 1_000 };
      const graph = new PermissionGraph({ clusterId: "zzzzz", roleGroupsVisibleToAll: true, ...bounds });
      graph.load([
        ...[user("root"), user("ann"), user("bob"), role("crew"), project("plan", U("ann"))],
        ...[link("in", U("bob"), G("crew"))],
        ...times(300, (i) => [user(name("u", i)), link(name("m", i), U(name("u", i)), G("crew"))]),
        ...singles(shares),
      ]);
      const toggle = () => void [link("new", G("crew"), G("plan")), unlink("new")].map((one) => graph.apply([one]));
      toggle();
      return workOf(toggle);
    };
    const without = work(1);
    for (const shares of [850, 900, 940]) assert.ok(work(shares) < 1.1 * without, `${without}, ${work(shares)}`);
    // Where it is on the very bound it is looked at as a whole, and nobody else is.
    for (const shares of [980, 984, 988, 992]) assert.ok(work(shares) < without + 60 * shares, `${work(shares)}`);
  });

  it("is counted: work for each pair of users is noticed", () => {
    const quadratic = (size: number) => {
      const graph = new PermissionGraph({ clusterId: "zzzzz", roleGroupsVisibleToAll: true, audienceMin: 20 });
      const rows = [user("root"), user("ann"), ...members(size)];
      const everybody = rows.filter(({ kind }) => kind === "user").map(({ uuid }) => uuid);
      graph.load(rows);
      return workOf(() => {
        for (let i = 0; i < size / 10; i++) {
          for (const who of everybody) graph.check(who, collection(name("c", i), U("ann")), NOW);
        }
      });
    };
    assert.ok(quadratic(160) > 1.25 * 4 * quadratic(40) + 400);
  });
});
