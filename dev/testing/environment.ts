/** A configuration as the environment of a program that benches and tests start. */
import type { Config } from "../../runtime/config/config.ts";
import type { Address } from "../../runtime/config/setting.ts";
import { allSettings } from "../../runtime/config/table.ts";

export function environmentOf(config: Config): Record<string, string> {
  const out: Record<string, string> = {};
  for (const { path, setting } of allSettings()) {
    const value = path.reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], config);
    if (value === null || value === "") continue;
    const address = value as Address;
    if (setting.type === "address") out[setting.env] = `${address.host}:${address.port}`;
    else out[setting.env] = setting.type === "duration" ? `${value}ms` : String(value);
  }
  return out;
}
