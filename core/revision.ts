/**
 * Revision = (epoch, sequence of a commit entry in GRAPH): one number orders grants, sessions, events and answers.
 * Written `<epoch>.<sequence>`. A later epoch is later whatever the sequences say.
 */
export type Revision = { epoch: number; sequence: number };

export const NO_REVISION: Revision = { epoch: 0, sequence: 0 };

export function formatRevision({ epoch, sequence }: Revision): string {
  return `${epoch}.${sequence}`;
}

export function parseRevision(text: string): Revision | null {
  const match = /^(\d{1,10})\.(\d{1,16})$/.exec(text);
  return match ? { epoch: Number(match[1]), sequence: Number(match[2]) } : null;
}

export function atLeast(a: Revision, b: Revision): boolean {
  return a.epoch > b.epoch || (a.epoch === b.epoch && a.sequence >= b.sequence);
}
