/** Who may talk to whom by the chart's NetworkPolicies, worked out as a cluster's network would. */

import assert from "node:assert/strict";
import { type Manifest, type ManifestContainer, podsOf, renderedMatrix } from "../support/chart/helm.ts";

type Port = { protocol: string; port: number | string };
type Peer = { podSelector?: { matchLabels: Record<string, string> }; namespaceSelector?: object };
type Policy = {
  podSelector: { matchLabels: Record<string, string> };
  policyTypes: ("Ingress" | "Egress")[];
  ingress?: { ports?: Port[]; from?: Peer[] }[];
  egress?: { ports?: Port[]; to?: Peer[] }[];
};
/** `labels` null: something outside of the release. */
type End = { labels: Record<string, string> | null; ports: { name: string; containerPort: number }[] };

const COMPONENT = "app.kubernetes.io/component";
const OUTSIDE: End = { labels: null, ports: [] };

describe("the chart's network policies", () => {
  const { of } = renderedMatrix();

  function world(manifests: Manifest[]): { may: (from: string, to: string, port: number) => boolean } {
    const policies = manifests
      .filter(({ kind }) => kind === "NetworkPolicy")
      .map(({ spec }) => spec as unknown as Policy);
    const ends = new Map(
      podsOf(manifests).map(({ owner, pod }) => {
        const ports = pod.containers.flatMap((container: ManifestContainer) => container.ports ?? []);
        return [owner.metadata.labels[COMPONENT] ?? "", { labels: owner.metadata.labels, ports }] as const;
      }),
    );
    const endOf = (name: string): End => {
      const end = name === "outside" ? OUTSIDE : ends.get(name);
      assert.ok(end, name);
      return end;
    };
    return {
      may: (from, to, port) => {
        const [source, target] = [endOf(from), endOf(to)];
        const leaves = passes("Egress", source, target, port, target);
        return leaves && passes("Ingress", target, source, port, target);
      },
    };

    /** What no policy of a direction selects is open in it; else one rule must match. */
    function passes(type: "Ingress" | "Egress", own: End, other: End, port: number, target: End): boolean {
      const selecting = policies.filter(
        ({ podSelector, policyTypes }) => policyTypes.includes(type) && selects(podSelector, own),
      );
      if (selecting.length === 0) return true;
      const rules = selecting.flatMap(({ ingress = [], egress = [] }) =>
        type === "Ingress"
          ? ingress.map(({ ports, from }) => ({ ports, peers: from }))
          : egress.map(({ ports, to }) => ({ ports, peers: to })),
      );
      return rules.some(
        ({ ports, peers }) =>
          (!ports || ports.some((one) => one.protocol === "TCP" && numberOf(one.port, target) === port)) &&
          (!peers || peers.some((peer) => !peer.namespaceSelector && selects(peer.podSelector, other))),
      );
    }
  }

  /** `everything`'s metrics and proxy are for other namespaces, which are outside here. */
  const TALKS: readonly [from: string, to: string, port: number, may: boolean][] = [
    ["bridge", "nats", 4222, true],
    ["authcallout", "nats", 4222, true],
    ["proxy", "nats", 4222, true],
    ["proxy", "nats", 8080, true],
    ["streams", "nats", 4222, true],
    ["setup-db", "nats", 4222, false],
    ["keys", "nats", 4222, false],
    ["test", "nats", 4222, false],
    ["outside", "nats", 4222, false],
    // Browsers come through the proxy only.
    ["outside", "nats", 8080, false],
    ["bridge", "nats", 8080, false],
    ["outside", "nats", 8222, false],
    ["proxy", "nats", 8222, false],
    ["test", "proxy", 8470, true],
    ["outside", "proxy", 8470, true],
    ["bridge", "proxy", 8470, false],
    ["outside", "bridge", 8471, true],
    ["outside", "authcallout", 8472, true],
    ["outside", "proxy", 8473, true],
    ["proxy", "bridge", 8471, false],
    ["proxy", "authcallout", 8472, false],
    ["bridge", "outside", 5432, true],
    ["authcallout", "outside", 5432, false],
    ["proxy", "outside", 5432, false],
    ["streams", "outside", 5432, false],
    ["keys", "outside", 443, true],
    ["keys", "outside", 6443, true],
    ["keys", "outside", 5432, false],
    ["bridge", "outside", 443, false],
    ["proxy", "outside", 443, false],
    ["nats", "outside", 443, false],
    ["nats", "bridge", 8471, false],
    ["outside", "keys", 443, false],
    ["outside", "streams", 8471, false],
  ];
  for (const [from, to, port, may] of TALKS) {
    it(`${may ? "let" : "do not let"} ${from} talk to ${to} at port ${port} in a try-out`, () => {
      // setup-db has a policy there, and no pod.
      const setupDb = of("everything").filter(
        ({ kind, metadata }) => kind === "Job" && /-setup-db$/.test(metadata.name),
      );
      assert.equal(world([...of("tryout"), ...setupDb]).may(from, to, port), may);
    });
  }

  it("let an external nats-server, and what the values name, be talked to, and by nobody else", () => {
    const { may } = world(of("everything"));
    for (const service of ["bridge", "authcallout", "proxy", "streams"])
      for (const port of [4222, 8080]) assert.ok(may(service, "outside", port), `${service} ${port}`);
    assert.ok(!may("setup-db", "outside", 4222));
    const speaksToPostgres = ["bridge", "authcallout", "proxy", "streams", "setup-db"].filter((service) =>
      may(service, "outside", 5433),
    );
    assert.deepEqual(speaksToPostgres, ["bridge", "setup-db"]);
    // Prometheus' and the ingress' namespaces are named, so the rest of the world is not let in; `helm test` is.
    for (const [service, port] of [
      ["bridge", 8471],
      ["authcallout", 8472],
      ["proxy", 8473],
      ["proxy", 8470],
    ] as const)
      assert.ok(!may("outside", service, port), `${service} ${port}`);
    assert.ok(may("test", "proxy", 8470));
    const named = of("everything").filter(
      ({ kind, spec }) => kind === "NetworkPolicy" && /"monitoring"/.test(JSON.stringify(spec?.ingress)),
    );
    assert.deepEqual(
      named.map(({ metadata }) => metadata.labels[COMPONENT]),
      ["bridge", "authcallout", "proxy"],
    );
  });

  it("are there for every kind of pod but the test's, or not at all", () => {
    for (const name of ["tryout", "everything"]) {
      const components = new Set(podsOf(of(name)).map(({ owner }) => owner.metadata.labels[COMPONENT]));
      const covered = of(name)
        .filter(({ kind }) => kind === "NetworkPolicy")
        .map(({ metadata }) => metadata.labels[COMPONENT]);
      assert.deepEqual(
        [...components].filter((component) => !covered.includes(component)),
        ["test"],
        name,
      );
    }
    assert.ok(!of("bare").some(({ kind }) => kind === "NetworkPolicy"));
    assert.ok(world(of("bare")).may("outside", "nats", 4222));
  });
});

function selects(selector: Peer["podSelector"], { labels }: End): boolean {
  if (!selector || labels === null) return false;
  return Object.entries(selector.matchLabels).every(([name, value]) => labels[name] === value);
}

/** A name is looked up at the pod that is talked to. */
function numberOf(port: number | string, { ports }: End): number | undefined {
  return typeof port === "number" ? port : ports.find(({ name }) => name === port)?.containerPort;
}
