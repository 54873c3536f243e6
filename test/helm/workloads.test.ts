/** How the chart's pods are rolled, scaled, placed, ended and reached from outside. */

import assert from "node:assert/strict";
import { DRAIN_MS, RELEASE_MS } from "../../runtime/lifecycle.ts";
import {
  findManifest,
  MATRIX,
  type Manifest,
  type ManifestContainer,
  type PodSpec,
  podsOf,
  render,
  renderedMatrix,
  valuesFile,
} from "../support/chart/helm.ts";

const SERVICES = ["bridge", "authcallout", "proxy"] as const;

type Template = { metadata: { labels: Record<string, string>; annotations?: Record<string, string> }; spec: PodSpec };
type Spread = {
  topologyKey: string;
  maxSkew: number;
  whenUnsatisfiable: string;
  labelSelector: { matchLabels: Record<string, string> };
};
type Placed = PodSpec & {
  topologySpreadConstraints?: Spread[];
  nodeSelector?: object;
  tolerations?: object[];
  affinity?: object;
  priorityClassName?: string;
  imagePullSecrets?: object[];
};
type Backend = { name: string; port: number | { name: string } };

const isLasting = ({ kind }: Manifest) => kind === "Deployment" || kind === "StatefulSet";
const selectorOf = (manifest: Manifest) => manifest.spec?.selector as Spread["labelSelector"];
const templateOf = (manifest: Manifest) => manifest.spec?.template as Template;
const deployment = (manifests: Manifest[], service: string) => findManifest(manifests, "Deployment", `-${service}`);
const placed = (manifests: Manifest[], service: string) => templateOf(deployment(manifests, service)).spec as Placed;
const containerOf = (pod: PodSpec) =>
  pod.containers[0] as ManifestContainer & { lifecycle?: { preStop: { exec: { command: string[] } } } };

describe("the chart's workloads", () => {
  const { of } = renderedMatrix();
  const withValues = (name: string, ...args: string[]) => render(...valuesFile(name), ...args);

  /** The names of those whose pods are replaced when one rendering follows the other. */
  function rolled(before: Manifest[], after: Manifest[]): string[] {
    const templates = (manifests: Manifest[]) =>
      new Map(manifests.filter(isLasting).map((owner) => [owner.metadata.name, JSON.stringify(templateOf(owner))]));
    const [old, now] = [templates(before), templates(after)];
    return [...now].flatMap(([name, template]) =>
      old.get(name) === template ? [] : [name.replace("demo-arvados-nats-", "")],
    );
  }

  describe("are rolled", () => {
    for (const name of ["tryout", "everything", "bare"]) {
      it(`by a changed Secret, every one that uses it, once its revision is said: ${name}`, async () => {
        const using = of(name).filter(
          (owner) => isLasting(owner) && /secretKeyRef|secretName/.test(JSON.stringify(templateOf(owner).spec)),
        );
        assert.ok(using.length >= SERVICES.length);
        const now = await withValues(name, "--set", "secretsRevision=another");
        const names = using.map(({ metadata }) => metadata.name.replace("demo-arvados-nats-", ""));
        assert.deepEqual(rolled(of(name), now).sort(), names.sort());
        // And by nothing else: the same values twice are the same pods.
        assert.deepEqual(rolled(of(name), await withValues(name)), []);
        for (const { annotations } of podsOf(now.filter(isLasting)))
          assert.match(annotations["arvados-nats/secrets"] ?? "", /^[0-9a-f]{16}$/);
      });
    }

    it("by another Secret in its place", async () => {
      const changes: [value: string, who: string[]][] = [
        ["secrets.keys.existingSecret=other", ["authcallout", "bridge", "proxy"]],
        ["secrets.arvados.existingSecret=other", ["authcallout", "proxy"]],
        ["secrets.postgres.existingSecret=other", ["bridge"]],
        ["tls.caSecret.name=other", ["authcallout", "bridge", "proxy"]],
      ];
      for (const [value, who] of changes) {
        const names = rolled(of("everything"), await withValues("everything", "--set", value));
        for (const service of who) assert.ok(names.includes(service), `${value}: ${service}`);
      }
    });

    it("by a setting, all services, and nats-server not", async () => {
      const now = await withValues("tryout", "--set", "settings.log.level=debug");
      assert.deepEqual(rolled(of("tryout"), now).sort(), [...SERVICES].sort());
    });

    it("by its configuration: the builtin nats-server, of which a checksum says so", async () => {
      const checksum = (manifests: Manifest[]) =>
        templateOf(findManifest(manifests, "StatefulSet")).metadata.annotations?.["checksum/config"] ?? "";
      const other = await withValues("tryout", "--set", "clusterId=abcde");
      assert.match(checksum(other), /^[0-9a-f]{64}$/);
      assert.notEqual(checksum(of("tryout")), checksum(other));
    });

    it("one pod after another where that can be, and the bridge, of which one works, by ending the old one first", () => {
      const strategy = (service: string) => deployment(of("everything"), service).spec?.strategy;
      for (const service of ["authcallout", "proxy"]) {
        const rollingUpdate = { maxSurge: 1, maxUnavailable: 0 };
        assert.deepEqual(strategy(service), { type: "RollingUpdate", rollingUpdate });
      }
      assert.deepEqual(strategy("bridge"), { type: "Recreate" });
    });
  });

  describe("are scaled", () => {
    it("by the autoscaler, which then alone says how many proxies there are", () => {
      const proxy = deployment(of("everything"), "proxy");
      const { spec } = findManifest(of("everything"), "HorizontalPodAutoscaler");
      assert.deepEqual(spec?.scaleTargetRef, { apiVersion: "apps/v1", kind: "Deployment", name: proxy.metadata.name });
      assert.deepEqual([spec?.minReplicas, spec?.maxReplicas], [2, 6]);
      const target = { type: "Utilization", averageUtilization: 70 };
      assert.deepEqual(spec?.metrics, [{ type: "Resource", resource: { name: "cpu", target } }]);
      // Utilization is of what is requested: without a request it is never known.
      const { resources } = containerOf(templateOf(proxy).spec) as { resources: { requests?: { cpu?: string } } };
      assert.ok(resources.requests?.cpu);
      assert.ok(!("replicas" in (proxy.spec ?? {})));
    });

    it("down slowly: every pod that goes sends its clients elsewhere", () => {
      const { behavior } = findManifest(of("everything"), "HorizontalPodAutoscaler").spec as {
        behavior: { scaleDown: { stabilizationWindowSeconds: number; policies: object[] } };
      };
      assert.ok(behavior.scaleDown.stabilizationWindowSeconds >= 300);
      assert.deepEqual(behavior.scaleDown.policies, [{ type: "Pods", value: 1, periodSeconds: 300 }]);
    });

    it("as the values say, without one", async () => {
      assert.ok(!of("tryout").some(({ kind }) => kind === "HorizontalPodAutoscaler"));
      const manifests = await withValues("tryout", "--set", "proxy.replicas=5,authcallout.replicas=3");
      assert.equal(deployment(manifests, "proxy").spec?.replicas, 5);
      assert.equal(deployment(manifests, "authcallout").spec?.replicas, 3);
    });

    it("down by one proxy at a time when nodes are drained", () => {
      const { spec } = findManifest(of("tryout"), "PodDisruptionBudget");
      assert.equal(spec?.maxUnavailable, 1);
      assert.deepEqual(spec?.selector, deployment(of("tryout"), "proxy").spec?.selector);
      assert.ok(!of("bare").some(({ kind }) => kind === "PodDisruptionBudget"));
    });
  });

  describe("are placed", () => {
    it("apart: on other hosts, and in other zones", () => {
      for (const service of SERVICES) {
        const { matchLabels } = selectorOf(deployment(of("everything"), service));
        const expected = ["kubernetes.io/hostname", "topology.kubernetes.io/zone"].map((topologyKey) => ({
          ...{ maxSkew: 1, topologyKey, whenUnsatisfiable: "ScheduleAnyway", labelSelector: { matchLabels } },
        }));
        assert.deepEqual(placed(of("everything"), service).topologySpreadConstraints, expected);
        assert.equal(placed(of("bare"), service).topologySpreadConstraints, undefined);
      }
    });

    it("apart or not at all, where the values say so", async () => {
      const manifests = await withValues("tryout", "--set", "topologySpread.whenUnsatisfiable=DoNotSchedule");
      for (const { whenUnsatisfiable } of placed(manifests, "proxy").topologySpreadConstraints ?? [])
        assert.equal(whenUnsatisfiable, "DoNotSchedule");
    });

    it("where each service's own values say, and no other's", async () => {
      const affinity = { nodeAffinity: {} };
      const manifests = await withValues("everything", "--set-json", `proxy.affinity=${JSON.stringify(affinity)}`);
      const places = SERVICES.map((service) => {
        const { nodeSelector, tolerations, affinity: wanted } = placed(manifests, service);
        return { nodeSelector, tolerations, affinity: wanted };
      });
      const none = { nodeSelector: undefined, tolerations: undefined, affinity: undefined };
      assert.deepEqual(places, [
        { ...none, tolerations: [{ key: "dedicated", operator: "Exists" }] },
        { ...none, nodeSelector: { disk: "ssd" } },
        { ...none, affinity },
      ]);
    });

    it("with the priority and the pull secrets of all", () => {
      for (const { owner, pod } of podsOf(of("everything"))) {
        const { priorityClassName, imagePullSecrets } = pod as Placed;
        assert.deepEqual([priorityClassName, imagePullSecrets], ["high", [{ name: "pull" }]], owner.metadata.name);
      }
    });
  });

  describe("are ended", () => {
    it("with more time than a drain and what is released after it take", () => {
      for (const name of MATRIX) {
        const manifests = of(name);
        for (const service of SERVICES) {
          const pod = placed(manifests, service);
          const [, seconds = "0"] = containerOf(pod).lifecycle?.preStop.exec.command ?? [];
          const needed = Number(seconds) + (DRAIN_MS + RELEASE_MS) / 1_000;
          assert.ok((pod.terminationGracePeriodSeconds ?? 0) > needed, `${name} ${service}: ${needed} s are needed`);
        }
      }
    });

    it("and taken away a day later: what a hook has made, which helm leaves where it failed", () => {
      const jobs = [...of("tryout"), ...of("everything")].filter(({ kind }) => kind === "Job");
      for (const { metadata, spec } of jobs) {
        const isHook = metadata.annotations?.["helm.sh/hook"] !== undefined;
        // One of the release itself is helm's to take away.
        assert.equal(spec?.ttlSecondsAfterFinished, isHook ? 86_400 : undefined, metadata.name);
      }
      assert.equal(jobs.length, 4);
    });

    it("only when load balancers have heard of it: the proxy", () => {
      const { lifecycle } = containerOf(placed(of("tryout"), "proxy"));
      assert.deepEqual(lifecycle, { preStop: { exec: { command: ["sleep", "5"] } } });
    });

    it("with more time than its lame duck mode takes: the builtin nats-server", () => {
      const conf = findManifest(of("tryout"), "ConfigMap", "-nats").data?.["nats.conf"] ?? "";
      const seconds = (word: string) => Number(new RegExp(`${word}: "(\\d+)s"`).exec(conf)?.[1]);
      const { terminationGracePeriodSeconds } = templateOf(findManifest(of("tryout"), "StatefulSet")).spec;
      const needed = seconds("lame_duck_duration") + seconds("lame_duck_grace_period");
      assert.ok((terminationGracePeriodSeconds ?? 0) > needed);
    });
  });

  describe("are reached", () => {
    const service = () =>
      findManifest(of("everything"), "Service", "-proxy") as Manifest & {
        spec: { selector: object; ports: { name: string; port: number; targetPort: string }[] };
      };

    it("by a Service that selects the proxy's pods and a port that they have", () => {
      const proxy = deployment(of("everything"), "proxy");
      const { matchLabels } = selectorOf(proxy);
      assert.deepEqual(service().spec.selector, matchLabels);
      assert.deepEqual(service().spec.ports, [{ name: "http", port: 80, targetPort: "http" }]);
      assert.ok(containerOf(templateOf(proxy).spec).ports?.some(({ name }) => name === "http"));
    });

    it("by an Ingress with TLS, on which a WebSocket lives", () => {
      const { spec, metadata } = findManifest(of("everything"), "Ingress");
      assert.deepEqual(spec?.tls, [{ hosts: ["events.example.org"], secretName: "events-tls" }]);
      const [rule] = (spec as { rules: { host: string; http: { paths: { backend: { service: Backend } }[] } }[] })
        .rules;
      assert.equal(rule?.host, "events.example.org");
      assert.deepEqual(rule?.http.paths[0]?.backend.service, { name: service().metadata.name, port: { name: "http" } });
      for (const timeout of ["read", "send"])
        assert.equal(metadata.annotations?.[`nginx.ingress.kubernetes.io/proxy-${timeout}-timeout`], "3600");
    });

    it("by a route of the Gateway API, on which a WebSocket lives", async () => {
      const { spec } = findManifest(of("everything"), "HTTPRoute");
      assert.deepEqual(spec, {
        parentRefs: [{ name: "gateway", namespace: "gateways" }],
        hostnames: ["events.example.org"],
        rules: [
          {
            matches: [{ path: { type: "PathPrefix", value: "/" } }],
            timeouts: { request: "0s" },
            backendRefs: [{ name: service().metadata.name, port: service().spec.ports[0]?.port }],
          },
        ],
      });
      const other = ["proxy.service.port=8480", "proxy.httpRoute.requestTimeout=2h", "proxy.httpRoute.hostnames=null"];
      const changed = findManifest(await withValues("everything", "--set", other.join(",")), "HTTPRoute").spec as {
        hostnames?: string[];
        rules: { timeouts: object; backendRefs: Backend[] }[];
      };
      assert.equal(changed.hostnames, undefined);
      assert.deepEqual(changed.rules[0]?.timeouts, { request: "2h" });
      assert.equal(changed.rules[0]?.backendRefs[0]?.port, 8480);
      assert.ok(!of("tryout").some(({ kind }) => kind === "HTTPRoute" || kind === "Ingress"));
    });
  });
});
