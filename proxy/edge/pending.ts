/**
 * Sockets that have not sent a whole CONNECT, counted for each address (of IPv6: its /64; all unknown addresses together are one) and in
 * total. A socket enters when it opens and leaves when nats-server has its CONNECT, or when it ends.
 */
import { networkOf } from "../../core/address.ts";

export type PendingBounds = { perAddress: number; total: number };

export const PENDING_BOUNDS: PendingBounds = { perAddress: 200, total: 2_000 };

/** Which bound refuses a socket. */
export type PendingRefusal = "address" | "total";

export class Pending {
  readonly #bounds: PendingBounds;
  readonly #byNetwork = new Map<string, number>();
  #size = 0;

  constructor(bounds: PendingBounds) {
    this.#bounds = bounds;
  }

  get size(): number {
    return this.#size;
  }

  /**
   * @param address null: a forwarder's connection, whose client is not known yet; it counts in total only
   * @returns a function that takes the socket out (calling it again does nothing), or the bound that refuses the socket
   */
  enter(address: string | null): (() => void) | PendingRefusal {
    const network = address === null ? null : networkOf(address);
    const count = network === null ? 0 : (this.#byNetwork.get(network) ?? 0);
    if (network !== null && count >= this.#bounds.perAddress) return "address";
    if (this.#size >= this.#bounds.total) return "total";
    this.#size += 1;
    if (network !== null) this.#byNetwork.set(network, count + 1);
    let isIn = true;
    return () => {
      if (!isIn) return;
      isIn = false;
      this.#leave(network);
    };
  }

  #leave(network: string | null): void {
    this.#size -= 1;
    if (network === null) return;
    const left = (this.#byNetwork.get(network) ?? 0) - 1;
    if (left > 0) this.#byNetwork.set(network, left);
    else this.#byNetwork.delete(network);
  }
}
