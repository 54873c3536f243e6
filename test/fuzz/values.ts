/** Values for the columns that the bridge reads: what Arvados writes, what SQL admits, and what somebody hostile would try. */
import { pick, type Random } from "../../dev/testing/random.ts";

export type ColumnType = { table: string; name: string; type: string };

/** Uuids that mean something to the world under test, by the column that holds them. */
export type Cast = {
  users: string[];
  groups: string[];
  objects: string[];
  links: string[];
  tokens: string[];
  containers: string[];
};

export type Limits = { /** Bytes of the longest text. */ longest: number };

const HOSTILE = [
  "",
  " ",
  "nonsense",
  "*.>",
  ">",
  "zzzzz-tpzed-*.>aaaaaaaaaaa",
  "zzzzz-j7d0g-\u0001\u0007 aaaaaaaaaaa",
  "\u{1f600}".repeat(60),
  "é".repeat(255),
  "x".repeat(255),
  "null",
  "undefined",
  "__proto__",
  "a|b|c",
  "$SYS.>",
  "\\",
  "'",
  "--",
];
const TIMES = [
  null,
  "infinity",
  "-infinity",
  "0044-03-15 12:00:00 BC",
  "4713-01-01 BC",
  "0001-01-01",
  "1969-12-31 23:59:59.999999",
  "2000-02-29",
  "9999-12-31 23:59:59.999999",
  "10000-01-01",
  "294276-12-31 23:59:59",
  "2262-04-11 23:47:16.854776",
];
const SCOPES = [
  null,
  "",
  "[]",
  '["all"]',
  '["GET /"]',
  '"all"',
  "all",
  "---\n- all\n",
  '{"0":"all"}',
  '["all",',
  '[["all"]]',
  '[null,1,"GET /"]',
  '["GET /arvados/v1/collections/zzzzz-4zz18-aaaaaaaaaaaaaaa"]',
];

/** A value as a parameter for PostgreSQL, which may refuse it. */
export function valueFor({ name, type, table }: ColumnType, cast: Cast, limits: Limits, random: Random): unknown {
  if (type.startsWith("timestamp"))
    return random() < 0.3 ? new Date(Date.now() + (random() - 0.5) * 1e8).toISOString() : pick(TIMES, random);
  if (type === "boolean") return pick([true, false, null], random);
  if (type === "bigint" || type === "integer")
    return pick(
      [
        "0",
        "1",
        "-1",
        "2147483647",
        "9007199254740993",
        "9223372036854775807",
        null,
        String(Math.floor(random() * 40)),
      ],
      random,
    );
  if (type === "jsonb" || type === "json") return pick([null, "{}", "[]", nested(500), '"x"'], random);
  if (type === "double precision") return pick(["NaN", "Infinity", "-Infinity", "1e308", null], random);
  if (name === "scopes") return random() < 0.1 ? longText(limits, random) : pick(SCOPES, random);
  if (name === "runtime_token" || name === "api_token")
    return random() < 0.1 ? longText(limits, random) : pick([null, "", "secret", "v2/x/y"], random);
  if (name === "link_class")
    return pick(["permission", "permission", "permission", "tag", "", null, "Permission"], random);
  if (name === "group_class") return pick(["project", "role", "filter", "", null, "nonsense"], random);
  if (name === "state")
    return pick(["Queued", "Locked", "Running", "Complete", "Cancelled", "", null, "running"], random);
  if (name === "name" && table === "links")
    return pick(["can_read", "can_write", "can_manage", "can_login", "can_sing", "", null], random);
  if (name === "event_type") return pick(["create", "update", "delete", "my_event", "", null, "evil\nevent.>"], random);
  if (name.endsWith("uuid"))
    return random() < 0.15 ? pick([null, ...HOSTILE], random) : uuidFor(name, table, cast, random);
  return random() < 0.2 && type === "text" ? longText(limits, random) : pick([null, ...HOSTILE], random);
}

/** Properties of a log row. */
export function propertiesFor(owner: string, former: string, limits: Limits, random: Random): string | null {
  const attributes = { uuid: pick(HOSTILE, random), owner_uuid: owner, name: pick(HOSTILE, random), id: 7 };
  const honest = JSON.stringify({ old_attributes: { ...attributes, owner_uuid: former }, new_attributes: attributes });
  return pick<() => string | null>(
    [
      () => null,
      () => "",
      () => honest,
      () => honest,
      () => "---\nold_attributes: !ruby/hash:Thing\n",
      () => honest.slice(0, -3),
      () => `{"new_attributes":${nested(20_000)}}`,
      () => nested(20_000),
      () => `{"new_attributes":{"properties":[${"1,{},".repeat(Math.floor((limits.longest * random()) / 5))}0]}}`,
      () => `{"new_attributes":{"manifest_text":"${"x".repeat(Math.floor(limits.longest * random()))}","name":"n"}}`,
    ],
    random,
  )();
}

function uuidFor(name: string, table: string, cast: Cast, random: Random): string {
  const of: Record<string, readonly string[]> = {
    owner_uuid: [...cast.users, ...cast.groups],
    tail_uuid: [...cast.users, ...cast.groups],
    head_uuid: [...cast.groups, ...cast.objects, ...cast.users],
    container_uuid: cast.containers,
    auth_uuid: cast.tokens,
    redirect_to_user_uuid: cast.users,
    frozen_by_uuid: cast.users,
    object_uuid: [...cast.objects, ...cast.groups, ...cast.users, ...cast.links],
    uuid:
      {
        users: cast.users,
        groups: cast.groups,
        links: cast.links,
        api_client_authorizations: cast.tokens,
        containers: cast.containers,
      }[table] ?? cast.objects,
  };
  return pick(of[name] ?? cast.users, random);
}

function longText({ longest }: Limits, random: Random): string {
  const length = Math.floor(longest * random() ** 4);
  return pick(
    [
      () => "x".repeat(length),
      () =>
        JSON.stringify(Array.from({ length: length / 60 }, (_, n) => `GET /arvados/v1/collections/zzzzz-4zz18-${n}`)),
      () => "[".repeat(Math.min(length, 100_000)),
    ],
    random,
  )();
}

function nested(depth: number): string {
  return `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;
}
