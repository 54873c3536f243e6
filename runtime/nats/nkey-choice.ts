/**
 * Which of a service's nkeys to log in with. Usually there is one. During a change of keys there are two, and some servers know only the
 * old one while others know only the new one. The nkey that worked last is offered first, then the other one, then either of them at
 * random (in turns, some servers could be offered the wrong one for ever).
 */
import { type Authenticator, nkeyAuthenticator } from "@nats-io/nats-core";

type NkeyChoice = {
  authenticator: Authenticator;
  /** The server accepted the nkey that was offered last. */
  accepted(): void;
};

/** @param random in [0, 1) */
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
