/** The keys of an installation in the two forms in which they are kept: a Kubernetes Secret, and environment files for plain hosts. Pure. */

import { publicVariables, seedVariables, seedVariablesBeside, type Variables } from "./key-variables.ts";
import { publicKeys, type ServiceKeys } from "./keys.ts";

export type SecretManifest = {
  apiVersion: "v1";
  kind: "Secret";
  metadata: { name: string; namespace?: string; labels: Record<string, string> };
  type: "Opaque";
  stringData: Variables;
};

type SecretPlace = { name: string; namespace?: string };

/**
 * All keys: seeds for our services, public keys for nats-server. One object, so that it exists completely or not at all.
 * @param inUse seeds that the services know as well, during a change of keys
 */
export function keysSecret(keys: ServiceKeys, place: SecretPlace, inUse?: Variables): SecretManifest {
  return secret(place, { ...seedsOf(keys, inUse), ...forServerConf(publicVariables(publicKeys(keys))) });
}

/** The public keys alone: for a nats-server in another namespace, which no seed needs to reach. */
export function publicKeysSecret(keys: ServiceKeys, place: SecretPlace): SecretManifest {
  return secret(place, forServerConf(publicVariables(publicKeys(keys))));
}

/** YAML documents. JSON strings are YAML strings, so no value is taken for a number, a date or a boolean. */
export function formatManifests(manifests: readonly SecretManifest[]): string {
  return manifests.map(formatManifest).join("---\n");
}

/** One environment file for each program, with its own keys and no other's, for systemd's EnvironmentFile. By file name. */
export function keysEnvironmentFiles(keys: ServiceKeys, inUse?: Variables): Record<string, string> {
  const publics = publicVariables(publicKeys(keys));
  const known = Object.entries({ ...seedsOf(keys, inUse), ...publics });
  const ours = Object.entries(PROGRAM_KEYS).map(([program, pattern]) => [
    `${program}.env`,
    environmentFile(known.filter(([name]) => pattern.test(name))),
  ]);
  return {
    ...Object.fromEntries(ours),
    "nats-server.env": environmentFile(Object.entries(publics)),
  };
}

function seedsOf(keys: ServiceKeys, inUse: Variables | undefined): Variables {
  return inUse === undefined ? seedVariables(keys) : seedVariablesBeside(keys, inUse);
}

/** Which program takes which keys. */
const PROGRAM_KEYS = {
  bridge: /_NKEY_BRIDGE_/,
  authcallout: /_NKEY_AUTHCALLOUT_|_(ISSUER|XKEY)_SEED$|_PUBLIC_EDGE(_OLD)?$/,
  proxy: /_NKEY_GATEWAY_|_EDGE_SEED$/,
  streams: /_NKEY_STREAMS_/,
} as const;

/** Without quotes: systemd would take them away, and neither an nkey nor a space between two needs any. */
function environmentFile(variables: readonly (readonly [name: string, value: string])[]): string {
  return variables.map(([name, value]) => `${name}=${value}\n`).join("");
}

/**
 * nats-server parses a variable's value as configuration: `12345` would be a number and `true` a boolean, and a space or a quote
 * would break its start. So the quotes are part of the value.
 */
function forServerConf(variables: Variables): Variables {
  return Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, quotedForServer(value)]));
}

/** A string of nats-server's configuration language. */
export function quotedForServer(value: string): string {
  if (value.trim() === "") throw new RangeError("an empty value would admit everybody");
  if (/["\\\p{Cc}]/u.test(value)) throw new RangeError("a value with quotes, backslashes or control characters");
  return `"${value}"`;
}

function secret({ name, namespace }: SecretPlace, stringData: Variables): SecretManifest {
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      labels: { "app.kubernetes.io/name": "arvados-nats", "app.kubernetes.io/component": "keys" },
    },
    type: "Opaque",
    stringData,
  };
}

function formatManifest({ metadata, stringData, type }: SecretManifest): string {
  const pairs = (values: Variables) =>
    Object.entries(values).map(([name, value]) => `${name}: ${JSON.stringify(value)}`);
  return `${[
    "apiVersion: v1",
    "kind: Secret",
    "metadata:",
    `  name: ${JSON.stringify(metadata.name)}`,
    ...(metadata.namespace === undefined ? [] : [`  namespace: ${JSON.stringify(metadata.namespace)}`]),
    "  labels:",
    ...pairs(metadata.labels).map((line) => `    ${line}`),
    `type: ${type}`,
    "stringData:",
    ...pairs(stringData).map((line) => `  ${line}`),
  ].join("\n")}\n`;
}
