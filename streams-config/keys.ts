/** The keys of one installation: the callout's two, the edge's, and one nkey for each service and account it works in. */

import { createAccount, createCurve, createUser, type KeyPair } from "@nats-io/nkeys";
import { type PerServiceUser, perServiceUser, serviceUsers } from "./accounts.ts";

export type Nkey = { public: string; seed: string };

/** Seeds and public keys. Plain data: it survives JSON. Whoever holds `issuer.seed` owns every account. */
export type ServiceKeys = {
  /** Account key that signs user JWTs. */
  issuer: Nkey;
  /** Curve key to which nats-server seals login requests. */
  xkey: Nkey;
  /** By which nats-server and authcallout recognize the edge. It does not log in with it. */
  edge: Nkey;
  users: PerServiceUser<Nkey>;
};

/** What nats-server's configuration needs: no secret in it. */
export type PublicKeys = { issuer: string; xkey: string; edge: string; users: PerServiceUser<string> };

export function generateKeys(): ServiceKeys {
  return {
    issuer: nkeyOf(createAccount()),
    xkey: nkeyOf(createCurve()),
    edge: nkeyOf(createUser()),
    users: perServiceUser(() => nkeyOf(createUser())),
  };
}

export function publicKeys(keys: ServiceKeys): PublicKeys {
  const byPlace = new Map(
    serviceUsers(keys.users).map(({ service, account, value }) => [`${service} ${account}`, value.public]),
  );
  return {
    issuer: keys.issuer.public,
    xkey: keys.xkey.public,
    edge: keys.edge.public,
    users: perServiceUser((service, account) => byPlace.get(`${service} ${account}`) as string),
  };
}

function nkeyOf(pair: KeyPair): Nkey {
  return { public: pair.getPublicKey(), seed: new TextDecoder().decode(pair.getSeed()) };
}
