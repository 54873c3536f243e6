/** The part of the configuration table that holds the nkey of each service in each account it works in. */
import type { Consumer, Setting } from "./setting.ts";

/** The nkey with which one service logs in to one account. */
const nkey = (service: string, account: string, consumer: Consumer, why: string) =>
  ({
    type: "seed",
    prefix: "SU",
    env: `ARVADOS_NATS_NKEY_${service.toUpperCase()}_${account}`,
    file: `nkeys.${service}.${account}`,
    default: "",
    secret: true,
    neededBy: [consumer],
    together: `nkeys.${service}`,
    doc: `Seed of the ${service}'s nkey for account ${account}: ${why}.`,
  }) as const satisfies Setting;

export const NKEY_SETTINGS = {
  bridge: {
    CORE: nkey("bridge", "CORE", "bridge", "writes GRAPH"),
    STORE: nkey("bridge", "STORE", "bridge", "writes RECORDS and QUEUE"),
  },
  authcallout: {
    SYS: nkey("authcallout", "SYS", "authcallout", "lists and kicks sessions"),
    CORE: nkey("authcallout", "CORE", "authcallout", "answers logins, follows GRAPH"),
    APP: nkey("authcallout", "APP", "authcallout", "sends notices to APP, from account DOOR"),
  },
  gateway: {
    CORE: nkey("gateway", "CORE", "proxy", "follows GRAPH"),
    STORE: nkey("gateway", "STORE", "proxy", "reads RECORDS and LOGS"),
    APP: nkey("gateway", "APP", "proxy", "answers verbs of APP, from account DOOR"),
  },
  streams: {
    CORE: nkey("streams", "CORE", "streams", "creates and updates streams"),
    STORE: nkey("streams", "STORE", "streams", "creates and updates streams"),
  },
} as const;
