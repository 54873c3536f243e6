/** Which of a service's connections are open, for `/readyz`: a service that cannot reach its users is not ready, however fresh its graph. */
import type { NatsConnection } from "@nats-io/nats-core";
import type { Condition } from "../service.ts";

export class ConnectionWatch {
  readonly #away = new Map<string, boolean>();

  /** @param account names the connection in `/readyz` */
  add(account: string, nc: Pick<NatsConnection, "status" | "closed">): void {
    this.#away.set(account, false);
    void this.#follow(account, nc);
  }

  readiness(): Condition {
    const accounts = [...this.#away.keys()];
    const away = accounts.filter((account) => this.#away.get(account));
    if (away.length === 0) return { ok: true, says: `connected for ${accounts.join(", ")}` };
    return { ok: false, says: `not connected to nats-server for ${away.join(", ")}: see this service's log` };
  }

  async #follow(account: string, nc: Pick<NatsConnection, "status" | "closed">): Promise<void> {
    for await (const { type } of nc.status()) {
      if (type === "disconnect") this.#away.set(account, true);
      if (type === "reconnect") this.#away.set(account, false);
    }
    await nc.closed();
    this.#away.set(account, true);
  }
}
