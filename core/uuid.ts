/**
 * Arvados uuids: `zzzzz-4zz18-0123456789abcde` = cluster id, type infix, 15 base-36 characters.
 * The infix names the kind of the object, so a uuid alone tells which API resource it belongs to.
 */

const UUID = /^[0-9a-z]{5}-[0-9a-z]{5}-[0-9a-z]{15}$/;
const UUID_LENGTH = 27;

/** API resource names (plural, as in `/arvados/v1/<resource>/<uuid>`) by type infix. */
const RESOURCE_BY_INFIX = {
  tpzed: "users",
  j7d0g: "groups",
  o0j2j: "links",
  "4zz18": "collections",
  xvhdp: "container_requests",
  dz642: "containers",
  gj3su: "api_client_authorizations",
  "7fd4e": "workflows",
  oss07: "credentials",
  fngyi: "authorized_keys",
  "2x53u": "virtual_machines",
  bi6l4: "keep_services",
  gv0sa: "user_agreements",
  "57u5n": "logs",
} as const;

export type Resource = (typeof RESOURCE_BY_INFIX)[keyof typeof RESOURCE_BY_INFIX];

const INFIX_BY_RESOURCE = Object.fromEntries(
  Object.entries(RESOURCE_BY_INFIX).map(([infix, resource]) => [resource, infix]),
) as Record<Resource, string>;

/** `arvados#containerRequest`: what Arvados calls `kind`, by resource. */
const KIND_BY_RESOURCE: Record<Resource, string> = {
  users: "arvados#user",
  groups: "arvados#group",
  links: "arvados#link",
  collections: "arvados#collection",
  container_requests: "arvados#containerRequest",
  containers: "arvados#container",
  api_client_authorizations: "arvados#apiClientAuthorization",
  workflows: "arvados#workflow",
  credentials: "arvados#credential",
  authorized_keys: "arvados#authorizedKey",
  virtual_machines: "arvados#virtualMachine",
  keep_services: "arvados#keepService",
  user_agreements: "arvados#userAgreement",
  logs: "arvados#log",
};

export function isUuid(text: string): boolean {
  return UUID.test(text);
}

/** The infix of the uuids of a resource. */
export function infixOf(resource: Resource): string {
  return INFIX_BY_RESOURCE[resource];
}

/** The source of a regular expression that matches the uuids of a resource. */
export function uuidPattern(resource: Resource): string {
  return `[0-9a-z]{5}-${infixOf(resource)}-[0-9a-z]{15}`;
}

/** The resource that a uuid's infix names, or null for an unknown infix. The rest of the uuid is not checked. */
export function resourceOf(uuid: string): Resource | null {
  return RESOURCE_BY_INFIX[uuid.slice(6, 11) as keyof typeof RESOURCE_BY_INFIX] ?? null;
}

/** Arvados' `kind` string, e.g. `arvados#containerRequest`. */
export function kindOf(resource: Resource): string {
  return KIND_BY_RESOURCE[resource];
}

/**
 * Does Arvados take this text for a user's uuid? Its SQL compares with `_____-tpzed-_______________` and looks at no other character,
 * so rows of an old database count as users by this alone.
 */
export function isUserUuid(uuid: string): boolean {
  return uuid.length === UUID_LENGTH && uuid.startsWith("-tpzed-", 5);
}

/** The same for a group's uuid. */
export function isGroupUuid(uuid: string): boolean {
  return uuid.length === UUID_LENGTH && uuid.startsWith("-j7d0g-", 5);
}

/** The uuids that every cluster has, by the cluster's five-character id. */
export function wellKnown(clusterId: string) {
  return {
    rootUser: `${clusterId}-tpzed-000000000000000`,
    anonymousUser: `${clusterId}-tpzed-anonymouspublic`,
    systemGroup: `${clusterId}-j7d0g-000000000000000`,
    allUsersGroup: `${clusterId}-j7d0g-fffffffffffffff`,
    anonymousGroup: `${clusterId}-j7d0g-anonymouspublic`,
    publicFavorites: `${clusterId}-j7d0g-publicfavorites`,
    rootToken: `${clusterId}-gj3su-000000000000000`,
    anonymousToken: `${clusterId}-gj3su-anonymouspublic`,
  };
}
