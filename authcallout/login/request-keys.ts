/** Reads the callout's keys from its configuration. */
import { fault } from "../../core/errors.ts";
import { publicKeyBytes, seedsIn, verifyingKey } from "../../core/nkey.ts";
import type { Config } from "../../runtime/config/config.ts";
import { CONFIG_TABLE, settingName } from "../../runtime/config/table.ts";
import type { RequestKeys } from "./callout-request.ts";
import { createSigner, createVerifier } from "./jwt.ts";
import { createSealer } from "./xkey.ts";

/** @throws config.invalid if an issuer has no curve key */
export function requestKeys(config: Pick<Config, "issuerSeed" | "xkeySeed" | "edgeKey" | "edgeKeyOld">): RequestKeys {
  const issuers = seedsIn(config.issuerSeed);
  const xkeys = seedsIn(config.xkeySeed);
  if (issuers.length !== xkeys.length) {
    const both = [CONFIG_TABLE.issuerSeed, CONFIG_TABLE.xkeySeed].map((setting) => settingName(setting)).join(" and ");
    throw fault("config.invalid", { count: 1, list: `  ${both}: one holds more seeds than the other` });
  }
  return {
    pairs: issuers.map((issuer, place) => ({
      signer: createSigner("account", issuer),
      sealer: createSealer(xkeys[place] ?? ""),
    })),
    verifier: createVerifier("server"),
    edges: [config.edgeKey, config.edgeKeyOld]
      .filter((key) => key !== "")
      .map((key) => verifyingKey(publicKeyBytes("user", key))),
  };
}
