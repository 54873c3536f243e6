/**
 * Who sent a request and by which scheme, as the site's own forwarders state it; nobody else is believed. Also the token of a client that
 * cannot put it into CONNECT. Pure.
 */
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { canonicalAddress, forwardedAddress, UNKNOWN_ADDRESS } from "../../core/address.ts";

type IsForwarder = (address: string) => boolean;

/**
 * The nearest address that is not a forwarder of the site. Each forwarder appends the address that called it; entries further left may be
 * forged. If a forwarder appends something that cannot be read, the client is unknown: the forwarder itself never counts as the client.
 * @param peer of the socket
 * @param forwardedFor the list, the nearest forwarder's entry last; empty or undefined if there is none
 * @returns an address as `canonicalAddress` writes it, or `UNKNOWN_ADDRESS`
 */
export function clientAddress(peer: string, forwardedFor: string | undefined, isForwarder: IsForwarder): string {
  const hops = forwardedFor?.trim() ? forwardedFor.split(",") : [];
  let address = canonicalAddress(peer);
  for (let left = hops.length; address !== null && left > 0 && isForwarder(address); left--) {
    address = forwardedAddress(hops[left - 1] ?? "");
  }
  return address ?? UNKNOWN_ADDRESS;
}

type Requested = Pick<IncomingMessage, "socket" | "headers">;

export function requestAddress({ socket, headers }: Requested, isForwarder: IsForwarder): string {
  return clientAddress(socket.remoteAddress ?? "", forwardedFor(headers), isForwarder);
}

/** Does the client use TLS, which a forwarder may have terminated? */
export function isEncrypted({ socket, headers }: Requested, isForwarder: IsForwarder): boolean {
  if ("encrypted" in socket && socket.encrypted === true) return true;
  const peer = canonicalAddress(socket.remoteAddress ?? "");
  if (peer === null || !isForwarder(peer)) return false;
  const said = headers["x-forwarded-proto"]?.toString().split(",")[0] ?? forwardedPairs(headers, "proto")[0] ?? "";
  return /^(?:https|wss)$/i.test(said.trim());
}

/** X-Forwarded-For, from all its header lines; without it, `for` of each element of Forwarded (RFC 7239). */
function forwardedFor(headers: IncomingHttpHeaders): string | undefined {
  const list = headers["x-forwarded-for"]?.toString();
  if (list?.trim()) return list;
  const hops = forwardedPairs(headers, "for").map((hop) => hop.replaceAll(",", "") || UNKNOWN_ADDRESS);
  return hops.join(",");
}

/** The parameter of each element, `""` if it is missing. */
function forwardedPairs({ forwarded }: IncomingHttpHeaders, name: "for" | "proto"): string[] {
  if (forwarded === undefined || forwarded.trim() === "") return [];
  // A comma or semicolon in quotes separates nothing.
  const elements = forwarded.match(/(?:"[^"]*"|[^,"])+/g) ?? [];
  return elements.map((element) => {
    const pairs = element.match(/(?:"[^"]*"|[^;"])+/g) ?? [];
    const values = pairs.map((pair) => pair.trim().split("=")).filter(([key]) => key?.toLowerCase() === name);
    return (
      values[0]
        ?.slice(1)
        .join("=")
        .replace(/^"(.*)"$/, "$1") ?? ""
    );
  });
}

/** From `Authorization: Bearer` or `OAuth2`, otherwise from `?api_token=`, as in Arvados. Empty if there is none. */
export function requestToken(headers: IncomingHttpHeaders, url: string): string {
  const [, bearer] = /^(?:Bearer|OAuth2)\s+(\S+)\s*$/i.exec(headers.authorization ?? "") ?? [];
  const query = url.slice(url.indexOf("?") + 1);
  return bearer ?? (url.includes("?") ? (new URLSearchParams(query).get("api_token") ?? "") : "");
}
