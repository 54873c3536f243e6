/** Whether a manifest is what Kubernetes' API takes, as far as its schemas say. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Ajv } from "ajv";
import type { JsonSchema } from "./strict-schema.ts";

type Schemas = { definitions: Record<string, JsonSchema> };
type Named = { apiVersion?: unknown; kind?: unknown };

const FILE = fileURLToPath(new URL("kube-schemas.json", import.meta.url));

export const { definitions } = JSON.parse(readFileSync(FILE, "utf8")) as Schemas;

const ajv = new Ajv({ allErrors: true, allowUnionTypes: true, strictRequired: false });
ajv.addKeyword({
  keyword: "x-kubernetes-list-map-keys",
  type: "array",
  schemaType: "array",
  // Two entries of one name: the API server would let one win, or refuse both.
  validate: (keys: string[], list: Record<string, unknown>[]) =>
    new Set(list.map((entry) => JSON.stringify(keys.map((key) => entry[key])))).size === list.length,
  error: { message: "holds two entries of one name" },
});
ajv.addSchema({ $id: "kubernetes", definitions });

/** What is wrong with it, a line each: where, and what. */
export function schemaErrors(manifest: Named): string[] {
  const kind = `${manifest.apiVersion} ${manifest.kind}`;
  if (!definitions[kind]) return [`no schema of ${kind}: KINDS in test/helm/derive-schemas.ts`];
  const pointer = encodeURIComponent(kind.replaceAll("~", "~0").replaceAll("/", "~1"));
  const validate = ajv.getSchema(`kubernetes#/definitions/${pointer}`);
  if (!validate) throw new RangeError(`${kind} cannot be compiled`);
  if (validate(manifest)) return [];
  return (validate.errors ?? []).map(
    ({ instancePath, message, params }) => `${instancePath}: ${message} ${JSON.stringify(params)}`,
  );
}
