import type { AddressInfo, Server } from "node:net";
import { fault, reasonOf } from "../core/errors.ts";
import { type Address, formatAddress } from "./config/setting.ts";

/** What a fault says about a listener: what it is, and the setting that moves it. */
type ListenerName = { what: string; setting: string };

/** Starts listening; port 0 takes a free one. Returns where it listens. A port that cannot be opened is a fault that names its setting. */
export async function listen(server: Server, address: Address, { what, setting }: ListenerName): Promise<Address> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ port: address.port, ...(address.host === "" ? {} : { host: address.host }) }, () => {
        server.off("error", reject);
        resolve();
      });
    });
  } catch (error) {
    const facts = { what, setting, address: formatAddress(address) };
    if ((error as NodeJS.ErrnoException).code === "EADDRINUSE") throw fault("port.occupied", facts, { cause: error });
    throw fault("port.unusable", { ...facts, reason: reasonOf(error) }, { cause: error });
  }
  return { host: address.host, port: (server.address() as AddressInfo).port };
}
