/** The user in whose name an operation runs. The simulator checks no permissions. */
import { isUserUuid } from "../../core/uuid.ts";
import type { Transaction } from "./transaction.ts";

export type By = {
  /** Uuid of the acting user; default root. */
  by?: string;
};

/** What every operation tells: the uuid of the object it made or changed. */
export type Uuid = { uuid: string };

export function actorOf(tx: Transaction, options: By): string {
  return options.by ?? tx.known.rootUser;
}

/** Who makes an object, where nobody is named: its owner, if that is a user. */
export function makerOf(tx: Transaction, { owner, by }: By & { owner: string }): string {
  return by ?? (isUserUuid(owner) ? owner : tx.known.rootUser);
}
