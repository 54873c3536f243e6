/**
 * Times as the database holds them: UTC in a `timestamp without time zone`, microseconds, written `YYYY-MM-DD HH:MM:SS.ffffff`.
 * They stay text all the way, since a JavaScript Date would drop the microseconds and add a time zone.
 */

/** UTC milliseconds, with a fraction if the clock has one. */
export type Now = () => number;

/** Two readings never give the same microsecond, and never an earlier one: rows of one run sort by their times. */
export function createClock(now: Now = preciseNow): () => string {
  let last = 0;
  return () => {
    last = Math.max(last + 1, Math.floor(now() * 1000));
    return fromMicroseconds(last);
  };
}

export function timestampOf(milliseconds: number): string {
  return fromMicroseconds(Math.floor(milliseconds * 1000));
}

/** UTC milliseconds of a timestamp; its microseconds are the fraction. */
export function millisecondsOf(timestamp: string): number {
  const [seconds = "", fraction = ""] = timestamp.split(".");
  return Date.parse(`${seconds.replace(" ", "T")}Z`) + Number(`0.${fraction || "0"}`) * 1000;
}

/** `YYYY-MM-DDTHH:MM:SS.nnnnnnnnnZ`, always nine digits: how Arvados writes a time into the audit log. */
export function auditTime(timestamp: string): string {
  const [seconds = "", fraction = ""] = timestamp.split(".");
  return `${seconds.replace(" ", "T")}.${fraction.padEnd(9, "0")}Z`;
}

function preciseNow(): number {
  return Date.now() + (performance.now() % 1);
}

function fromMicroseconds(microseconds: number): string {
  const whole = Math.floor(microseconds / 1000);
  const text = new Date(whole).toISOString().slice(0, -1).replace("T", " ");
  return text + String(microseconds - whole * 1000).padStart(3, "0");
}
