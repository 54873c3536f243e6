/** How a publisher shuts out any other writer of its stream: nats-server refuses a message whose expected last sequence does not hold. Pure. */

export type Fence = {
  /** Headers of the first message of a unit, which must follow sequence `expected`. */
  headers(expected: number): Readonly<Record<string, string>>;
  /** Does the acknowledged sequence show that nobody else wrote into the stream? */
  holds(acknowledged: number | undefined, promised: number): boolean;
};

export const FENCE: Fence = {
  headers: (expected) => ({ "Nats-Expected-Last-Sequence": String(expected) }),
  holds: (acknowledged, promised) => acknowledged === promised,
};
