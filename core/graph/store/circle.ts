/**
 * Notices that a walk up the owners goes round in a circle: Brent's algorithm, a marker left behind at doubling distances. It costs no
 * memory that grows with the walk. One walk, one object.
 */
export class Circle {
  #marker: number;
  #steps = 0;
  #limit = 1;

  /** @param marker a node that the walk has left already, or -1 */
  constructor(marker = -1) {
    this.#marker = marker;
  }

  /** The walk is at this node: has it been here before? Says so at the latest in the third round. */
  closesAt(node: number): boolean {
    if (node === this.#marker) return true;
    if (++this.#steps === this.#limit) {
      this.#marker = node;
      this.#steps = 0;
      this.#limit *= 2;
    }
    return false;
  }
}
