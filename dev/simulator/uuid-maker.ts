/** Makes what Arvados draws at random: uuids and token secrets. The random source is an argument, so that a test can repeat a run. */
import { randomInt } from "node:crypto";

const BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz";

/** The five characters in the middle of a uuid, by table. */
export const INFIX = {
  users: "tpzed",
  groups: "j7d0g",
  links: "o0j2j",
  collections: "4zz18",
  container_requests: "xvhdp",
  containers: "dz642",
  workflows: "7fd4e",
  api_client_authorizations: "gj3su",
  credentials: "oss07",
  authorized_keys: "fngyi",
  virtual_machines: "2x53u",
  logs: "57u5n",
} as const;

/** A table whose rows have a uuid. */
export type Table = keyof typeof INFIX;

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
    uuid: (table) => `${clusterId}-${INFIX[table]}-${characters(15)}`,
    secret: () => characters(50),
  };
}
