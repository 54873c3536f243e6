import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { allSettings } from "../../runtime/config/table.ts";
import { SERVICE_VERSION } from "../../runtime/version.ts";
import {
  CHART,
  findManifest,
  helm,
  MATRIX,
  type Manifest,
  type ManifestContainer,
  podsOf,
  render,
  renderedMatrix,
  template,
  valuesFile,
} from "../support/chart/helm.ts";

const TRYOUT = valuesFile("tryout");

/** What our programs read besides the settings of the table. */
const OTHER_ENV = ["NODE_EXTRA_CA_CERTS", "ARVADOS_API_TOKEN"];

function containersOf(manifest: Manifest): ManifestContainer[] {
  return podsOf([manifest]).flatMap(({ pod }) => [...(pod.initContainers ?? []), ...pod.containers]);
}

function env(container: ManifestContainer, name: string): string | undefined {
  return container.env?.find((entry) => entry.name === name)?.value;
}

describe("the chart", () => {
  const { of, every } = renderedMatrix();

  it("has the version of the package", () => {
    const chart = parse(readFileSync(join(CHART, "Chart.yaml"), "utf8"));
    assert.deepEqual([chart.version, chart.appVersion], [SERVICE_VERSION, SERVICE_VERSION]);
  });

  for (const name of MATRIX) {
    it(`passes helm lint with ${name}`, async () => {
      const { ok, out, err } = await helm("lint", "--strict", CHART, ...valuesFile(name));
      assert.ok(ok, out + err);
      assert.doesNotMatch(out, /\[(WARNING|ERROR)\]/);
    });
  }

  describe("refuses, and says why,", () => {
    const refusals: [what: string, args: string[], says: RegExp][] = [
      ["an unknown key", ["--set", "brigde.replicas=1"], /additional properties 'brigde' not allowed/],
      ["an unknown key further down", ["--set", "proxy.ingres.host=x"], /additional properties 'ingres' not allowed/],
      ["an unknown setting", ["--set", "settings.session.tll=1h"], /additional properties 'tll' not allowed/],
      ["a secret among the settings", ["--set", "settings.postgres.password=x"], /'password' not allowed/],
      ["a setting out of bounds", ["--set", "settings.session.tailMax=0"], /tailMax.*minimum/s],
      ["a duration without a unit", ["--set-string", "settings.session.ttl=60"], /ttl.*does not match pattern/s],
      ["a URL with a password", ["--set", "nats.url=tls://u:p@nats:4222"], /does not match pattern/],
      ["no cluster id", ["--set", "clusterId="], /clusterId is not set/],
      ["a wrong cluster id", ["--set", "clusterId=ABC"], /clusterId.*does not match pattern/s],
      ["no database", ["--set", "settings.postgres.host="], /settings\.postgres\.host is not set/],
      [
        "no token of Arvados",
        ["--set", "secrets.arvados.existingSecret="],
        /secrets\.arvados\.existingSecret is not set/,
      ],
      [
        "a second builtin nats-server",
        ["--set", "nats.replicas=3"],
        /official nats chart with helm\/nats-values\.yaml/,
      ],
      ["three replicas on one server", ["--set", "streams.profile=cluster"], /cannot hold three replicas/],
      ["two nats-servers", ["--set", "nats.url=tls://n:4222"], /external nats-server/],
      ["no nats-server", ["--set", "nats.builtin=false"], /needs nats\.url and nats\.websocketUrl/],
      [
        "an external one without keys",
        ["--set", "nats.builtin=false,nats.url=tls://n:4222,nats.websocketUrl=wss://n:8080"],
        /needs secrets\.keys\.existingSecret/,
      ],
      [
        "tokens in the clear",
        [
          "--set",
          "nats.builtin=false,nats.url=nats://n:4222,nats.websocketUrl=ws://n:8080,secrets.keys.existingSecret=k",
        ],
        /must be tls:\/\/ and wss:\/\//,
      ],
      [
        "a certificate that nobody could verify",
        ["--set", "nats.tls.existingSecret=nats-tls"],
        /needs tls\.caSecret\.name/,
      ],
      [
        "a certificate for somebody else's nats-server",
        [
          "--set",
          "nats.builtin=false,nats.url=tls://n:4222,nats.websocketUrl=wss://n:8080,secrets.keys.existingSecret=k,nats.tls.existingSecret=t",
        ],
        /nats\.tls is for the builtin nats-server/,
      ],
      ["an ingress without TLS", ["--set", "proxy.ingress.enabled=true,proxy.ingress.host=h"], /needs tlsSecretName/],
      ["a route without a Gateway", ["--set", "proxy.httpRoute.enabled=true"], /parentRefs is empty/],
      ["an empty origin", ["--set", "nats.allowedOrigins={}", "--set", "nats.allowedOrigins[0]=*"], /allowedOrigins/],
    ];
    for (const [what, args, says] of refusals) {
      it(what, async () => {
        const { ok, err } = await template(...TRYOUT, ...args);
        assert.ok(!ok, "it was accepted");
        assert.match(err, says);
      });
    }
  });

  it("keeps its schema as strict as its values are many", () => {
    const schema = JSON.parse(readFileSync(join(CHART, "values.schema.json"), "utf8"));
    const values = parse(readFileSync(join(CHART, "values.yaml"), "utf8"));
    const known = Object.keys(schema.properties).filter((key) => key !== "global");
    assert.deepEqual(known.sort(), Object.keys(values).sort());
    const open: string[] = [];
    const walk = (node: { type?: string; properties?: object; additionalProperties?: unknown }, path: string) => {
      if (node.properties && node.additionalProperties !== false) open.push(path);
      for (const [name, child] of Object.entries(node.properties ?? {})) walk(child, `${path}.${name}`);
    };
    walk(schema, "");
    assert.deepEqual(open, []);
  });

  describe("its pods", () => {
    it("run without root, without privileges, on a read-only root", () => {
      const pods = podsOf(every());
      assert.ok(pods.length > 12);
      for (const { owner, pod } of pods) {
        const name = `${owner.kind} ${owner.metadata.name}`;
        assert.equal(pod.securityContext.runAsNonRoot, true, name);
        assert.deepEqual(pod.securityContext.seccompProfile, { type: "RuntimeDefault" }, name);
        assert.equal(pod.enableServiceLinks, false, name);
        for (const container of containersOf(owner)) {
          assert.deepEqual(
            container.securityContext,
            { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ["ALL"] } },
            name,
          );
          assert.ok(Object.keys(container.resources).length > 0, name);
          assert.doesNotMatch(container.image, /:latest$|:$/, name);
        }
      }
    });

    it("hold a token of Kubernetes only where keys are made, which may create Secrets and nothing else", () => {
      const withToken = podsOf(of("tryout")).filter(({ pod }) => pod.automountServiceAccountToken !== false);
      assert.deepEqual(
        withToken.map(({ owner }) => owner.metadata.name),
        ["demo-arvados-nats-keys"],
      );
      const role = findManifest(of("tryout"), "Role") as Manifest & { rules: object[] };
      assert.deepEqual(role.rules, [{ apiGroups: [""], resources: ["secrets"], verbs: ["create"] }]);
      assert.ok(!of("everything").some(({ kind }) => kind === "Role"));
    });

    it("have no environment variable that no program reads, none twice, and none without a value", () => {
      const known = new Set([...allSettings().map(({ setting }) => setting.env), ...OTHER_ENV]);
      for (const { owner } of podsOf(every())) {
        if (owner.kind === "StatefulSet") continue;
        for (const { env: entries = [] } of containersOf(owner)) {
          const names = entries.map(({ name }) => name);
          assert.deepEqual(
            names.filter((name) => !known.has(name)),
            [],
            owner.metadata.name,
          );
          assert.equal(new Set(names).size, names.length, owner.metadata.name);
          for (const entry of entries)
            assert.ok(typeof entry.value === "string" || entry.valueFrom?.secretKeyRef?.name, entry.name);
        }
      }
    });

    it("take secrets by reference, each only its own", () => {
      const secretNames = new Set(allSettings().flatMap(({ setting }) => (setting.secret ? [setting.env] : [])));
      const taken = (ending: string) =>
        containersOf(findManifest(of("everything"), "Deployment", ending)).flatMap(({ env: entries = [] }) =>
          entries.flatMap(({ name, value, valueFrom }) => {
            assert.ok(!secretNames.has(name) || (value === undefined && valueFrom), name);
            return valueFrom ? [name.replace("ARVADOS_NATS_", "")] : [];
          }),
        );
      assert.deepEqual(taken("-bridge"), ["POSTGRES_PASSWORD", "NKEY_BRIDGE_CORE", "NKEY_BRIDGE_STORE"]);
      assert.deepEqual(taken("-proxy"), [
        "SYSTEM_ROOT_TOKEN",
        "ANONYMOUS_USER_TOKEN",
        "NKEY_GATEWAY_CORE",
        "NKEY_GATEWAY_STORE",
        "NKEY_GATEWAY_APP",
        "EDGE_SEED",
      ]);
      assert.ok(!taken("-authcallout").some((name) => name.startsWith("POSTGRES") || name.includes("BRIDGE")));
    });

    it("give the bridge the root token, and a way to the Arvados API, only where it is to follow logs", async () => {
      const root = (manifests: Manifest[]) =>
        containersOf(findManifest(manifests, "Deployment", "-bridge"))[0]?.env?.some(
          ({ name }) => name === "ARVADOS_NATS_SYSTEM_ROOT_TOKEN",
        );
      const ports = (manifests: Manifest[]) =>
        JSON.stringify(findManifest(manifests, "NetworkPolicy", "-bridge").spec?.egress);
      const followed = await render(
        ...valuesFile("everything"),
        ...["--set", "settings.arvados.apiUrl=https://arvados.example.org:8000"],
      );
      assert.ok(!root(of("everything")) && root(followed));
      assert.ok(!ports(of("everything")).includes("8000") && ports(followed).includes('"port":8000'));
      const asking = JSON.stringify(findManifest(followed, "NetworkPolicy", "-authcallout").spec?.egress);
      assert.ok(asking.includes('"port":8000'), "authcallout asks there about tokens");
      const plain = await render(
        ...valuesFile("everything"),
        ...["--set", "settings.arvados.apiUrl=https://arvados.example.org"],
      );
      assert.ok(ports(plain).includes('"port":443'));
    });

    it("are probed on the admin port", () => {
      for (const owner of every().filter(({ kind }) => kind === "Deployment")) {
        const [{ pod }] = podsOf([owner]) as [ReturnType<typeof podsOf>[number]];
        const [container] = pod.containers as [ManifestContainer];
        assert.deepEqual(container.livenessProbe?.httpGet, { path: "/livez", port: "admin" });
        assert.equal(container.readinessProbe?.httpGet.port, "admin");
        assert.ok(container.ports?.some(({ name }) => name === "admin"));
      }
      const readiness = (name: string, ending: string) =>
        containersOf(findManifest(of(name), "Deployment", ending))[0]?.readinessProbe?.httpGet.path;
      assert.equal(readiness("tryout", "-bridge"), "/readyz");
      // A standby is not ready, and must not hold up an upgrade.
      assert.equal(readiness("everything", "-bridge"), "/livez");
    });

    it("listen where their probes and services look", () => {
      for (const service of ["bridge", "authcallout", "proxy"]) {
        const [container] = containersOf(findManifest(of("tryout"), "Deployment", `-${service}`)) as [
          ManifestContainer,
        ];
        const admin = container.ports?.find(({ name }) => name === "admin")?.containerPort;
        assert.equal(env(container, `ARVADOS_NATS_ADMIN_${service.toUpperCase()}`), `:${admin}`);
      }
    });
  });

  it("is without anything secret in a ConfigMap, or a Secret of its own", () => {
    for (const manifest of every()) {
      assert.notEqual(manifest.kind, "Secret");
      if (manifest.kind === "ConfigMap")
        assert.doesNotMatch(JSON.stringify(manifest.data), /S[AUXNOC][A-Z2-7]{50}|v2\//);
    }
  });

  describe("settings", () => {
    it("arrive as they were written, whatever YAML takes them for", () => {
      const [bridge] = containersOf(findManifest(of("everything"), "Deployment", "-bridge")) as [ManifestContainer];
      assert.equal(env(bridge, "ARVADOS_NATS_ROLE_GROUPS_VISIBLE_TO_ALL"), "false");
      assert.equal(env(bridge, "ARVADOS_NATS_POSTGRES_PORT"), "5433");
      assert.equal(env(bridge, "ARVADOS_NATS_SESSION_TTL"), "30m");
      assert.equal(env(bridge, "ARVADOS_NATS_URL"), "tls://nats.nats.svc:4222");
      assert.equal(env(bridge, "ARVADOS_NATS_AUDIENCE_MIN"), undefined);
    });

    it("keep a large number as it is", async () => {
      const manifests = await render(...TRYOUT, "--set", "settings.session.audienceMin=1000000");
      const [bridge] = containersOf(findManifest(manifests, "Deployment", "-bridge")) as [ManifestContainer];
      assert.equal(env(bridge, "ARVADOS_NATS_AUDIENCE_MIN"), "1000000");
    });

    it("let setup-db have a role of its own", () => {
      const [job] = containersOf(findManifest(of("everything"), "Job", "-setup-db")) as [ManifestContainer];
      assert.equal(env(job, "ARVADOS_NATS_POSTGRES_USER"), "owner");
      const password = job.env?.find(({ name }) => name === "ARVADOS_NATS_POSTGRES_PASSWORD")?.valueFrom?.secretKeyRef;
      assert.equal(password?.name, "arvados-db-owner");
    });
  });

  it("lets a Secret have the edge's key of before, or not", () => {
    const entries = podsOf([findManifest(of("tryout"), "Deployment", "-authcallout")]).flatMap(({ pod }) =>
      pod.containers.flatMap(({ env = [] }) => env),
    );
    const old = entries.find(({ name }) => name === "ARVADOS_NATS_PUBLIC_EDGE_OLD");
    assert.equal(old?.valueFrom?.secretKeyRef?.optional, true);
  });

  it("gives the builtin nats-server TLS on both ports where there is a certificate, and tells the services so", () => {
    const conf = findManifest(of("bare"), "ConfigMap", "-nats").data?.["nats.conf"] ?? "";
    const tls = 'tls { cert_file: "/etc/nats-tls/tls.crt", key_file: "/etc/nats-tls/tls.key" }';
    assert.deepEqual(conf.match(/^ *tls \{.*$/gm), [tls, `  ${tls}`]);
    assert.doesNotMatch(conf, /no_tls/);
    for (const { owner, pod } of podsOf(of("bare"))) {
      const urls = pod.containers.flatMap(({ env = [] }) =>
        env.filter(({ name }) => /_NATS_(WEBSOCKET_)?URL$/.test(name)),
      );
      for (const { value } of urls) assert.match(value ?? "", /^(tls|wss):\/\//, owner.metadata.name);
    }
    const plain = findManifest(of("tryout"), "ConfigMap", "-nats").data?.["nats.conf"] ?? "";
    assert.doesNotMatch(plain, /tls \{/);
  });

  it("names the cluster in every subject of the builtin nats-server", () => {
    const conf = findManifest(of("bare"), "ConfigMap", "-nats").data?.["nats.conf"] ?? "";
    assert.match(conf, /arvados\.x1y2z\.live\.>/);
    assert.doesNotMatch(conf, /zzzzz/);
  });

  it("lets nats-server trust the edge's key, and gives the seed to the proxy and the public key to authcallout, from the Secret", () => {
    const conf = findManifest(of("tryout"), "ConfigMap", "-nats").data?.["nats.conf"] ?? "";
    assert.match(conf, /^proxies \{ trusted: \[\{ key: \$ARVADOS_NATS_PUBLIC_EDGE \}\] \}$/m);
    const places = { proxy: "ARVADOS_NATS_EDGE_SEED", authcallout: "ARVADOS_NATS_PUBLIC_EDGE" };
    for (const [service, name] of Object.entries(places)) {
      const [container] = containersOf(findManifest(of("tryout"), "Deployment", `-${service}`));
      const entry = container?.env?.find((one) => one.name === name);
      assert.deepEqual(entry?.valueFrom?.secretKeyRef, { name: "demo-arvados-nats-keys", key: name });
    }
    const [server] = containersOf(findManifest(of("tryout"), "StatefulSet"));
    assert.ok(server?.env?.some((one) => one.name === "ARVADOS_NATS_PUBLIC_EDGE"));
    for (const container of every().flatMap(containersOf)) {
      const holds = container.env?.some((one) => one.name === "ARVADOS_NATS_EDGE_SEED") ?? false;
      assert.equal(holds, container.args?.[0] === "proxy");
    }
  });

  it("verifies an external nats-server with the site's CA", () => {
    for (const owner of of("everything").filter(({ kind }) => kind === "Deployment")) {
      const [{ pod }] = podsOf([owner]) as [ReturnType<typeof podsOf>[number]];
      assert.equal(env(pod.containers[0] as ManifestContainer, "NODE_EXTRA_CA_CERTS"), "/etc/arvados-nats/ca/ca.crt");
      const volumes = (pod.volumes as { name: string }[]).filter(({ name }) => name !== "tmp");
      assert.deepEqual(volumes, [
        { name: "ca", secret: { secretName: "site-ca", items: [{ key: "ca.pem", path: "ca.crt" }] } },
      ]);
    }
    assert.ok(!of("everything").some(({ kind }) => kind === "StatefulSet"));
  });

  it("applies streams before the services of an external nats-server start, and beside a builtin one", () => {
    const job = (name: string) =>
      of(name).find(({ kind, metadata }) => kind === "Job" && /-streams/.test(metadata.name));
    assert.equal(job("everything")?.metadata.annotations?.["helm.sh/hook"], "pre-install,pre-upgrade");
    assert.equal(job("tryout")?.metadata.annotations, undefined);
    assert.equal(job("bare"), undefined);
    assert.deepEqual(containersOf(job("everything") as Manifest)[0]?.args, [
      "streams",
      "apply",
      "--profile",
      "cluster",
    ]);
  });

  it("has a selector for every workload that its own pods match, and that no version changes", () => {
    for (const owner of every().filter(({ kind }) => ["Deployment", "StatefulSet"].includes(kind))) {
      const spec = owner.spec as {
        selector: { matchLabels: Record<string, string> };
        template: { metadata: { labels: Record<string, string> } };
      };
      const { matchLabels } = spec.selector;
      for (const [label, value] of Object.entries(matchLabels))
        assert.equal(spec.template.metadata.labels[label], value);
      assert.ok(!Object.keys(matchLabels).some((label) => /version|chart/.test(label)));
    }
  });

  it("tells browsers of TLS, which the proxy behind an ingress or a route does not see", async () => {
    const shown = async (...args: string[]) => {
      const manifests = await render(...TRYOUT, ...args);
      const [proxy] = containersOf(findManifest(manifests, "Deployment", "-proxy")) as [ManifestContainer];
      return env(proxy, "ARVADOS_NATS_PUBLIC_WEBSOCKET_URL");
    };
    const ingress = [
      "--set",
      "proxy.ingress.enabled=true,proxy.ingress.host=h.example.org,proxy.ingress.tlsSecretName=t",
    ];
    const route =
      "proxy.httpRoute.enabled=true,proxy.httpRoute.parentRefs[0].name=g,proxy.httpRoute.hostnames[0]=r.example.org";
    assert.equal(await shown(), undefined);
    assert.equal(await shown(...ingress), "wss://h.example.org/nats");
    assert.equal(await shown("--set", route), "wss://r.example.org/nats");
    assert.equal(await shown(...ingress, "--set", "settings.public.websocketUrl=wss://own/nats"), "wss://own/nats");
  });

  it("makes names that fit, however long the release's is", async () => {
    const { ok, out, err } = await helm("template", "a".repeat(53), CHART, ...TRYOUT);
    assert.ok(ok, err);
    for (const [, name] of out.matchAll(/^ {2}name: (\S+)$/gm)) assert.ok((name ?? "").length <= 63, name);
  });
});
