/** What the console page needs of the demo and production never has: who there is, with tokens, and buttons that change Arvados. */
import type { IncomingMessage } from "node:http";
import type { Express } from "express";
import type { DemoCluster } from "./seed.ts";
import type { Simulator } from "./simulator/index.ts";

/** Body of GET /demo/cluster. */
type DemoInfo = {
  clusterId: string;
  users: Record<"alice" | "bob" | "admin", { uuid: string; token: string }>;
  project: { uuid: string; name: string };
  subproject: { uuid: string; name: string };
  collections: { uuid: string; name: string }[];
  container: { uuid: string; request: string; files: string[] };
  /** Does bob have alice's project shared with him now? */
  shared: boolean;
};

export class Demo {
  readonly #arvados: Simulator;
  readonly cluster: DemoCluster;
  #shared = false;
  #count = 0;

  constructor(arvados: Simulator, cluster: DemoCluster) {
    this.#arvados = arvados;
    this.cluster = cluster;
  }

  info(): DemoInfo {
    const { users, projects, collections, container, containerRequest, clusterId } = this.cluster;
    const user = (name: keyof typeof users) => ({ uuid: users[name].uuid, token: users[name].token.v2 });
    return {
      clusterId,
      users: { alice: user("alice"), bob: user("bob"), admin: user("admin") },
      project: { uuid: projects.genomes, name: "Genomes" },
      subproject: { uuid: projects.run1, name: "Run 1" },
      collections: [
        { uuid: collections.reference, name: "Reference genome" },
        { uuid: collections.reads, name: "Reads" },
      ],
      container: { uuid: container.uuid, request: containerRequest, files: ["stdout.txt"] },
      shared: this.#shared,
    };
  }

  readonly actions: Record<string, () => Promise<{ uuid: string }>> = {
    share: async () => {
      const { users, projects } = this.cluster;
      const link = await this.#arvados.share(users.bob.uuid, projects.genomes, "can_read", { by: users.alice.uuid });
      this.#shared = true;
      return link;
    },
    unshare: async () => {
      const { users, projects } = this.cluster;
      const link = await this.#arvados.unshare(
        { tail: users.bob.uuid, head: projects.genomes },
        { by: users.alice.uuid },
      );
      this.#shared = false;
      return link;
    },
    update: async () => {
      const { users, collections } = this.cluster;
      const name = `Reads, revision ${++this.#count}`;
      return this.#arvados.updateCollection(collections.reads, { name, by: users.alice.uuid });
    },
    create: async () => {
      const { users, projects } = this.cluster;
      const name = `Result ${++this.#count}`;
      return this.#arvados.createCollection({ name, owner: projects.run1, by: users.alice.uuid });
    },
  };

  addRoutes(app: Express): void {
    app.use("/demo", (request, response, next) => {
      if (isOwnPage(request)) return next();
      response.status(403).json({ error: "the demo answers its own pages only, at the address that it printed" });
    });
    app.get("/demo/cluster", (_request, response) => void response.set("Cache-Control", "no-store").json(this.info()));
    app.post("/demo/do/:action", async (request, response) => {
      const name = request.params.action;
      const action = Object.hasOwn(this.actions, name) ? this.actions[name] : undefined;
      if (!action) return void response.status(404).json({ error: `actions: ${Object.keys(this.actions).join(", ")}` });
      if ((name === "share") === this.#shared && (name === "share" || name === "unshare")) {
        return void response.status(409).json({ error: this.#shared ? "shared already" : "not shared" });
      }
      const { uuid } = await action();
      response.json({ action: name, uuid, committedAt: new Date().toISOString() });
    });
  }
}

/**
 * The demo gives tokens to any client on loopback. A page of another site must get none: not under its own name that it points
 * at this host (DNS rebinding), and not from its own origin.
 */
function isOwnPage({ headers, socket }: IncomingMessage): boolean {
  const port = socket.localPort === 80 ? "" : `:${socket.localPort}`;
  const own = ["127.0.0.1", "localhost", "[::1]"].map((name) => name + port);
  const { host = "", origin } = headers;
  const site = headers["sec-fetch-site"] ?? "none";
  return (
    own.includes(host.toLowerCase()) &&
    (origin === undefined || origin === `http://${host}`) &&
    (site === "same-origin" || site === "none")
  );
}
