/** Certificates for tests, made here: Node can sign but not write X.509, and openssl need not be there. */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import { isIPv4 } from "node:net";

export type Certificate = {
  /** PEM. */
  cert: string;
  /** PEM. */
  key: string;
};

export type Authority = Certificate & {
  /** A server's certificate, which clients may use as well, for these host names and IPv4 addresses; valid for a day unless it is `expired`. */
  issue(names: readonly string[], options?: { expired?: boolean }): Certificate;
};

const DAY_MS = 86_400_000;

export function createAuthority(name = "CA of a test"): Authority {
  const pair = keyPair();
  const subject = nameOf(name);
  const extension = [
    oid(0x55, 0x1d, 0x13),
    der(0x01, Buffer.from([0xff])),
    octets(sequence(der(0x01, Buffer.from([0xff])))),
  ];
  const own = certificate({ subject, issuer: subject, of: pair, by: pair.privateKey, extension, expired: false });
  return {
    ...own,
    issue(names, { expired = false } = {}) {
      const alternatives = sequence(
        ...names.map((host) =>
          isIPv4(host) ? der(0x87, Buffer.from(host.split(".").map(Number))) : der(0x82, Buffer.from(host, "ascii")),
        ),
      );
      const extension = [oid(0x55, 0x1d, 0x11), octets(alternatives)];
      const issued = { subject: nameOf(names[0] ?? ""), issuer: subject, of: keyPair(), by: pair.privateKey };
      return certificate({ ...issued, extension, expired });
    },
  };
}

type Pair = { publicKey: KeyObject; privateKey: KeyObject };
type Parts = {
  subject: Buffer;
  issuer: Buffer;
  of: Pair;
  by: KeyObject;
  extension: Buffer[];
  expired: boolean;
};

/** X.509 version 3 with one extension, signed with ECDSA and SHA-256 (RFC 5280, 4.1). */
function certificate({ subject, issuer, of, by, extension, expired }: Parts): Certificate {
  const algorithm = sequence(oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02));
  const end = Date.now() + (expired ? -DAY_MS : DAY_MS);
  const signed = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    algorithm,
    issuer,
    sequence(utcTime(end - 3 * DAY_MS), utcTime(end)),
    subject,
    of.publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(sequence(...extension))),
  );
  const signature = der(0x03, Buffer.concat([Buffer.from([0]), sign("sha256", signed, by)]));
  return {
    cert: pem(sequence(signed, algorithm, signature)),
    key: of.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

function keyPair(): Pair {
  return generateKeyPairSync("ec", { namedCurve: "prime256v1" });
}

function nameOf(text: string): Buffer {
  return sequence(der(0x31, sequence(oid(0x55, 0x04, 0x03), der(0x0c, Buffer.from(text)))));
}

function utcTime(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/\D/g, "");
  return der(0x17, Buffer.from(`${digits.slice(2, 14)}Z`, "ascii"));
}

function sequence(...parts: Buffer[]): Buffer {
  return der(0x30, Buffer.concat(parts));
}

function octets(content: Buffer): Buffer {
  return der(0x04, content);
}

function oid(...bytes: number[]): Buffer {
  return der(0x06, Buffer.from(bytes));
}

function der(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

function pem(bytes: Buffer): string {
  const lines = bytes.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}
