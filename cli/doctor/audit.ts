/** Whether Arvados writes the log rows that record events are made of. Pure. */
import { parseDuration } from "../../runtime/config/setting.ts";
import { type Finding, findingOf, ok, problem, type Reading } from "./finding.ts";

export type AuditFacts = {
  /** `AuditLogs` of Arvados' own file; null = that file was not given. Values as written there. */
  config: { maxAge: string; maxDeleteBatch: string } | null;
  /** UTC ms of the newest log row of kind create, update or delete; null = there is none. */
  newestRow: number | null;
  /** UTC ms of the newest `modified_at` of users, groups, links and collections. */
  newestChange: number | null;
  /** UTC ms by PostgreSQL's clock. */
  now: number;
};

/** Arvados' own defaults. */
export const AUDIT_DEFAULTS = { maxAge: "336h", maxDeleteBatch: "0" } as const;

const DEFAULT_MAX_AGE_MS = parseDuration(AUDIT_DEFAULTS.maxAge);

/** Times inside one transaction differ, and some changes (a merge of users) have no row. */
const TOLERANCE_MS = 10 * 60_000;

const NAME = "audit log";

export function auditFinding(reading: Reading<AuditFacts>, publishSilent: boolean): Finding {
  return findingOf(
    NAME,
    reading,
    "let this role read logs, users, groups, links and collections (see grants)",
    (facts) => {
      const off = whyOff(facts);
      if (off === null)
        return facts.newestRow === null ? untold : ok(NAME, `newest row ${formatTime(facts.newestRow)}`);
      const todo =
        "record events are made of these rows: in Arvados' config.yml set AuditLogs.MaxAge to 336h, or AuditLogs.MaxDeleteBatch to 0, and restart Arvados";
      if (publishSilent)
        return problem("warn", NAME, off, `${todo}; until then bridge.publishSilent publishes what it can`);
      return problem("bad", NAME, off, `${todo}; or set bridge.publishSilent`);
    },
  );
}

const untold = problem("unknown", NAME, "nothing was changed recently", "change something in Workbench, and ask again");

function whyOff({ config, newestRow, newestChange, now }: AuditFacts): string | null {
  // With MaxDeleteBatch 0 Arvados keeps rows for ever, whatever MaxAge is.
  if (config && isZero(config.maxAge) && !isZero(config.maxDeleteBatch)) {
    return `is off: AuditLogs.MaxAge is ${config.maxAge} and MaxDeleteBatch ${config.maxDeleteBatch}`;
  }
  if (newestChange === null || newestChange - (newestRow ?? Number.NEGATIVE_INFINITY) <= TOLERANCE_MS) return null;
  // Its log row may have been removed because of its age.
  const maxAge = parseDuration(config?.maxAge ?? "") || DEFAULT_MAX_AGE_MS;
  if (now - newestChange > maxAge) return null;
  const since = newestRow === null ? "there is no row" : `newest row ${formatTime(newestRow)}`;
  return `${since}, but something was changed ${formatTime(newestChange)}`;
}

/** A number, or a duration as Go writes it. */
function isZero(text: string): boolean {
  return !/[1-9]/.test(text);
}

function formatTime(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
}
