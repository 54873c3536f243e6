/** Makes what Arvados draws at random: uuids and token secrets. The random source is an argument, so that a test can repeat a run. */
import { randomInt } from "node:crypto";
import { infixOf, type Resource } from "../../core/uuid.ts";

const BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz";

/** The tables whose rows have a uuid. */
export const SIMULATED_TABLES = [
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

export type Table = (typeof SIMULATED_TABLES)[number];

export type UuidMaker = {
  uuid(table: Table): string;
  /** A token's secret: 50 base-36 characters. */
  secret(): string;
};

/** In [0, 1), for secrets that must not be guessed. */
const strongRandom = () => randomInt(2 ** 47) / 2 ** 47;

/** @param random in [0, 1), as `Math.random` */
export function createUuidMaker(clusterId: string, random: () => number = strongRandom): UuidMaker {
  const characters = (count: number) =>
    Array.from({ length: count }, () => BASE36[Math.floor(random() * BASE36.length)]).join("");
  return {
    uuid: (table) => `${clusterId}-${infixOf(table)}-${characters(15)}`,
    secret: () => characters(50),
  };
}
