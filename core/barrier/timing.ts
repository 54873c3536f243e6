/** How long a lease counts. Milliseconds in the product; the model of the tests counts in ticks. */
export type Timing = {
  /** A lease, for its holder from before it was sent, for everybody else from when it was read. */
  lease: number;
  /**
   * After this long without a lease nothing that its holder answered can still become a session: the lease, the time in which
   * nats-server takes an answer, and what whole seconds and clocks that differ may add.
   */
  lapse: number;
};

const LEASE_MS = 1_500;
export const RENEW_MS = 500;
/** nats-server reads `exp` in whole seconds, by its own clock. */
export const CLOCK_MARGIN_MS = 1_500;

export function timing(authTimeout: number): Timing {
  return { lease: LEASE_MS, lapse: LEASE_MS + authTimeout + CLOCK_MARGIN_MS };
}
