import assert from "node:assert/strict";
import fc from "fast-check";
import { canonicalAddress, forwardedAddress, networkOf, parseNetworks } from "../../core/address.ts";

describe("addresses", () => {
  it("have one spelling each", () => {
    const spellings: [string, string | null][] = [
      ["203.0.113.7", "203.0.113.7"],
      [" 203.0.113.7 ", "203.0.113.7"],
      ["::ffff:203.0.113.7", "203.0.113.7"],
      ["::FFFF:cb00:7107", "203.0.113.7"],
      ["2001:DB8:0:0:0:0:0:1", "2001:db8::1"],
      ["fe80::1%eth0", "fe80::1"],
      ["203.0.113.7:80", null],
      ["203.0.113.7%eth0", null],
      ["010.0.0.1", null],
      ["unknown", null],
      ["", null],
    ];
    for (const [text, canonical] of spellings) assert.equal(canonicalAddress(text), canonical, text);
  });

  it("are understood in every form in which forwarders write them", () => {
    const forms: [text: string, address: string | null][] = [
      ["203.0.113.9", "203.0.113.9"],
      ["203.0.113.9:51000", "203.0.113.9"],
      ["\t203.0.113.9:51000 ", "203.0.113.9"],
      ['"203.0.113.9:51000"', "203.0.113.9"],
      ['" 203.0.113.9 "', "203.0.113.9"],
      ["203.0.113.9:_port", "203.0.113.9"],
      ["2001:DB8::1", "2001:db8::1"],
      ["[2001:db8::1]", "2001:db8::1"],
      ["[2001:db8::1]:4711", "2001:db8::1"],
      ['"[2001:db8::1]:4711"', "2001:db8::1"],
      ["2001:db8:0:0:0:0:0:1:4711", "2001:db8::1"],
      ["fe80::1%eth0", "fe80::1"],
      ["fe80::1%25eth0", "fe80::1"],
      ["[fe80::1%eth0]:4711", "fe80::1"],
      ["::ffff:203.0.113.9", "203.0.113.9"],
      ["[::ffff:203.0.113.9]:4711", "203.0.113.9"],
      ["::ffff:203.0.113.9:4711", "203.0.113.9"],
      ["[::FFFF:cb00:7109]:4711", "203.0.113.9"],
    ];
    for (const [text, address] of forms) assert.equal(forwardedAddress(text), address, text);
    const others = [
      "",
      " ",
      "unknown",
      "_x",
      "_hidden:80",
      "unix:",
      "localhost",
      "proxy.example:80",
      "203.0.113",
      "203.0.113.256",
    ];
    const broken = [
      "010.0.0.1:80",
      "203.0.113.9:",
      "203.0.113.9:123456",
      "203.0.113.9:80:80",
      "[203.0.113.9]:80",
      "[::1",
      "::1]",
    ];
    const odd = [
      "[::1]80",
      "[[::1]]",
      "[]:80",
      '"203.0.113.9',
      "203.0.113.9 203.0.113.8",
      "203.0.113.9/24",
      "2001:db8::1::2",
      '""',
    ];
    for (const text of [...others, ...broken, ...odd]) assert.equal(forwardedAddress(text), null, text);
  });

  it("are the same with and without a port, and never another client's", () => {
    const port = fc.integer({ min: 0, max: 65_535 });
    fc.assert(
      fc.property(fc.ipV4(), port, (address, at) => {
        assert.equal(forwardedAddress(address), address);
        assert.equal(forwardedAddress(`${address}:${at}`), address);
        assert.equal(forwardedAddress(`"[::ffff:${address}]:${at}"`), address);
      }),
    );
    fc.assert(
      fc.property(fc.ipV6(), port, (address, at) => {
        const canonical = canonicalAddress(address);
        assert.ok(canonical !== null);
        for (const text of [address, `[${address}]`, `[${address}]:${at}`, `"[${address}%eth0]:${at}"`]) {
          assert.equal(forwardedAddress(text), canonical, text);
        }
      }),
    );
    fc.assert(
      fc.property(fc.string({ maxLength: 50 }), (text) => {
        const address = forwardedAddress(text);
        assert.ok(address === null || canonicalAddress(address) === address, text);
      }),
    );
  });

  it("count as their /64 if they are IPv6, however they are written", () => {
    assert.equal(networkOf("203.0.113.7"), "203.0.113.7");
    assert.equal(networkOf("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
    assert.equal(networkOf("2001:db8::1"), "2001:db8:0:0::/64");
    assert.equal(networkOf("::1"), "0:0:0:0::/64");
    assert.equal(networkOf("no address"), "no address");
    assert.equal(networkOf("unknown"), "unknown");
    const groups = fc.array(fc.oneof(fc.constant(0), fc.nat(0xffff)), { minLength: 4, maxLength: 4 });
    const written = (parts: number[]) => parts.map((part) => part.toString(16)).join(":");
    fc.assert(
      fc.property(groups, groups, groups, groups, (net, host, otherNet, otherHost) => {
        // Not the networks in which IPv4 addresses are written.
        fc.pre(net.some((part) => part !== 0) && otherNet.some((part) => part !== 0));
        const one = networkOf(written([...net, ...host]));
        assert.equal(one, networkOf(written([...net, ...otherHost])));
        assert.equal(
          one === networkOf(written([...otherNet, ...host])),
          parseNetworks(`${written([...net, ...host])}/64`)?.(written([...otherNet, ...host])),
        );
      }),
    );
  });

  it("are found in networks of either kind", () => {
    const isIn = parseNetworks("127.0.0.1  ::1 10.0.0.0/8 2001:db8::/32");
    const members = ["127.0.0.1", "::1", "10.1.2.3", "2001:db8:ffff::1"];
    const strangers = ["127.0.0.2", "11.0.0.1", "2001:db9::1", "", "nonsense"];
    for (const address of members) assert.ok(isIn?.(address), address);
    for (const address of strangers) assert.ok(!isIn?.(address), address);
    assert.ok(!parseNetworks("")?.("127.0.0.1"));
  });

  it("make no network if one of them is invalid", () => {
    for (const text of ["10.0.0.0/33", "::/129", "10.0.0.0/x", "10.0.0.0/", "localhost", "127.0.0.1,::1"]) {
      assert.equal(parseNetworks(text), null, text);
    }
  });
});
