import { type Fault, fault } from "../../core/errors.ts";
import type { Setting } from "./setting.ts";

/**
 * The faults of a configuration, collected so that all are reported at once. A fault about a setting also explains that it is not set, so
 * one mistake makes one line.
 */
export class ConfigFaults {
  readonly #lines = new Set<string>();
  readonly #blamed = new Set<string>();
  #arvadosFailed = false;

  add(line: string, setting?: Setting): void {
    this.#lines.add(line);
    if (setting) this.#blamed.add(setting.file);
  }

  /** No setting could be read from Arvados' file. */
  addArvados(line: string): void {
    this.#lines.add(line);
    this.#arvadosFailed = true;
  }

  /** Whether a line already says why this setting has no value. */
  explains(setting: Setting): boolean {
    const fromArvados = setting.arvados !== undefined || setting.type === "clusterId";
    return this.#blamed.has(setting.file) || (this.#arvadosFailed && fromArvados);
  }

  /** All of them as one fault, or null. */
  asFault(): Fault | null {
    if (this.#lines.size === 0) return null;
    const list = [...this.#lines].map((line) => `  - ${line}`).join("\n");
    return fault("config.invalid", { count: this.#lines.size, list });
  }
}
