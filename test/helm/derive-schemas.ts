/**
 * Writes `kube-schemas.json`: `npm run derive:schemas`, after another version in `test/support/chart/kube-modules.ts` or a new kind in the chart. Fetches
 * Kubernetes' module (20 MB) where Go does not have it; the file is committed, so that tests need neither. `npm run test:kube` says when it is out of step.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseAllDocuments } from "yaml";
import { crdFiles, goModule, KUBERNETES, KUBERNETES_MODULE, SOURCES } from "../support/chart/kube-modules.ts";
import { type Definitions, type JsonSchema, strictDefinition, withReferences } from "./strict-schema.ts";

/** The kinds that the chart and `arvados-nats keys` write, besides custom resources. */
const KINDS = [
  "v1 ConfigMap",
  "v1 Pod",
  "v1 Secret",
  "v1 Service",
  "v1 ServiceAccount",
  "apps/v1 Deployment",
  "apps/v1 StatefulSet",
  "autoscaling/v2 HorizontalPodAutoscaler",
  "batch/v1 Job",
  "networking.k8s.io/v1 Ingress",
  "networking.k8s.io/v1 NetworkPolicy",
  "policy/v1 PodDisruptionBudget",
  "rbac.authorization.k8s.io/v1 Role",
  "rbac.authorization.k8s.io/v1 RoleBinding",
];
const METADATA = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

type Swagger = { definitions: Record<string, JsonSchema> };
type CustomResourceDefinition = {
  kind: string;
  spec: {
    group: string;
    names: { kind: string };
    versions: { name: string; schema: { openAPIV3Schema: JsonSchema } }[];
  };
};

export const SCHEMAS_FILE = fileURLToPath(new URL("kube-schemas.json", import.meta.url));

export async function deriveSchemas(): Promise<string> {
  const folder = await goModule(KUBERNETES_MODULE, KUBERNETES);
  const swagger = JSON.parse(readFileSync(join(folder, "api/openapi-spec/swagger.json"), "utf8")) as Swagger;
  const kinds: Definitions = {};
  for (const definition of Object.values(swagger.definitions)) {
    for (const { group, version, kind } of definition["x-kubernetes-group-version-kind"] ?? []) {
      const name = `${group ? `${group}/` : ""}${version} ${kind}`;
      if (KINDS.includes(name)) kinds[name] = manifest(name, strictDefinition(definition));
    }
  }
  for (const file of await crdFiles()) {
    for (const document of parseAllDocuments(readFileSync(file, "utf8"))) {
      const { kind, spec } = document.toJS() as CustomResourceDefinition;
      if (kind !== "CustomResourceDefinition") continue;
      for (const { name: version, schema } of spec.versions) {
        const name = `${spec.group}/${version} ${spec.names.kind}`;
        kinds[name] = manifest(name, strictDefinition(schema.openAPIV3Schema));
      }
    }
  }
  const missing = KINDS.filter((kind) => !kinds[kind]);
  if (missing.length > 0) throw new RangeError(`Kubernetes ${KUBERNETES} has no ${missing.join(", ")}`);
  return format({ ...kinds, ...withReferences(kinds, swagger.definitions) });
}

/** What a person writes of an object: nothing of what the server adds. */
function manifest(name: string, schema: JsonSchema): JsonSchema {
  const [apiVersion, kind] = name.split(" ");
  const { status: _, ...properties } = schema.properties ?? {};
  return {
    ...schema,
    properties: {
      ...properties,
      apiVersion: { enum: [apiVersion] },
      kind: { enum: [kind] },
      metadata: { $ref: `#/definitions/${METADATA}` },
    },
    required: [...new Set([...(schema.required ?? []), "apiVersion", "kind", "metadata"])],
  };
}

/** A line per definition, so that a diff of two versions can be read. */
function format(definitions: Definitions): string {
  const lines = Object.entries(definitions)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, schema]) => `${JSON.stringify(name)}: ${JSON.stringify(schema)}`);
  const comment = `Derived by \`npm run derive:schemas\` from ${SOURCES}, all of them under the Apache License 2.0: not to be edited.`;
  return `{\n"$comment": ${JSON.stringify(comment)},\n"definitions": {\n${lines.join(",\n")}\n}\n}\n`;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const text = await deriveSchemas();
  writeFileSync(SCHEMAS_FILE, text);
  process.stdout.write(`${SCHEMAS_FILE}: ${(text.length / 1024).toFixed(0)} KiB\n`);
}
