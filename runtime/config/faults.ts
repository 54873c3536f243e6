import { type Fault, fault } from "../../core/errors.ts";
import type { Setting } from "./setting.ts";

/**
 * What is wrong with a configuration, collected to be told at once. A fault about a setting also answers for it being unset, so that
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

  /** Nothing could be taken from Arvados' file, whatever may stand in it. */
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
