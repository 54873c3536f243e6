/** What others felt in the rounds of one trial, and what follows from it. */
import { type Measurement, median, quantile, row } from "../support/measure.ts";
import { FELT, type Felt } from "./others.ts";

/** How much longer others' p99 may be. */
const TARGET = 1.5;

type What = (typeof FELT)[number];
type Side = "attack" | "control";

export class HostileRounds {
  readonly #name: string;
  readonly #rounds: Record<Side, Felt>[] = [];

  constructor(name: string) {
    this.#name = name;
  }

  get count(): number {
    return this.#rounds.length;
  }

  add(round: Record<Side, Felt>): void {
    this.#rounds.push(round);
  }

  /** All figures are within the target. */
  hold(): boolean {
    return FELT.every((what) => this.#ratio(what) <= TARGET);
  }

  rows(): Measurement[] {
    return FELT.map((what) => {
      const [attacks, controls] = [median(this.#p99(what, "attack")), median(this.#p99(what, "control"))];
      const figures = `p99 ${attacks.toFixed(1)} ms, control ${controls.toFixed(1)} ms, ${this.count} rounds`;
      return row(`${this.#name}: others' ${what} (${figures})`, this.#ratio(what), "x", TARGET);
    });
  }

  /** Each round's p99 of attack and control, for people who look closer. */
  lines(): string[] {
    const list = (what: What, side: Side) =>
      this.#p99(what, side)
        .map((ms) => ms.toFixed(1))
        .join(" ");
    return FELT.map((what) => `${this.#name}: ${what}: ${list(what, "attack")} | ${list(what, "control")}`);
  }

  #ratio(what: What): number {
    const controls = this.#p99(what, "control");
    return median(this.#p99(what, "attack").map((attacked, i) => attacked / (controls[i] as number)));
  }

  #p99(what: What, side: Side): number[] {
    return this.#rounds.map((felt) => quantile(felt[side][what], 0.99));
  }
}
