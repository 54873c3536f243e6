/**
 * Which of a service's nkeys to sign in with. Mostly there is one. While keys are being changed there are two, and servers that know only
 * the old one stand beside servers that know only the new one: the one that worked last comes first, then the other one, and after them
 * either, by chance (in turns, some servers could each be offered the wrong one for ever).
 */
import { type Authenticator, nkeyAuthenticator } from "@nats-io/nats-core";

type NkeyChoice = {
  authenticator: Authenticator;
  /** The one offered last was taken. */
  accepted(): void;
};

/** @param random of [0, 1) */
export function chooseNkey(seeds: readonly string[], random: () => number): NkeyChoice {
  const each = seeds.map((seed) => nkeyAuthenticator(new TextEncoder().encode(seed)));
  let good = 0;
  let offered = 0;
  let tries = 0;
  return {
    authenticator(nonce) {
      offered = tries < each.length ? (good + tries) % each.length : Math.floor(random() * each.length);
      tries++;
      return (each[offered] as Authenticator)(nonce);
    },
    accepted() {
      good = offered;
      tries = 0;
    },
  };
}
