/** The errors of Node when it does not trust a server's certificate. Pure. */

/** OpenSSL's X509_V_ERR_ names as Node gives them, and Node's own for a wrong name. */
const UNTRUSTED =
  /^(CERT_|SELF_SIGNED_CERT|DEPTH_ZERO_SELF_SIGNED|UNABLE_TO_(GET|VERIFY|DECODE)|INVALID_CA|HOSTNAME_MISMATCH|ERR_TLS_CERT_)/;

/** Whether an error is about the certificate of a server. */
export function isUntrusted(error: unknown): boolean {
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === "string" && UNTRUSTED.test(code);
}
