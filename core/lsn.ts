/** PostgreSQL write-ahead log positions: `16/B374D848` as text, 64-bit integers for comparing. */
export type Lsn = bigint;

const FORM = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/;

export function parseLsn(text: string): Lsn {
  const match = FORM.exec(text);
  if (!match) throw new RangeError(`not a WAL position: ${text.slice(0, 40)}`);
  return (BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`);
}

export function formatLsn(lsn: Lsn): string {
  return `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffffffffn).toString(16).toUpperCase()}`;
}

export function laterLsn(a: Lsn, b: Lsn): Lsn {
  if (a > b) return a;
  return b;
}
