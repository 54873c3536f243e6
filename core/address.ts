/** IP addresses of clients as text, and sets of them. Pure. */
import { BlockList, isIP, isIPv4, SocketAddress } from "node:net";

/** One spelling for each address: IPv6 in lower case and compressed, IPv4 inside of it as IPv4, no zone. Null for what is none. */
export function canonicalAddress(text: string): string | null {
  const [address = ""] = text.trim().split("%");
  const version = isIP(address);
  if (version !== 6) return version === 4 ? address : null;
  const canonical = new SocketAddress({ address, family: "ipv6" }).address;
  const [, mapped] = /^::ffff:([\d.]+)$/.exec(canonical) ?? [];
  return mapped ?? canonical;
}

/**
 * Whom an address stands for: of IPv6 its /64, since a host may choose any address of its network and a customer has one at least.
 * What is no address (a client over a pipe has none) stands for itself.
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
