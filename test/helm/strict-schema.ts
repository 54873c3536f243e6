/**
 * Kubernetes' published schemas as strict JSON schemas: a field that the API does not have is an error, as with `fieldValidation=Strict`, and so is
 * a null, which the API would take for "not set". Pure.
 */

export type JsonSchema = {
  $ref?: string;
  type?: string | string[];
  format?: string;
  pattern?: string;
  properties?: Record<string, JsonSchema>;
  additionalProperties?: boolean | JsonSchema;
  required?: string[];
  items?: JsonSchema;
  enum?: unknown[];
  "x-kubernetes-group-version-kind"?: { group: string; version: string; kind: string }[];
  [word: string]: unknown;
};
export type Definitions = Record<string, JsonSchema>;

/** Words of JSON Schema that say something about a value. `x-kubernetes-list-map-keys` is one of Kubernetes', for lists without doubles. */
const VALUES = [
  ...["$ref", "type", "enum", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"],
  ...["minProperties", "maxProperties", "required", "uniqueItems", "x-kubernetes-list-map-keys"],
];
const LISTS_OF_SCHEMAS = ["allOf", "anyOf", "oneOf"];

/** What the API server checks and its schema does not say. */
const LABEL_VALUE = { type: "string", maxLength: 63, pattern: "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$" };
const OVERRIDES: Readonly<Record<string, JsonSchema>> = {
  "io.k8s.apimachinery.pkg.util.intstr.IntOrString": { type: ["integer", "string"] },
  "io.k8s.apimachinery.pkg.api.resource.Quantity": {
    type: ["number", "string"],
    pattern: "^[+-]?([0-9]+|[0-9]+\\.[0-9]*|\\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$",
  },
  // What somebody writes of it; the rest is the server's.
  "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta": {
    type: "object",
    properties: {
      name: {
        type: "string",
        maxLength: 253,
        pattern: "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
      },
      namespace: { type: "string", maxLength: 63, pattern: "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$" },
      labels: { type: "object", additionalProperties: LABEL_VALUE },
      annotations: { type: "object", additionalProperties: { type: "string" } },
    },
    additionalProperties: false,
  },
  "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector": {
    type: "object",
    properties: {
      matchLabels: { type: "object", additionalProperties: LABEL_VALUE },
      matchExpressions: {
        type: "array",
        items: { $ref: "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement" },
      },
    },
    additionalProperties: false,
  },
};

export function strictDefinition(schema: JsonSchema): JsonSchema {
  const strict: JsonSchema = {};
  for (const word of VALUES) if (schema[word] !== undefined) strict[word] = schema[word];
  if (schema.pattern !== undefined) strict.pattern = portable(schema.pattern);
  for (const word of LISTS_OF_SCHEMAS)
    if (schema[word]) strict[word] = (schema[word] as JsonSchema[]).map((part) => strictPart(part));
  if (schema.items) strict.items = strictDefinition(schema.items);
  if (schema["x-kubernetes-list-type"] === "set") strict.uniqueItems = true;
  if (schema["x-kubernetes-int-or-string"] || schema.format === "int-or-string") {
    strict.type = ["integer", "string"];
    delete strict.anyOf;
  }
  if (schema.properties) {
    const properties = Object.entries(schema.properties).map(([name, part]) => [name, strictDefinition(part)] as const);
    strict.properties = Object.fromEntries(properties);
  }
  const { additionalProperties } = schema;
  if (typeof additionalProperties === "object") strict.additionalProperties = strictDefinition(additionalProperties);
  else if (schema.properties && !schema["x-kubernetes-preserve-unknown-fields"]) strict.additionalProperties = false;
  return strict;
}

/** Go's `(?i)` in the words of every dialect. */
function portable(pattern: string): string {
  if (!pattern.includes("(?i)")) return pattern;
  if (/[\\[]/.test(pattern)) throw new RangeError(`${pattern}: letters stand beside classes`);
  return pattern.replace("(?i)", "").replace(/[a-z]/gi, (letter) => `[${letter.toLowerCase()}${letter.toUpperCase()}]`);
}

/** One of several conditions on the same value: it names some of the fields only. */
function strictPart(schema: JsonSchema): JsonSchema {
  const strict = strictDefinition(schema);
  if (strict.additionalProperties === false) delete strict.additionalProperties;
  return strict;
}

/** What the schemas refer to, and what that refers to. */
export function withReferences(schemas: Definitions, all: Definitions): Definitions {
  const found: Definitions = {};
  const look = (node: unknown): void => {
    if (typeof node !== "object" || node === null) return;
    const { $ref } = node as JsonSchema;
    const name = typeof $ref === "string" ? $ref.replace("#/definitions/", "") : undefined;
    if (name !== undefined && !found[name]) {
      const definition = all[name];
      if (!definition) throw new RangeError(`${name} is not defined`);
      found[name] = OVERRIDES[name] ?? strictDefinition(definition);
      look(found[name]);
    }
    for (const part of Object.values(node)) look(part);
  };
  look(schemas);
  return found;
}
