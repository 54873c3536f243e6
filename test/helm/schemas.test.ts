/** Every manifest against strict schemas of the API that takes it; and that a wrong manifest is found. `npm run test:kube` asks a real API server. */

import assert from "node:assert/strict";
import { generateKeys } from "../../streams-config/keys.ts";
import { keysSecret } from "../../streams-config/keys-manifest.ts";
import { MATRIX, manifestsOf, renderedMatrix } from "../support/chart/helm.ts";
import { schemaErrors } from "./kube-schemas.ts";

/** Fields whose keys people choose. */
const FREE = ["labels", "annotations", "data", "stringData", "matchLabels", "selector", "nodeSelector"];
const QUANTITIES = ["requests", "limits"];

// biome-ignore lint/suspicious/noExplicitAny: manifests are broken here in places that their type does not name.
type Loose = any;

describe("the schemas of Kubernetes' API", () => {
  const { of, every } = renderedMatrix();

  for (const name of MATRIX) {
    it(`find nothing wrong with ${name}-values.yaml`, () => {
      const manifests = of(name);
      assert.ok(manifests.length > 5);
      for (const manifest of manifests)
        assert.deepEqual(schemaErrors(manifest), [], `${manifest.kind} ${manifest.metadata.name}`);
    });
  }

  it("find nothing wrong with the Secret that `arvados-nats keys` makes", () => {
    assert.deepEqual(schemaErrors(keysSecret(generateKeys(), { name: "keys" })), []);
  });

  /** A copy of the first of a kind in a values file, broken. */
  function broken(values: string, kind: string, breaks: (manifest: Loose) => void): string[] {
    const found = of(values).find((manifest) => manifest.kind === kind);
    assert.ok(found, kind);
    const copy = structuredClone(found);
    breaks(copy);
    return schemaErrors(copy);
  }
  const container = (manifest: Loose) => manifest.spec.template.spec.containers[0];

  const wrong: [what: string, values: string, kind: string, breaks: (manifest: Loose) => void, says: RegExp][] = [
    ["a misspelt field", "bare", "Deployment", (m) => (container(m).imagePullpolicy = "Always"), /imagePullpolicy/],
    ["a field in the wrong place", "bare", "Deployment", (m) => (m.spec.containers = []), /spec: .*containers/],
    ["a number for a text", "bare", "Deployment", (m) => (container(m).env[0].value = 1), /env\/0\/value: must be str/],
    ["a text for a number", "bare", "Deployment", (m) => (m.spec.replicas = "2"), /replicas: must be integer/],
    ["a text for true", "bare", "Pod", (m) => (m.spec.enableServiceLinks = "no"), /enableServiceLinks: must be bool/],
    ["a number for a value", "bare", "ConfigMap", (m) => (m.data.port = 80), /data\/port: must be string/],
    ["null for a value", "bare", "Deployment", (m) => (container(m).args = null), /args: must be array/],
    ["an object for a list", "tryout", "Role", (m) => (m.rules = {}), /rules: must be array/],
    ["a container without a name", "bare", "Pod", (m) => delete m.spec.containers[0].name, /required property 'name'/],
    ["a missing selector", "bare", "Deployment", (m) => delete m.spec.selector, /required property 'selector'/],
    ["missing metadata", "bare", "Service", (m) => delete m.metadata, /required property 'metadata'/],
    ["a probe without a port", "bare", "Deployment", (m) => delete container(m).livenessProbe.httpGet.port, /'port'/],
    [
      "a missing target",
      "everything",
      "HorizontalPodAutoscaler",
      (m) => delete m.spec.scaleTargetRef,
      /'scaleTargetRef'/,
    ],
    [
      "a unit that there is not",
      "bare",
      "Deployment",
      (m) => (container(m).resources.limits.memory = "1GB"),
      /limits\/memory/,
    ],
    [
      "a name that DNS does not take",
      "bare",
      "Service",
      (m) => (m.metadata.name = "Bad_Name"),
      /metadata\/name: must match/,
    ],
    ["a label that is too long", "bare", "Service", (m) => (m.metadata.labels.a = "a".repeat(64)), /labels\/a.*63/],
    ["a label with a +", "bare", "Service", (m) => (m.metadata.labels.a = "0.1.0+1"), /labels\/a: must match/],
    ["a variable twice", "bare", "Deployment", (m) => container(m).env.push(container(m).env[0]), /env: .*one name/],
    ["a port twice", "bare", "Service", (m) => m.spec.ports.push({ ...m.spec.ports[0], name: "b" }), /ports: .*one na/],
    [
      "a version that is gone",
      "everything",
      "HorizontalPodAutoscaler",
      (m) => (m.apiVersion = "autoscaling/v2beta2"),
      /no sch/,
    ],
    ["a status, which is the server's", "bare", "Deployment", (m) => (m.status = {}), /status/],
    ["a misspelt field", "everything", "ServiceMonitor", (m) => (m.spec.endpoints[0].intervall = "1s"), /intervall/],
    [
      "what is no duration",
      "everything",
      "ServiceMonitor",
      (m) => (m.spec.endpoints[0].interval = "ten"),
      /interval: must m/,
    ],
    [
      "an alert without an expression",
      "everything",
      "PrometheusRule",
      (m) => delete m.spec.groups[0].rules[0].expr,
      /'expr'/,
    ],
    [
      "a match that there is not",
      "everything",
      "HTTPRoute",
      (m) => (m.spec.rules[0].matches[0].path.type = "Glob"),
      /allowed val/,
    ],
    [
      "a timeout without a unit",
      "everything",
      "HTTPRoute",
      (m) => (m.spec.rules[0].timeouts.request = "0"),
      /request: must ma/,
    ],
  ];
  for (const [what, values, kind, breaks, says] of wrong) {
    it(`find ${what} in a ${kind}`, () => {
      assert.match(broken(values, kind, breaks).join("\n"), says);
    });
  }

  it("find a field that nobody knows, wherever in any manifest it stands", () => {
    let tried = 0;
    for (const manifest of every()) {
      const copy: Loose = structuredClone(manifest);
      for (const [path, object] of objectsIn(copy, "")) {
        object.nobodyKnowsMe = 1;
        assert.notDeepEqual(schemaErrors(copy), [], `${manifest.kind} ${manifest.metadata.name}${path}`);
        delete object.nobodyKnowsMe;
        tried++;
      }
      assert.deepEqual(schemaErrors(copy), []);
    }
    assert.ok(tried > 1_000, `${tried} places`);
  });

  it("are not even asked where a key stands twice", () => {
    assert.throws(() => manifestsOf("kind: Service\nspec: { type: ClusterIP, type: NodePort }\n"), /unique/);
  });
});

/** Every object in it whose fields the API names. */
function* objectsIn(node: Loose, path: string): Generator<[path: string, object: Loose]> {
  if (typeof node !== "object" || node === null) return;
  const name = path.split("/").at(-1) ?? "";
  // In a NetworkPolicy and a PodDisruptionBudget `selector` has fields, in a Service people choose them: those are left out, too.
  if (FREE.includes(name)) return;
  if (!Array.isArray(node) && !QUANTITIES.includes(name)) yield [path, node];
  for (const [key, child] of Object.entries(node)) yield* objectsIn(child, `${path}/${key}`);
}
