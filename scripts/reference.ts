/** docs/reference.md: settings, errors, close codes and metrics, from the tables in which they are declared. */
import { CLOSE_CODES } from "../core/close-codes.ts";
import { ERRORS } from "../core/errors.ts";
import { settingsReference } from "../runtime/config/describe.ts";
import { allMetrics } from "./metrics.ts";

export function reference(): string {
  const errors = Object.entries(ERRORS).map(([code, { handling, message, remedy }]) => [
    `\`${code}\``,
    handling,
    message,
    remedy,
  ]);
  const closeCodes = Object.entries(CLOSE_CODES).map(([name, { code, reason, reconnect }]) => [
    String(code),
    `\`${name}\``,
    reason,
    reconnect ? "yes" : "no",
  ]);
  const metrics = allMetrics().map(({ name, kind, labels, help }) => [
    `\`${name}\``,
    kind,
    labels.map((label) => `\`${label}\``).join(", "),
    help,
  ]);
  return `# Reference

Derived from the code by \`npm run derive\`: not to be edited.

## Settings
Later wins: defaults, Arvados' \`config.yml\` (\`--config\`), the settings file (\`--settings\`), the environment. Of a secret, the
value may be \`@/path\`. \`arvados-nats config print\` shows what is in force and why.

${settingsReference()}

Besides: \`ARVADOS_CONFIG\` and \`ARVADOS_NATS_SETTINGS\` name the two files; \`NODE_EXTRA_CA_CERTS\` adds a CA for nats-server and PostgreSQL.

## Errors
\`config\`: the command ends with 2 · \`retry\`: it tries again by itself · \`deny\`: a client is refused, with this code · \`abort\`: it
stays silent · \`bug\`: the process ends.

${table(["code", "handling", "says", "remedy"], errors)}

## Close codes
Why a session or a tail ends, or gets a notice. "Reconnect": whether the same token can succeed.

${table(["code", "name", "says", "reconnect"], closeCodes)}

## Metrics
At \`/metrics\` of each service's admin port, beside \`process_*\` and \`nodejs_*\`.

${table(["name", "kind", "labels", "meaning"], metrics)}
`;
}

function table(head: string[], rows: string[][]): string {
  return [head, head.map(() => "---"), ...rows]
    .map((cells) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")} |`)
    .join("\n");
}
