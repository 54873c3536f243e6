/**
 * The names of the variables that hold the keys of an installation: seeds in the environment of our services, public keys in that of nats-server,
 * whose configuration (`$NAME`) reads them from there. The same names are the keys of the Kubernetes Secret.
 */

import { fromSeed } from "@nats-io/nkeys";
import { fault } from "../core/errors.ts";
import { seedsIn } from "../core/nkey.ts";
import { perServiceUser, serviceUsers } from "./accounts.ts";
import type { PublicKeys, ServiceKeys } from "./keys.ts";

export type Variables = Readonly<Record<string, string>>;

const PUBLIC = "ARVADOS_NATS_PUBLIC";

/** Seeds, as `runtime/config/table.ts` names them. */
export function seedVariables(keys: ServiceKeys): Variables {
  const users = serviceUsers(keys.users).map(
    ({ service, account, value }) => [`ARVADOS_NATS_NKEY_${service.toUpperCase()}_${account}`, value.seed] as const,
  );
  return filled({
    ARVADOS_NATS_ISSUER_SEED: keys.issuer.seed,
    ARVADOS_NATS_XKEY_SEED: keys.xkey.seed,
    ARVADOS_NATS_EDGE_SEED: keys.edge.seed,
    ...Object.fromEntries(users),
  });
}

/**
 * The same during a change of keys: each new seed with the one in use, and the edge's previous public key. Services then work with
 * nats-servers of either configuration.
 * @throws keys.incomplete
 */
export function seedVariablesBeside(keys: ServiceKeys, inUse: Variables): Variables {
  const seeds = seedVariables(keys);
  const lacking = Object.keys(seeds).filter((name) => !inUse[name]?.trim());
  if (lacking.length > 0) throw fault("keys.incomplete", { missing: lacking.join(", ") });
  const old = (name: string) => seedsIn(inUse[name] ?? "")[0];
  const both = Object.entries(seeds).map(([name, seed]) => [name, `${seed} ${old(name)}`] as const);
  const edge = fromSeed(new TextEncoder().encode(old("ARVADOS_NATS_EDGE_SEED"))).getPublicKey();
  return { ...Object.fromEntries(both), [`${publicKeyNames().edge}_OLD`]: edge };
}

/** Public keys: not secret, but they must be those of the seeds. */
export function publicVariables(keys: PublicKeys): Variables {
  const { issuer, xkey, edge, users } = publicKeyNames();
  const names = serviceUsers(users);
  const ofUsers = serviceUsers(keys.users).map(({ value }, place) => [names[place]?.value ?? "", value] as const);
  return filled({
    [issuer]: keys.issuer,
    [xkey]: keys.xkey,
    [edge]: keys.edge,
    ...Object.fromEntries(ofUsers),
  });
}

/** The name of the variable in place of each public key. */
export function publicKeyNames(): PublicKeys {
  return {
    issuer: `${PUBLIC}_ISSUER`,
    xkey: `${PUBLIC}_XKEY`,
    edge: `${PUBLIC}_EDGE`,
    users: perServiceUser((service, account) => `${PUBLIC}_${service.toUpperCase()}_${account}`),
  };
}

/** `$NAME` in place of each public key: what nats-server's configuration holds where its environment has the keys. */
export function publicKeyReferences(): PublicKeys {
  const names = publicKeyNames();
  const users = new Map(serviceUsers(names.users).map(({ service, account, value }) => [service + account, value]));
  return {
    issuer: `$${names.issuer}`,
    xkey: `$${names.xkey}`,
    edge: `$${names.edge}`,
    users: perServiceUser((service, account) => `$${users.get(service + account)}`),
  };
}

/** nats-server accepts an empty value as an empty key or password, and would then admit a client that sends none. */
function filled(variables: Variables): Variables {
  const empty = Object.keys(variables).find((name) => variables[name]?.trim() === "");
  if (empty !== undefined) throw new RangeError(`${empty} is empty`);
  return variables;
}
