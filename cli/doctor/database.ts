/** What `doctor` finds in Arvados' database. Pure: facts in, findings out. */
import type { Catalog } from "../../bridge/postgres/catalog.ts";
import { ALL_TABLES, lackingOf } from "../../bridge/postgres/found-tables.ts";
import { declaredPublications, unfitTables } from "../../bridge/postgres/publications.ts";
import type { SetupNames } from "../../bridge/postgres/setup-db.ts";
import { READ_TABLES } from "../../bridge/postgres/tables.ts";
import { type AuditFacts, auditFinding } from "./audit.ts";
import { type ClockFacts, clockFinding } from "./clock.ts";
import { type ContentFacts, contentFinding } from "./content.ts";
import { deepProjectFindings } from "./deep-projects.ts";
import { type Finding, findingOf, formatBytes, ok, problem, type Reading } from "./finding.ts";
import { publicationFinding } from "./publications.ts";
import { overScopesFindings } from "./token-scopes.ts";

/** A row of `pg_replication_slots`; columns that this PostgreSQL does not have are missing. */
export type SlotFacts = {
  database: string | null;
  plugin: string | null;
  active_pid: number | null;
  wal_status?: string | null;
  invalidation_reason?: string | null;
  /** Bytes of WAL that it keeps. */
  retained: number | null;
};

export type DatabaseFacts = {
  /** As `server_version_num`. */
  server: Reading<{ version: number; text: string; isStandby: boolean }>;
  walLevel: Reading<string>;
  /** `max_slot_wal_keep_size` in bytes; null = no bound, or none can be set. */
  walKept: Reading<number | null>;
  /** By table, each column of it and whether the role may read it. */
  columns: Reading<Record<string, Record<string, boolean>>>;
  /** Tables in which row-level security hides rows from the role. */
  hidden: Reading<string[]>;
  /** A replication connection, as the bridge opens one. */
  replication: Reading<unknown>;
  /** Tables, what has their names, and publications. */
  catalog: Reading<Catalog>;
  slot: Reading<SlotFacts | null>;
  clock: Reading<ClockFacts>;
  audit: Reading<AuditFacts>;
  content: Reading<ContentFacts>;
  /** Tokens with more scopes than count. */
  overScopes?: Reading<string[]>;
  /** Projects that are nested too deep for subjects. */
  deepProjects?: Reading<string[]>;
};

type DatabaseQuestion = {
  /** As host:port/database. */
  address: string;
  database: string;
  role: string;
  /** Of Arvados' tables. Default `public`. */
  schema?: string;
  names: SetupNames;
  staleness: number;
  publishSilent: boolean;
};

const RETRY = "see PostgreSQL's log";

export function databaseFindings(question: DatabaseQuestion, facts: DatabaseFacts): Finding[] {
  const { names, staleness, role, schema = ALL_TABLES.schema } = question;
  const grantRemedy = `as a superuser: GRANT USAGE ON SCHEMA ${schema} TO ${role}; GRANT SELECT ON ALL TABLES IN SCHEMA ${schema} TO ${role}`;
  return [
    findingOf("PostgreSQL", facts.server, RETRY, (server) => serverFinding(server, question)),
    findingOf("wal_level", facts.walLevel, RETRY, walLevelFinding),
    findingOf("tables", facts.catalog, RETRY, tablesFinding),
    findingOf("grants", facts.columns, grantRemedy, (columns) => grantsFinding(columns, role, grantRemedy)),
    findingOf("row security", facts.hidden, grantRemedy, (hidden) => rowSecurityFinding(hidden, role)),
    replicationFinding(facts.replication, role),
    ...publicationFindings(names, facts.catalog),
    findingOf(`slot ${names.slot}`, facts.slot, RETRY, (slot) => slotFinding(slot, question)),
    findingOf("retained WAL", both(facts.slot, facts.walKept), RETRY, ([slot, bound]) => walFinding(slot, bound)),
    clockFinding("PostgreSQL's clock", facts.clock, staleness),
    contentFinding(facts.content),
    auditFinding(facts.audit, question.publishSilent),
    ...overScopesFindings(facts.overScopes),
    ...deepProjectFindings(facts.deepProjects),
  ];
}

function serverFinding(
  { version, text, isStandby }: { version: number; text: string; isStandby: boolean },
  { address, role }: DatabaseQuestion,
): Finding {
  const saw = `${text} at ${address}, as ${role}`;
  if (isStandby) return problem("bad", "PostgreSQL", `${saw}: a standby`, "point postgres.host at the primary");
  if (version < 130_000) {
    return problem("bad", "PostgreSQL", saw, "upgrade it: the bridge needs what PostgreSQL 13 tells about slots");
  }
  if (version >= 150_000) return ok("PostgreSQL", saw);
  return problem(
    "warn",
    "PostgreSQL",
    `${saw}: publishes whole tables, secrets and manifests included`,
    "upgrade to PostgreSQL 15 or newer, and have TLS between it and the bridge until then",
  );
}

function walLevelFinding(level: string): Finding {
  if (level === "logical") return ok("wal_level", level);
  return problem("bad", "wal_level", level, "ALTER SYSTEM SET wal_level = 'logical'; then restart PostgreSQL");
}

type GrantedColumns = Record<string, Record<string, boolean>>;

function tablesFinding(catalog: Catalog): Finding {
  const { tables, schema } = catalog;
  const lacking = lackingOf(Object.fromEntries(tables.map(({ name, columns }) => [name, columns])));
  const missing = lacking.filter(({ loss }) => loss === null);
  if (missing.length > 0) {
    return problem(
      "bad",
      "tables",
      `missing in schema ${schema}: ${missing.map(({ what }) => what).join(", ")}`,
      "check that postgres.dbname is Arvados' own database and replication.schema the schema of its tables, and that its migrations have run",
    );
  }
  const unfit = unfitTables(catalog);
  if (unfit.length > 0) {
    const sql = unfit.flatMap((it) => (it.sql === null ? [] : [it.sql]));
    const todo = sql.length > 0 ? `as its owner: ${sql.join("; ")}` : "put Arvados' own table in its place";
    return problem("bad", "tables", unfit.map(({ what }) => what).join("; "), todo);
  }
  if (lacking.length === 0) return ok("tables", `all ${tables.length} are Arvados' own`);
  const losses = lacking.map(({ what, loss }) => `without ${what}: ${loss}`);
  return problem(
    "warn",
    "tables",
    losses.join("; "),
    "nothing, if this version of Arvados has no such table or column; otherwise upgrade Arvados",
  );
}

function publicationFindings(names: SetupNames, reading: Reading<Catalog>): Finding[] {
  if ("seen" in reading) {
    return declaredPublications(names, reading.seen).map((declared) => publicationFinding(declared, reading.seen));
  }
  return [names.publication, names.logPublication].map((name) =>
    problem("unknown", `publication ${name}`, reading.failed, "see above"),
  );
}

function grantsFinding(columns: GrantedColumns, role: string, remedy: string): Finding {
  const hidden = Object.entries(READ_TABLES as Record<string, readonly string[]>).flatMap(([table, wanted]) => {
    const there = columns[table] ?? {};
    const lacking = wanted.filter((column) => there[column] === false);
    if (lacking.length === 0) return [];
    return lacking.length === wanted.length ? [table] : lacking.map((column) => `${table}.${column}`);
  });
  if (hidden.length === 0) return ok("grants", `${role} may read all that the bridge reads`);
  return problem("bad", "grants", `${role} may not read ${hidden.join(", ")}`, remedy);
}

function rowSecurityFinding(hidden: readonly string[], role: string): Finding {
  if (hidden.length === 0) return ok("row security", `hides nothing from ${role}`);
  return problem(
    "bad",
    "row security",
    `hides rows of ${hidden.join(", ")} from ${role}: a right or a revocation may be among them`,
    `as a superuser: ALTER ROLE ${role} BYPASSRLS, or ALTER TABLE ${hidden[0]} DISABLE ROW LEVEL SECURITY`,
  );
}

function replicationFinding(reading: Reading<unknown>, role: string): Finding {
  if ("seen" in reading) return ok("replication", `${role} may replicate`);
  return problem(
    "bad",
    "replication",
    reading.failed,
    `ALTER ROLE ${role} REPLICATION; let pg_hba.conf admit it, and max_wal_senders leave room`,
  );
}

function slotFinding(slot: SlotFacts | null, { names, database }: DatabaseQuestion): Finding {
  const name = `slot ${names.slot}`;
  if (slot === null) {
    const todo =
      "first start: run `arvados-nats setup-db`. After that it was dropped: the bridge creates it again under a new epoch, and what was committed in between is in no stream";
    return problem("bad", name, "there is none", todo);
  }
  if (slot.database !== database) {
    const todo = "choose another name for one of them (replication.slot)";
    return problem("bad", name, `belongs to database ${slot.database ?? "(none)"}`, todo);
  }
  if (slot.plugin !== "pgoutput") {
    const todo = "another program uses this name: choose another one (replication.slot)";
    return problem("bad", name, `is one of ${slot.plugin ?? "physical replication"}`, todo);
  }
  if (slot.wal_status === "lost" || slot.invalidation_reason) {
    const saw = `is lost${slot.invalidation_reason ? ` (${slot.invalidation_reason})` : ""}`;
    const todo =
      "start the bridge: it creates the slot again under a new epoch. What was committed in between is in no stream; raise max_slot_wal_keep_size";
    return problem("bad", name, saw, todo);
  }
  if (slot.active_pid === null) {
    return problem("warn", name, "nobody reads it", "start the bridge, or see in its /readyz why it does not lead");
  }
  return ok(name, `is read by backend ${slot.active_pid}`);
}

/** WAL of `sync_interval` and a margin is always kept; half of the bound is too much. */
function walFinding(slot: SlotFacts | null, bound: number | null): Finding {
  const name = "retained WAL";
  const kept = slot?.retained ?? null;
  if (kept === null) return ok(name, "none: no slot keeps any for us");
  const saw = `${formatBytes(kept)}${bound === null ? ", without a bound" : ` of at most ${formatBytes(bound)}`}`;
  if (bound === null) {
    const todo =
      "ALTER SYSTEM SET max_slot_wal_keep_size = '50GB' (what the disk can spare), then SELECT pg_reload_conf(): otherwise a bridge that is gone fills PostgreSQL's disk";
    return problem("warn", name, saw, todo);
  }
  if (slot?.wal_status === "unreserved" || kept > bound) {
    return problem("bad", name, saw, "the slot is about to be lost: start the bridge, or raise max_slot_wal_keep_size");
  }
  if (kept > bound / 2) return problem("warn", name, saw, "see docs/operate.md, ArvadosNatsWalRetained");
  return ok(name, saw);
}

function both<A, B>(first: Reading<A>, second: Reading<B>): Reading<[A, B]> {
  if ("failed" in first) return first;
  return "failed" in second ? second : { seen: [first.seen, second.seen] };
}
