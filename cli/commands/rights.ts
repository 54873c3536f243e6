/** `explain`, `impact`, `whoami`: who may read what, why, and what a change would do. The first two load GRAPH and change nothing;
 * `whoami` logs in as any client does. */
import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { fault, reasonOf } from "../../core/errors.ts";
import type { PermissionGraph } from "../../core/graph/permission-graph.ts";
import { subjectsOf } from "../../core/subjects.ts";
import { resourceOf } from "../../core/uuid.ts";
import { createScope } from "../../runtime/scope.ts";
import { type CliContext, examples, logFor, print, readConfig } from "../support/context.ts";

/** A whole commit is in GRAPH at any moment but while one is written, unless no bridge has ever run. */
const PATIENCE_MS = 60_000;

export function addRightsCommands(program: Command, context: CliContext): void {
  program
    .command("explain")
    .argument("<user>", "the user's uuid")
    .argument("<object>", "the object's uuid")
    .option("--owner <uuid>", "the object's owner, where the graph does not hold it (collections, workflows)")
    .description("Say whether a user may read an object, and by which links. Ends with 1 if the user may not.")
    .addHelpText(
      "after",
      examples(["arvados-nats explain zzzzz-tpzed-0123456789abcde zzzzz-j7d0g-0123456789abcde", "why, or why not"]),
    )
    .action(async (user: string, uuid: string, { owner }: { owner?: string }, command: Command) => {
      const resource = resourceOf(uuid);
      if (resource === null) throw fault("object.uuid", { uuid });
      const graph = await readGraph(context, command);
      const object = { uuid, resource, owner: owner ?? graph.ownerOf(uuid) };
      const { allowed, steps } = graph.explain(user, object, Date.now());
      for (const step of steps) print(context, `  ${step}`);
      print(context, `${user} ${allowed ? "may" : "may not"} read ${uuid}`);
      if (!allowed) context.exitCode = 1;
    });

  program
    .command("impact")
    .requiredOption("--unlink <uuid>", "the permission link that would be deleted")
    .description("List the users whose rights would shrink if a permission link were deleted. Deletes nothing.")
    .addHelpText("after", examples(["arvados-nats impact --unlink zzzzz-o0j2j-0123456789abcde", "before you do it"]))
    .action(async ({ unlink }: { unlink: string }, command: Command) => {
      // Applied to this process' copy of the graph only.
      const graph = await readGraph(context, command);
      const effect = graph.apply([{ kind: "link", uuid: unlink, row: null }]);
      for (const user of [...effect.shrank].sort()) print(context, user);
      print(
        context,
        `${effect.shrank.size} users would lose rights${effect.rerouted ? "; shares with large roles change" : ""}`,
      );
    });

  program
    .command("whoami")
    .requiredOption("--token-file <file>", "file with an Arvados token, or - for standard input")
    .description("Log in with a token, and print its user and what it may subscribe to.")
    .addHelpText(
      "after",
      examples(["arvados-nats whoami --token-file ~/.config/arvados/token", "never as an argument"]),
    )
    .action(async ({ tokenFile }: { tokenFile: string }, command: Command) => {
      const { config } = readConfig(context, command);
      const token = (await readFile(tokenFile === "-" ? "/dev/stdin" : tokenFile, "utf8")).trim();
      context.secrets.push(token);
      const { connect } = await import("@nats-io/transport-node");
      const { connectOptions, createClient, sessionId } = await import("../../client/mod.ts");
      const { serversOf, tlsOf } = await import("../../runtime/nats/connection.ts");
      const sid = sessionId();
      const { clusterId, natsUrl } = config;
      const servers = { servers: serversOf(natsUrl), ...tlsOf(natsUrl) };
      const options = { ...servers, ...(await connectOptions(token, sid)), reconnect: false };
      const nc = await connect(options).catch((error: unknown) => {
        throw fault("login.refused", { url: natsUrl, reason: reasonOf(error) }, { cause: error });
      });
      const client = await createClient({ nc, clusterId, token, sid });
      print(context, JSON.stringify(await client.whoami(), null, 2));
      client.close();
      await nc.close();
    });
}

/** The graph as of the last whole commit, in this process only. */
async function readGraph(context: CliContext, command: Command): Promise<PermissionGraph> {
  const loaded = readConfig(context, command, "authcallout");
  const { config } = loaded;
  const { connectService } = await import("../../runtime/nats/service-connection.ts");
  const { replicaGraphOptions } = await import("../../replica/replica-settings.ts");
  const { loadGraph } = await import("../../replica/load-graph.ts");
  const { jetstreamManager } = await import("@nats-io/jetstream");
  await using scope = createScope();
  const log = logFor(context, loaded);
  const nc = await connectService({ config, service: "authcallout", account: "CORE", log, scope, anyVersion: true });
  const { graph } = await loadGraph({
    jsm: await jetstreamManager(nc),
    subjects: subjectsOf(config.clusterId),
    graph: replicaGraphOptions(config),
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  return graph;
}
