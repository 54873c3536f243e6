/** `keys`: creates the nkeys and curve keys of a new installation. They are kept only where the output goes. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { generateKeys } from "../../streams-config/keys.ts";
import {
  formatManifests,
  keysEnvironmentFiles,
  keysSecret,
  publicKeysSecret,
} from "../../streams-config/keys-manifest.ts";
import { type CliContext, examples, print } from "../support/context.ts";
import { readKeysInUse } from "../support/keys-in-use.ts";
import { createSecret, podApi } from "../support/kubernetes.ts";

type Options = {
  name: string;
  namespace?: string;
  natsNamespace?: string;
  create?: boolean;
  write?: string;
  replace?: string;
};

export function addKeysCommand(program: Command, context: CliContext): void {
  program
    .command("keys")
    .summary("create the keys of a new installation, as a Secret or as environment files")
    .description(
      `Create the keys of a new installation: the callout's account key and curve key, and an nkey for each service and account. They are printed once and stored nowhere: send the output to a file that only you can read, or directly to kubectl. Each run creates new keys.

To change the keys of an installation that runs (docs/operate.md, Keys), name those in use with --replace. Then the output has two parts: the new keys, and in NAME-both or FOLDER/both the new keys together with the old ones. With both, services work with nats-servers that know either.`,
    )
    .addOption(new Option("--name <name>", "the Secret's name").argParser(kubernetesName).default("arvados-nats-keys"))
    .addOption(new Option("--namespace <name>", "the Secret's namespace").argParser(kubernetesName))
    .addOption(
      new Option("--nats-namespace <name>", "print a second Secret with the public keys only, for nats-server there")
        .argParser(kubernetesName)
        .conflicts("create"),
    )
    .option("--create", "create the Secret in the cluster that this pod runs in, unless it exists; print no key")
    .addOption(
      new Option(
        "--write <folder>",
        "write one environment file for each program there, for plain hosts; print no key",
      ).conflicts(["create", "natsNamespace"]),
    )
    .addOption(
      new Option(
        "--replace <place>",
        "the keys in use: the folder that --write made, or a file (-: standard input) with the Secret",
      ).conflicts("create"),
    )
    .addHelpText(
      "after",
      examples(
        ["arvados-nats keys --namespace arvados | kubectl create -f -", "Kubernetes"],
        ["arvados-nats keys --write /etc/arvados-nats/keys", "plain hosts"],
        ["arvados-nats keys --write /etc/arvados-nats/keys-2 --replace /etc/arvados-nats/keys", "change them"],
      ),
    )
    .action(async ({ name, namespace, natsNamespace, create, write, replace }: Options) => {
      const keys = generateKeys();
      const inUse = replace === undefined ? undefined : await readKeysInUse(replace);
      if (write !== undefined) {
        // nats-server knows one key of each kind, the new one.
        const { "nats-server.env": _, ...both } = inUse ? keysEnvironmentFiles(keys, inUse) : {};
        const files = [
          ...(await writeFiles(write, keysEnvironmentFiles(keys))),
          ...(inUse ? await writeFiles(join(write, "both"), both) : []),
        ];
        for (const file of files) print(context, `wrote ${file}`);
        return;
      }
      const place = { name, ...(namespace === undefined ? {} : { namespace }) };
      if (create) {
        const outcome = await createSecret(await podApi(context.env), keysSecret(keys, place));
        print(context, outcome === "created" ? `made Secret ${name}` : `Secret ${name} is there: left as it is`);
        return;
      }
      const manifests = [
        ...(inUse ? [keysSecret(keys, { ...place, name: `${name}-both` }, inUse)] : []),
        keysSecret(keys, place),
        ...(natsNamespace === undefined
          ? []
          : [publicKeysSecret(keys, { name: `${name}-public`, namespace: natsNamespace })]),
      ];
      // Nothing else is printed: the output goes into a file or a pipe.
      context.out(formatManifests(manifests));
    });
}

/** Readable by their owner only. An existing file is never overwritten: services may run with its keys. */
async function writeFiles(folder: string, files: Readonly<Record<string, string>>): Promise<string[]> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const paths = Object.entries(files).map(([name, text]) => ({ path: join(folder, name), text }));
  for (const { path, text } of paths) await writeFile(path, text, { mode: 0o600, flag: "wx" });
  return paths.map(({ path }) => path);
}

function kubernetesName(text: string): string {
  if (!/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(text))
    throw new InvalidArgumentError(
      "It must consist of a-z, 0-9, - and ., not begin or end with - or ., and not be empty.",
    );
  return text;
}
