/** Groups: projects, which hold things, and roles, which hold people. */
import { actorOf, type By, makerOf, type Uuid } from "./actor.ts";
import { createRow, updateRow } from "./audit-log.ts";
import { createPermission } from "./links.ts";
import type { Transaction } from "./transaction.ts";

type NewProject = By & {
  name: string;
  /** A user or another project. */
  owner: string;
  description?: string;
  properties?: Record<string, unknown>;
};

export async function createProject(tx: Transaction, project: NewProject): Promise<Uuid> {
  const by = makerOf(tx, project);
  const row = await createRow(
    tx,
    "groups",
    {
      owner_uuid: project.owner,
      name: project.name,
      description: project.description,
      group_class: "project",
      properties: project.properties ?? {},
    },
    by,
  );
  return { uuid: row.need("uuid") };
}

/** A role belongs to root; the user who creates it gets a can_manage link. */
export async function createRole(tx: Transaction, role: By & { name: string }): Promise<Uuid> {
  const by = actorOf(tx, role);
  const row = await createRow(
    tx,
    "groups",
    { owner_uuid: tx.known.rootUser, name: role.name, group_class: "role", properties: {} },
    by,
  );
  const uuid = row.need("uuid");
  if (by !== tx.known.rootUser) await createPermission(tx, { tail: by, head: uuid, level: "can_manage", by });
  return { uuid };
}

/** Freezes a project: nobody changes it or what is below it, and trash in it disappears from view. */
export async function freeze(tx: Transaction, project: string, options: By = {}): Promise<Uuid> {
  const by = actorOf(tx, options);
  await updateRow(tx, "groups", project, { frozen_by_uuid: by }, by);
  return { uuid: project };
}

export async function unfreeze(tx: Transaction, project: string, options: By = {}): Promise<Uuid> {
  await updateRow(tx, "groups", project, { frozen_by_uuid: null }, actorOf(tx, options));
  return { uuid: project };
}
