/** A certificate for this machine that is its own CA, for servers and clients alike. Needs openssl. */

import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Paths of the PEM files, in the folder. */
export async function makeCertificate(folder: string): Promise<[crt: string, key: string]> {
  const [crt, key] = [join(folder, "tls.crt"), join(folder, "tls.key")];
  const names = "subjectAltName=DNS:localhost,IP:127.0.0.1";
  const usage = "extendedKeyUsage=serverAuth,clientAuth";
  const what = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"];
  await run("openssl", [...what, "-addext", names, "-addext", usage, "-keyout", key, "-out", crt]);
  return [crt, key];
}
