/** IP addresses of clients as text, and sets of them. Pure. */
import { BlockList, isIP, isIPv4, SocketAddress } from "node:net";

/** All clients without a readable address: together they count as one. */
export const UNKNOWN_ADDRESS = "unknown";

/** One spelling for each address: IPv6 in lower case and compressed, IPv4 inside of it as IPv4, no zone. Null for what is none. */
export function canonicalAddress(text: string): string | null {
  const [address = "", ...zone] = text.trim().split("%");
  const version = isIP(address);
  if (version !== 6) return version === 4 && zone.length === 0 ? address : null;
  const canonical = new SocketAddress({ address, family: "ipv6" }).address;
  const [, mapped] = /^::ffff:([\d.]+)$/.exec(canonical) ?? [];
  return mapped ?? canonical;
}

/** A number, or a hidden one as RFC 7239 has it. */
const PORT = "(?::(?:\\d{1,5}|_[\\w.-]+))";
const IN_BRACKETS = new RegExp(`^\\[([^\\]]*)\\]${PORT}?$`);
/** IPv6 without brackets shows its port only where it ends as IPv4 does, or all eight groups are written. */
const WITH_PORT = new RegExp(
  `^((?:[0-9a-f:]*:)?\\d+\\.\\d+\\.\\d+\\.\\d+|(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4})${PORT}$`,
  "i",
);

/**
 * The address in what a forwarder writes for a client (X-Forwarded-For, and `for` of RFC 7239): with or without a port, IPv6 bare or in
 * brackets, with or without a zone, quoted or not. Null for anything else: `unknown`, a hidden name (`_x`), a host name, `unix:`.
 */
export function forwardedAddress(text: string): string | null {
  const [, quoted] = /^\s*"(.*)"\s*$/.exec(text) ?? [];
  const bare = (quoted ?? text).trim();
  const [, inBrackets] = IN_BRACKETS.exec(bare) ?? [];
  if (inBrackets !== undefined) return inBrackets.includes(":") ? canonicalAddress(inBrackets) : null;
  const [, withoutPort] = WITH_PORT.exec(bare) ?? [];
  return canonicalAddress(bare) ?? canonicalAddress(withoutPort ?? "");
}

/**
 * The network that limits count an address as: for IPv6 its /64, because a host may choose any address of its network and every
 * customer has at least one. A text that is no address (a client over a pipe has none) counts as itself.
 */
export function networkOf(text: string): string {
  const address = canonicalAddress(text);
  if (address === null || isIPv4(address)) return address ?? text;
  const [head = [], tail] = address.split("::").map((part) => (part === "" ? [] : part.split(":")));
  const zeros = tail === undefined ? 0 : 8 - head.length - tail.length;
  const groups = [...head, ...Array<string>(Math.max(0, zeros)).fill("0"), ...(tail ?? [])];
  return `${groups.slice(0, 4).join(":")}::/64`;
}

/** A test of membership, from addresses and networks (`10.0.0.0/8`) separated by spaces. Null where one of them is neither. */
export function parseNetworks(text: string): ((address: string) => boolean) | null {
  const list = new BlockList();
  for (const word of text.split(/\s+/).filter((part) => part !== "")) {
    const [address = "", prefix] = word.split("/");
    const version = isIP(address);
    const family = version === 6 ? "ipv6" : "ipv4";
    const bits = version === 6 ? 128 : 32;
    if (version === 0 || (prefix !== undefined && !(/^\d{1,3}$/.test(prefix) && Number(prefix) <= bits))) return null;
    list.addSubnet(address, prefix === undefined ? bits : Number(prefix), family);
  }
  return (address) => isIP(address) !== 0 && list.check(address, isIPv4(address) ? "ipv4" : "ipv6");
}
