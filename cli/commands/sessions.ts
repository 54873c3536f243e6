/** `sessions`, `kick`, `servers`: the current state of nats-servers, for admins. They use authcallout's nkeys. */
import type { Command } from "commander";
import { systemAccount } from "../../authcallout/sessions/system-account.ts";
import { formatBarrierEntry, parseBarrierEntry } from "../../core/barrier/entry.ts";
import { fault, reasonOf } from "../../core/errors.ts";
import { formatRevision } from "../../core/revision.ts";
import { subjectsOf } from "../../core/subjects.ts";
import { createScope } from "../../runtime/scope.ts";
import { type CliContext, examples, logFor, print, readConfig } from "../support/context.ts";
import { otherListeners } from "../support/listeners.ts";

type Options = { user?: string; json?: boolean };
type SessionRow = {
  server: string;
  cid: number;
  user: string;
  token: string;
  sid: string;
  revision: string;
  hash: string;
};

export function addSessionCommands(program: Command, context: CliContext): void {
  program
    .command("sessions")
    .description("List the sessions of nats-server: user, token, and the revision of their rights.")
    .option("--user <uuid>", "this user's only")
    .option("--json", "as JSON")
    .addHelpText("after", examples(["arvados-nats sessions --user zzzzz-tpzed-0123456789abcde", "one user's"]))
    .action(async ({ user, json }: Options, command: Command) => {
      const rows = await withSystem(context, command, ({ list }) => list(user));
      if (json) return print(context, JSON.stringify(rows, null, 2));
      for (const row of rows) print(context, Object.values(row).join("  "));
      print(context, `${rows.length} sessions`);
    });

  program
    .command("kick")
    .description("Close the sessions of a user. Clients reconnect by themselves, with current rights.")
    .requiredOption("--user <uuid>", "all sessions of this user")
    .addHelpText(
      "after",
      examples(["arvados-nats kick --user zzzzz-tpzed-0123456789abcde", "make a user log in again"]),
    )
    .action(async ({ user }: { user: string }, command: Command) => {
      const kicked = await withSystem(context, command, async ({ list, kick }) => {
        const rows = await list(user);
        const results = await Promise.all(rows.map((row) => kick(row)));
        return { asked: rows.length, gone: results.filter(Boolean).length };
      });
      print(context, `${kicked.gone} of ${kicked.asked} sessions closed`);
      if (kicked.gone < kicked.asked) context.exitCode = 1;
    });

  const servers = program
    .command("servers")
    .description(
      "List the nats-servers that were seen, and whether each answers. Record events wait for a server that does not.",
    )
    .option("--json", "as JSON")
    .action(async ({ json }: Options, command: Command) => {
      const rows = await withSystem(context, command, ({ servers }) => servers());
      if (json) return print(context, JSON.stringify(rows, null, 2));
      for (const { name, id, answers } of rows) print(context, `${name}  ${id}  ${answers ? "answers" : "SILENT"}`);
    });
  servers
    .command("doors")
    .argument("<url...>", "where a nats-server answers monitoring requests, like http://nats-0:8222")
    .description(
      "Report nats-servers that listen for leafnodes, MQTT or gateways. Connections to these are in no listing of sessions and cannot be cut: the callout refuses them, but a listener with users of its own does not ask the callout. Ends with 1 if there is such a listener or a server does not answer.",
    )
    .addHelpText("after", examples(["arvados-nats servers doors http://127.0.0.1:8222", "the server on this host"]))
    .action(async (urls: string[]) => {
      for (const url of urls) {
        const found = await otherListeners(url).catch((error) => reasonOf(error));
        if (typeof found === "string") print(context, `bad  ${url}  does not answer: ${found}`);
        else if (found.listeners.length === 0) print(context, `ok   ${found.name}  has no other listener`);
        else print(context, `bad  ${found.name}  listens for ${found.listeners.join(", ")}`);
        if (typeof found === "string" || found.listeners.length > 0) context.exitCode = 1;
      }
    });
  servers
    .command("forget")
    .argument("<name>", "as `servers` shows it")
    .description(
      "Declare that a server is gone for good, so that record events no longer wait for it. Use it only after its process has ended.",
    )
    .addHelpText("after", examples(["arvados-nats servers forget nats-2", "its host is lost"]))
    .action(async (name: string, _options: object, command: Command) => {
      await withSystem(context, command, ({ forget }) => forget(name));
      print(context, `${name} is forgotten`);
    });
}

type SeenServer = { name: string; id: string; answers: boolean };
type Tools = {
  list(user?: string): Promise<SessionRow[]>;
  kick(row: SessionRow): Promise<boolean>;
  servers(): Promise<SeenServer[]>;
  forget(name: string): Promise<void>;
};

async function withSystem<T>(context: CliContext, command: Command, work: (tools: Tools) => Promise<T>): Promise<T> {
  const loaded = readConfig(context, command, "authcallout");
  const log = logFor(context, loaded);
  const { config } = loaded;
  const { connectService } = await import("../../runtime/nats/service-connection.ts");
  const { jetstream, jetstreamManager } = await import("@nats-io/jetstream");
  await using scope = createScope();
  const connect = (account: "SYS" | "CORE") =>
    connectService({ config, service: "authcallout", account, log, scope, anyVersion: true });
  const system = systemAccount(await connect("SYS"), "APP", Date.now);
  const core = await connect("CORE");
  const subjects = subjectsOf(config.clusterId);

  const seen = async (): Promise<SeenServer[]> => {
    const jsm = await jetstreamManager(core);
    const answering = await system.servers();
    const known = new Map(answering.map(({ name, id }) => [name, { name, id, answers: true }]));
    const filter = subjects.barrierServers;
    const { state } = await jsm.streams.info("BARRIER", { subjects_filter: filter });
    for (const subject of Object.keys(state.subjects ?? {})) {
      const message = await jsm.streams.getMessage("BARRIER", { last_by_subj: subject });
      const entry = parseBarrierEntry(message?.string() ?? "");
      if (entry?.kind !== "server" || entry.id === null || known.has(entry.name)) continue;
      known.set(entry.name, { name: entry.name, id: entry.id, answers: false });
    }
    return [...known.values()];
  };
  return await work({
    async list(user) {
      const rows: SessionRow[] = [];
      for (const { id } of await system.servers()) {
        for (const { cid, name } of await system.sessionsOf(id, Date.now())) {
          if (user !== undefined && name.user !== user) continue;
          const { key, revision, hash } = name;
          const { sessionToken: token, sid } = key;
          rows.push({ server: id, cid, user: name.user, token, sid, revision: formatRevision(revision), hash });
        }
      }
      return rows;
    },
    kick: ({ server, cid }) => system.kick(server, cid),
    servers: seen,
    async forget(name) {
      if (!(await seen()).some((server) => server.name === name)) throw fault("server.unknown", { name });
      await jetstream(core).publish(
        subjects.barrierServer(name),
        formatBarrierEntry({ kind: "server", name, id: null }),
      );
    },
  });
}
