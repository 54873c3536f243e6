/** A real control plane on loopback: etcd, kube-apiserver with RBAC, kube-controller-manager. Without nodes: `kubelet.ts` stands in for them. */

import { generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { stringify } from "yaml";
import { freePorts } from "../../dev/servers/free-ports.ts";
import { until } from "../../dev/testing/until.ts";
import { createProcesses } from "../support/servers/processes.ts";
import type { KubeBinaries } from "./binaries.ts";

export type KubeObject = {
  apiVersion?: string;
  kind?: string;
  metadata: { name: string; namespace?: string; resourceVersion?: string; [field: string]: unknown };
  [field: string]: unknown;
};

export type KubeAnswer<T> = { status: number; body: T };

export type KubeCluster = AsyncDisposable & {
  kubeconfig: string;
  url: string;
  /** The API server's certificate. */
  ca: string;
  call<T = KubeObject>(method: string, path: string, body?: object, type?: string): Promise<KubeAnswer<T>>;
};

const START_MS = 60_000;

export async function startCluster(dir: string, binaries: KubeBinaries): Promise<KubeCluster> {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const [etcdPort, peerPort, port, managerPort] = (await freePorts(4)) as [number, number, number, number];
  const url = `https://127.0.0.1:${port}`;
  const file = (name: string, text: string) => {
    writeFileSync(join(dir, name), text, { mode: 0o600 });
    return join(dir, name);
  };
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const signer = file("sa.key", privateKey.export({ type: "pkcs1", format: "pem" }).toString());
  const verifier = file("sa.pub", publicKey.export({ type: "spki", format: "pem" }).toString());
  const token = randomBytes(16).toString("hex");
  const tokens = file("tokens.csv", `${token},admin,admin,system:masters\n`);
  const certificate = join(dir, "tls", "apiserver.crt");
  const kubeconfig = file(
    "kubeconfig",
    stringify({
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name: "test", cluster: { server: url, "certificate-authority": certificate } }],
      users: [{ name: "admin", user: { token } }],
      contexts: [{ name: "test", context: { cluster: "test", user: "admin" } }],
      "current-context": "test",
    }),
  );

  const etcd = createProcesses();
  const plane = createProcesses();
  // An API server without its etcd does not end.
  const stop = async () => {
    await plane.end();
    await etcd.end();
  };
  try {
    const [etcdUrl, peerUrl] = [`http://127.0.0.1:${etcdPort}`, `http://127.0.0.1:${peerPort}`];
    etcd.start(binaries.etcd, [
      `--data-dir=${join(dir, "etcd")}`,
      "--unsafe-no-fsync",
      `--listen-client-urls=${etcdUrl}`,
      `--advertise-client-urls=${etcdUrl}`,
      `--listen-peer-urls=${peerUrl}`,
      `--initial-advertise-peer-urls=${peerUrl}`,
      `--initial-cluster=default=${peerUrl}`,
    ]);
    const server = plane.start(binaries["kube-apiserver"], [
      `--etcd-servers=${etcdUrl}`,
      "--bind-address=127.0.0.1",
      `--secure-port=${port}`,
      `--cert-dir=${join(dir, "tls")}`,
      "--service-account-issuer=https://kubernetes.default.svc",
      `--service-account-key-file=${verifier}`,
      `--service-account-signing-key-file=${signer}`,
      `--token-auth-file=${tokens}`,
      "--authorization-mode=RBAC",
      "--anonymous-auth=false",
      "--service-cluster-ip-range=10.96.0.0/16",
      "--endpoint-reconciler-type=none",
    ]);
    void server.ended;
    const call = async <T>(method: string, path: string, body?: object, type = "application/json") =>
      ask<T>({ url, path, method, token, ca: readFileSync(certificate, "utf8"), type, body });
    const ready = () =>
      call<string>("GET", "/readyz").then(
        ({ status }) => status === 200,
        () => false,
      );
    await Promise.race([
      until(ready, "the API server", START_MS),
      server.ended.then(({ text }) => Promise.reject(new Error(text.slice(-2_000)))),
    ]);
    plane.start(binaries["kube-controller-manager"], [
      `--kubeconfig=${kubeconfig}`,
      "--leader-elect=false",
      "--bind-address=127.0.0.1",
      `--secure-port=${managerPort}`,
      `--cert-dir=${join(dir, "tls-manager")}`,
      `--service-account-private-key-file=${signer}`,
      `--root-ca-file=${certificate}`,
      "--use-service-account-credentials",
    ]);
    return { kubeconfig, url, ca: readFileSync(certificate, "utf8"), call, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

type Question = {
  url: string;
  path: string;
  method: string;
  token: string;
  ca: string;
  type: string;
  body: object | undefined;
};

function ask<T>({ url, path, method, token, ca, type, body }: Question): Promise<KubeAnswer<T>> {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? "" : JSON.stringify(body);
    const headers = {
      ...{ authorization: `Bearer ${token}`, accept: "application/json", "content-type": type },
      // Said by ourselves: Node frames no body of a DELETE.
      "content-length": Buffer.byteLength(text),
    };
    const sent = request(`${url}${path}`, { method, ca, headers }, (response) => {
      let answer = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        answer += part;
      });
      response.on("end", () => {
        const isJson = (response.headers["content-type"] ?? "").startsWith("application/json");
        resolve({ status: response.statusCode ?? 0, body: (isJson ? JSON.parse(answer) : answer) as T });
      });
      response.on("error", reject);
    });
    sent.on("error", reject);
    sent.end(text);
  });
}
