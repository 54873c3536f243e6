/** docs/reference.md: settings, errors, close codes and metrics, from the tables that declare them. `derived.ts` writes it. */
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

\`npm run derive\` writes this page from the code. Do not edit it.

## Settings
A later source overrides an earlier one: defaults, Arvados' \`config.yml\` (\`--config\`), the settings file (\`--settings\`), the environment.
The value of a secret may be \`@/path\`, a file that holds it. \`arvados-nats config print\` shows each value and its source.

${settingsReference()}

\`ARVADOS_CONFIG\` and \`ARVADOS_NATS_SETTINGS\` name the two files; \`NODE_EXTRA_CA_CERTS\` adds a CA for nats-server and PostgreSQL.

## Errors
\`config\`: the command exits with 2 · \`retry\`: the process tries again by itself · \`deny\`: a client is refused with this code · \`abort\`: the
request is not answered · \`bug\`: the process ends.

${table(["code", "handling", "says", "remedy"], errors)}

## Close codes
The reason why a session or a tail ends, or of a notice. "Reconnect" says whether the same token can succeed again.

${table(["code", "name", "says", "reconnect"], closeCodes)}

## Metrics
Each service exports them at \`/metrics\` of its admin port, beside \`process_*\` and \`nodejs_*\`.

${table(["name", "kind", "labels", "meaning"], metrics)}
`;
}

function table(head: string[], rows: string[][]): string {
  return [head, head.map(() => "---"), ...rows]
    .map((cells) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")} |`)
    .join("\n");
}
