/** Who opens a WebSocket, by the upgrade request: the address, and a token where the client cannot put it into CONNECT. Pure. */
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { canonicalAddress } from "../../core/address.ts";

/**
 * The address nearest to us that is no forwarder of the site: each of them vouches for the one it was called by, which it put at the end of
 * X-Forwarded-For; what stands further left may be anybody's invention.
 * @param peer of the socket
 */
export function clientAddress(
  peer: string,
  forwardedFor: string | undefined,
  isForwarder: (address: string) => boolean,
): string {
  const hops = (forwardedFor ?? "").split(",");
  let address = canonicalAddress(peer) ?? peer;
  while (isForwarder(address)) {
    const next = canonicalAddress(hops.pop() ?? "");
    if (next === null) break;
    address = next;
  }
  return address;
}

/** Of whoever sent the request. */
export function requestAddress(
  { socket, headers }: Pick<IncomingMessage, "socket" | "headers">,
  isForwarder: (address: string) => boolean,
): string {
  return clientAddress(socket.remoteAddress ?? "", headers["x-forwarded-for"]?.toString(), isForwarder);
}

/** From `Authorization: Bearer` or `OAuth2`, else from `?api_token=`: as Arvados takes it. Empty where there is none. */
export function requestToken(headers: IncomingHttpHeaders, url: string): string {
  const [, bearer] = /^(?:Bearer|OAuth2)\s+(\S+)\s*$/i.exec(headers.authorization ?? "") ?? [];
  const query = url.slice(url.indexOf("?") + 1);
  return bearer ?? (url.includes("?") ? (new URLSearchParams(query).get("api_token") ?? "") : "");
}
