/** Collections: files in Keep, here nothing but their manifest. */
import { createHash } from "node:crypto";
import { type By, makerOf, type Uuid } from "./actor.ts";
import { createRow, findRow, updateRow } from "./audit-log.ts";
import type { Transaction } from "./transaction.ts";
import type { ColumnValues, TypedRow } from "./typed-row.ts";

type Content = {
  /** Lines `<folder> <block>... <position>:<size>:<file>...` without block signatures. */
  manifestText?: string;
  properties?: Record<string, unknown>;
};

type NewCollection = By &
  Content & {
    uuid?: string;
    name: string;
    owner: string;
  };

export async function createCollection(tx: Transaction, collection: NewCollection): Promise<Uuid> {
  const uuid = collection.uuid ?? tx.uuids.uuid("collections");
  const values: ColumnValues = {
    uuid,
    owner_uuid: collection.owner,
    name: collection.name,
    properties: collection.properties ?? {},
    current_version_uuid: uuid,
    version: 1,
    ...contentOf(collection.manifestText ?? ""),
  };
  await createRow(tx, "collections", values, makerOf(tx, collection));
  return { uuid };
}

type CollectionChanges = By &
  Content & {
    name?: string;
    description?: string | null;
    /** As with Collections.CollectionVersioning: the old content stays as a row of its own, which root creates (logged). */
    keepVersion?: boolean;
  };

export async function updateCollection(tx: Transaction, uuid: string, changes: CollectionChanges): Promise<Uuid> {
  const old = await findRow(tx, "collections", uuid);
  const version = Number(old.need("version"));
  const values: ColumnValues = {
    name: changes.name,
    description: changes.description,
    properties: changes.properties,
    ...(changes.manifestText === undefined ? {} : contentOf(changes.manifestText)),
    ...(changes.keepVersion ? { version: version + 1 } : {}),
  };
  await updateRow(tx, "collections", uuid, values, makerOf(tx, { owner: old.need("owner_uuid"), ...changes }));
  if (changes.keepVersion) await createRow(tx, "collections", pastVersion(old), tx.known.rootUser);
  return { uuid };
}

/** The row that keeps an earlier version of a collection: a uuid of its own, everything else as it was. */
function pastVersion(old: TypedRow): ColumnValues {
  const own = new Set(["id", "uuid", "created_at", "updated_at", "modified_at", "modified_by_user_uuid"]);
  return Object.fromEntries(old.columns.filter(({ name }) => !own.has(name)).map(({ name }) => [name, old.get(name)]));
}

/** What follows from a manifest: its hash, and its files' names, number and size. */
function contentOf(manifestText: string): ColumnValues {
  const files = manifestText
    .split(/\s+/)
    .map((word) => /^\d+:(\d+):(.+)$/.exec(word))
    .filter((file) => file !== null);
  return {
    manifest_text: manifestText,
    portable_data_hash: portableDataHash(manifestText),
    file_names: files.map((file) => file[2]).join("\n"),
    file_count: files.length,
    file_size_total: files.reduce((sum, file) => sum + Number(file[1]), 0),
  };
}

/** `<md5 of the manifest>+<its bytes>`: the address of a content. */
export function portableDataHash(manifestText: string): string {
  return `${createHash("md5").update(manifestText).digest("hex")}+${Buffer.byteLength(manifestText)}`;
}

/** A manifest of one file of this content. */
export function manifestOf(file: string, content: string): string {
  const size = Buffer.byteLength(content);
  const block = createHash("md5").update(content).digest("hex");
  return `. ${block}+${size} 0:${size}:${file}\n`;
}
