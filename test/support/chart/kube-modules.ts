/** Where Kubernetes, and what its clusters are extended with, comes from: Go modules, as the Go proxy has them. */

import { execFile } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export const KUBERNETES = "1.36.3";
const PROMETHEUS_OPERATOR = "0.85.0";
const GATEWAY_API = "1.6.3";

export const KUBERNETES_MODULE = "k8s.io/kubernetes";

/** The folder of a module, fetched where it is not in Go's cache. */
export async function goModule(name: string, version: string): Promise<string> {
  // Outside of any module, so that no go.mod has a say.
  const { stdout } = await run("go", ["mod", "download", "-json", `${name}@v${version}`], { cwd: tmpdir() });
  return (JSON.parse(stdout) as { Dir: string }).Dir;
}

/** Files of the CustomResourceDefinitions of every resource that our chart, and the official one of NATS, may render. */
export async function crdFiles(): Promise<string[]> {
  const [operator, gateway] = await Promise.all([
    goModule("github.com/prometheus-operator/prometheus-operator", PROMETHEUS_OPERATOR),
    goModule("sigs.k8s.io/gateway-api", GATEWAY_API),
  ]);
  return [
    ...["podmonitors", "prometheusrules", "servicemonitors"].map((resource) =>
      join(operator, `example/prometheus-operator-crd/monitoring.coreos.com_${resource}.yaml`),
    ),
    join(gateway, "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"),
  ];
}

/** Said in the file that is made from them. */
export const SOURCES = [
  `Kubernetes ${KUBERNETES} (api/openapi-spec/swagger.json)`,
  `prometheus-operator ${PROMETHEUS_OPERATOR} and Gateway API ${GATEWAY_API} (CustomResourceDefinitions)`,
].join(", ");
