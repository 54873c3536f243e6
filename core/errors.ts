/** A failure that the product can name, by a code of the table (`error-table.ts`). */
import { ERRORS, type Handling } from "./error-table.ts";

export { ERRORS, type Handling };

export type ErrorCode = keyof typeof ERRORS;
export type Facts = Record<string, string | number>;

/** A failure with a stable code; `facts` fill the sentence and are logged as fields. Facts never hold a secret. */
export class Fault extends Error {
  override readonly name = "Fault";
  readonly code: ErrorCode;
  readonly facts: Facts;

  constructor(code: ErrorCode, facts: Facts, options?: ErrorOptions) {
    super(fill(ERRORS[code].message, facts), options);
    this.code = code;
    this.facts = facts;
  }

  get handling(): Handling {
    return ERRORS[this.code].handling;
  }

  get remedy(): string {
    return fill(ERRORS[this.code].remedy, this.facts);
  }
}

export function fault(code: ErrorCode, facts: Facts = {}, options?: ErrorOptions): Fault {
  return new Fault(code, facts, options);
}

/** The text of anything thrown. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}

/** The kind of anything thrown, and where that was: its text may repeat what it was thrown for. */
export function kindOfError(error: unknown): string {
  if (!(error instanceof Error)) return "an exception";
  if (error instanceof Fault) return error.code;
  const place = /^\s*at .*?([\w.-]+:\d+):\d+\)?$/m.exec(error.stack ?? "")?.[1];
  return place === undefined ? error.name : `${error.name} at ${place}`;
}

function fill(template: string, facts: Facts): string {
  return template.replace(/\{(\w+)\}/g, (whole, name: string) => String(facts[name] ?? whole));
}
