/** The facts by which an object is routed: from its own row or, once that is deleted, from the last attributes in its log row. Pure. */
import type { ObjectFacts } from "../../core/graph-types.ts";
import type { Resource } from "../../core/uuid.ts";
import { type RowValues, textOrNull, utcMillis } from "../postgres/row.ts";
import { keyOf } from "../postgres/tables.ts";
import type { GraphRowSet } from "./graph-row-set.ts";
import type { Attributes } from "./log-row.ts";

export function factsOfRow(uuid: string, resource: Resource, row: RowValues, state: GraphRowSet): ObjectFacts {
  const facts: ObjectFacts = { uuid, resource, owner: textOrNull(row.owner_uuid), trashAt: utcMillis(row.trash_at) };
  if (resource === "links") {
    const head = String(row.head_uuid);
    facts.link = {
      linkClass: String(row.link_class),
      tail: String(row.tail_uuid),
      head,
      headOwner: state.row("owner", head)?.owner_uuid ?? null,
    };
  }
  if (resource === "api_client_authorizations") setTokenUser(facts, state.row("token", uuid)?.user_uuid);
  return facts;
}

/** For deletes the log row's last attributes name the owner. The caller has checked by the numeric id that the row was deleted. */
export function factsOfAttributes(uuid: string, resource: Resource, row: Attributes, state: GraphRowSet): ObjectFacts {
  const facts: ObjectFacts = { uuid, resource, owner: textOrNull(row.owner_uuid) };
  if (resource === "links") {
    facts.link = { linkClass: String(row.link_class), tail: String(row.tail_uuid), head: String(row.head_uuid) };
  }
  if (resource === "api_client_authorizations")
    setTokenUser(facts, state.uuidOf("users", keyOf("users", { id: row.user_id })));
  return facts;
}

/** Tokens have no owner column: they belong to their user. */
function setTokenUser(facts: ObjectFacts, user: string | undefined): void {
  facts.owner = user ?? null;
  if (user !== undefined) facts.tokenUser = user;
}
