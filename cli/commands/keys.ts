/** `keys`: the nkeys and curve keys of a new installation, made here and kept nowhere but where the output goes. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { generateKeys } from "../../streams-config/keys.ts";
import { formatManifests, keysEnvironment, keysSecret, publicKeysSecret } from "../../streams-config/keys-manifest.ts";
import { type CliContext, examples, print } from "../context.ts";
import { createSecret, podApi } from "../kubernetes.ts";

type Options = {
  format: "secret" | "env";
  name: string;
  namespace?: string;
  natsNamespace?: string;
  create?: boolean;
};

export function addKeysCommand(program: Command, context: CliContext): void {
  program
    .command("keys")
    .summary("make the keys of a new installation, as a Secret or an environment file")
    .description(
      "Make the keys of a new installation: the callout's account key and curve key, and an nkey for each service and account. They are printed once and stored nowhere: send the output to a file that only you can read, or straight to kubectl. Each run makes other keys.",
    )
    .addOption(
      new Option("--format <form>", "a Kubernetes Secret, or NAME=value lines for systemd")
        .choices(["secret", "env"] satisfies Options["format"][])
        .default("secret" satisfies Options["format"]),
    )
    .addOption(new Option("--name <name>", "the Secret's name").argParser(kubernetesName).default("arvados-nats-keys"))
    .addOption(new Option("--namespace <name>", "the Secret's namespace").argParser(kubernetesName))
    .addOption(
      new Option("--nats-namespace <name>", "print a second Secret with the public keys only, for nats-server there")
        .argParser(kubernetesName)
        .conflicts("create"),
    )
    .option("--create", "make the Secret in the cluster that this pod runs in, unless it is there; print no key")
    .addHelpText(
      "after",
      examples(
        ["arvados-nats keys --namespace arvados | kubectl create -f -", "Kubernetes"],
        ["(umask 077; arvados-nats keys --format env > /etc/arvados-nats/keys.env)", "plain hosts"],
      ),
    )
    .action(async ({ format, name, namespace, natsNamespace, create }: Options) => {
      const keys = generateKeys();
      const place = { name, ...(namespace === undefined ? {} : { namespace }) };
      if (create) {
        const outcome = await createSecret(await podApi(context.env), keysSecret(keys, place));
        print(context, outcome === "created" ? `made Secret ${name}` : `Secret ${name} is there: left as it is`);
        return;
      }
      const manifests = [
        keysSecret(keys, place),
        ...(natsNamespace === undefined
          ? []
          : [publicKeysSecret(keys, { name: `${name}-public`, namespace: natsNamespace })]),
      ];
      // As it is, without a line of ours around it: this goes into a file or a pipe.
      context.out(format === "env" ? keysEnvironment(keys) : formatManifests(manifests));
    });
}

function kubernetesName(text: string): string {
  if (!/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(text))
    throw new InvalidArgumentError("It must be of a-z, 0-9, - and ., not begin or end with - or ., and not be empty.");
  return text;
}
