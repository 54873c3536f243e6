/** Creates a Secret in Kubernetes unless it exists, with the service account of the pod that this runs in. */
import { readFile } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import type { Environment } from "../../runtime/config/sources.ts";
import type { SecretManifest } from "../../streams-config/keys-manifest.ts";

type KubernetesApi = { url: string; token: string; namespace: string; ca?: string };

const ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";
const TIMEOUT_MS = 30_000;

/** @param folder where the service account's token is */
export async function podApi(env: Environment, folder: string = ACCOUNT): Promise<KubernetesApi> {
  const host = env.KUBERNETES_SERVICE_HOST;
  if (!host) throw new Error("KUBERNETES_SERVICE_HOST is not set: this does not run in a pod; leave --create out");
  const [token, namespace, ca] = await Promise.all(
    ["token", "namespace", "ca.crt"].map((name) => readFile(`${folder}/${name}`, "utf8")),
  );
  const address = host.includes(":") ? `[${host}]` : host;
  return {
    url: `https://${address}:${env.KUBERNETES_SERVICE_PORT ?? "443"}`,
    token: (token as string).trim(),
    namespace: (namespace as string).trim(),
    ca: ca as string,
  };
}

/** An existing Secret is left as it is: overwriting keys that are in use would lock every service out. */
export async function createSecret(api: KubernetesApi, secret: SecretManifest): Promise<"created" | "exists"> {
  const namespace = secret.metadata.namespace ?? api.namespace;
  const status = await post(api, `/api/v1/namespaces/${encodeURIComponent(namespace)}/secrets`, JSON.stringify(secret));
  if (status === 201) return "created";
  if (status === 409) return "exists";
  // Not the answer's text: it may repeat what was sent.
  throw new Error(`Kubernetes answers ${status} to the creation of Secret ${namespace}/${secret.metadata.name}`);
}

function post({ url, token, ca }: KubernetesApi, path: string, body: string): Promise<number> {
  const request = url.startsWith("https:") ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const sent = request(
      `${url}${path}`,
      {
        method: "POST",
        timeout: TIMEOUT_MS,
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        ...(ca === undefined ? {} : { ca }),
      },
      (response) => {
        response.resume();
        response.on("end", () => resolve(response.statusCode ?? 0));
      },
    );
    sent.on("timeout", () => sent.destroy(new Error(`Kubernetes does not answer at ${url}`)));
    sent.on("error", reject);
    sent.end(body);
  });
}
