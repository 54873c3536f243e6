/**
 * A size above which something is treated in another way. What has passed `min` stays so until it falls to `floor`, a fifth below, so that
 * nothing flaps; between the two it depends on the past, and processes have different pasts (docs/adr/0009): what is `sure` is so in
 * every process, and what is not even `possible` is so in none.
 */
export class Threshold {
  readonly min: number;
  readonly floor: number;

  constructor(min: number) {
    this.min = min;
    this.floor = Number.isFinite(min) ? min - Math.floor(min / 5) : min;
  }

  passes(size: number, hasPassed: boolean): boolean {
    return size > (hasPassed ? this.floor : this.min);
  }

  isSure(size: number): boolean {
    return size > this.min;
  }

  isPossible(size: number): boolean {
    return size > this.floor;
  }
}
