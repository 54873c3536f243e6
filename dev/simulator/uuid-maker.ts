/** Makes what Arvados draws at random: uuids and token secrets. The source of chance comes from outside, so that a test can repeat a run. */
import { randomInt } from "node:crypto";
import { infixOf, type Resource } from "../../core/uuid.ts";

const BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz";

/** The tables whose rows have a uuid. */
export const TABLES = [
  "users",
  "groups",
  "links",
  "collections",
  "container_requests",
  "containers",
  "workflows",
  "api_client_authorizations",
  "credentials",
  "authorized_keys",
  "virtual_machines",
  "logs",
] as const satisfies readonly Resource[];

export type Table = (typeof TABLES)[number];

/** Like Math.random: in [0, 1). */
export type Random = () => number;

export type UuidMaker = {
  uuid(table: Table): string;
  /** A token's secret: 50 base-36 characters. */
  secret(): string;
};

/** Chance for secrets that must not be guessed. */
export const strongRandom: Random = () => randomInt(2 ** 47) / 2 ** 47;

export function createUuidMaker(clusterId: string, random: Random = strongRandom): UuidMaker {
  const characters = (count: number) =>
    Array.from({ length: count }, () => BASE36[Math.floor(random() * BASE36.length)]).join("");
  return {
    uuid: (table) => `${clusterId}-${infixOf(table)}-${characters(15)}`,
    secret: () => characters(50),
  };
}
