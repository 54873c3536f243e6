/** What `doctor` finds in Arvados' database. Pure: facts in, findings out. */
import { declaredPublications, type SetupNames } from "../../bridge/setup-db.ts";
import { LOG_COLUMNS, OPTIONAL_TABLES, TABLES, type TableName } from "../../bridge/tables.ts";
import { type AuditFacts, auditFinding } from "./audit.ts";
import { type ClockFacts, clockFinding } from "./clock.ts";
import { type Finding, formatBytes, judge, type Look, ok, problem } from "./finding.ts";
import { type Publication, publicationFinding } from "./publications.ts";
import { overScopesFindings } from "./token-scopes.ts";

/** A row of `pg_replication_slots`; what the PostgreSQL at hand does not have is missing. */
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
  server: Look<{ version: number; text: string; isStandby: boolean }>;
  walLevel: Look<string>;
  /** `max_slot_wal_keep_size` in bytes; null = no bound, or none can be set. */
  walKept: Look<number | null>;
  /** By table, each column of it and whether the role may read it. */
  columns: Look<Record<string, Record<string, boolean>>>;
  /** A replication connection, as the bridge opens one. */
  replication: Look<unknown>;
  publications: Look<Record<string, Publication>>;
  slot: Look<SlotFacts | null>;
  clock: Look<ClockFacts>;
  audit: Look<AuditFacts>;
  /** Tokens with more scopes than count. */
  overScopes?: Look<string[]>;
};

export type DatabaseQuestion = {
  /** How a person finds it: host:port/database. */
  address: string;
  database: string;
  role: string;
  names: SetupNames;
  staleness: number;
  publishSilent: boolean;
};

const RETRY = "look at what PostgreSQL's log says about it";
const GRANT_REMEDY = (role: string) =>
  `as a superuser: GRANT USAGE ON SCHEMA public TO ${role}; GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${role}`;

export function databaseFindings(question: DatabaseQuestion, facts: DatabaseFacts): Finding[] {
  const { names, staleness, role } = question;
  const tables = "seen" in facts.columns ? presentTables(facts.columns.seen) : (Object.keys(TABLES) as TableName[]);
  const version = "seen" in facts.server ? facts.server.seen.version : Number.POSITIVE_INFINITY;
  return [
    judge("PostgreSQL", facts.server, RETRY, (server) => serverFinding(server, question)),
    judge("wal_level", facts.walLevel, RETRY, walLevelFinding),
    judge("tables", facts.columns, GRANT_REMEDY(role), tablesFinding),
    judge("grants", facts.columns, GRANT_REMEDY(role), (columns) => grantsFinding(columns, role)),
    replicationFinding(facts.replication, role),
    ...declaredPublications(names, tables).map((declared) =>
      publicationFinding(declared, pick(facts.publications, declared.name), version),
    ),
    judge(`slot ${names.slot}`, facts.slot, RETRY, (slot) => slotFinding(slot, question)),
    judge("retained WAL", both(facts.slot, facts.walKept), RETRY, ([slot, bound]) => walFinding(slot, bound)),
    clockFinding("PostgreSQL's clock", facts.clock, staleness),
    auditFinding(facts.audit, question.publishSilent),
    ...overScopesFindings(facts.overScopes),
  ];
}

function serverFinding(
  { version, text, isStandby }: { version: number; text: string; isStandby: boolean },
  { address, role }: DatabaseQuestion,
): Finding {
  const saw = `${text} at ${address}, as ${role}`;
  if (isStandby) return problem("bad", "PostgreSQL", `${saw}: a standby`, "point postgres.host at the primary");
  if (version < 130_000) {
    return problem("bad", "PostgreSQL", saw, "upgrade it: the bridge needs what PostgreSQL 13 says about slots");
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

/** The tables that are there with all columns that are read. */
function presentTables(columns: Record<string, Record<string, boolean>>): TableName[] {
  return (Object.keys(TABLES) as TableName[]).filter((table) =>
    TABLES[table].every((column) => columns[table]?.[column] !== undefined),
  );
}

const READ = Object.entries({ ...TABLES, logs: LOG_COLUMNS }) as [TableName | "logs", readonly string[]][];

function tablesFinding(columns: Record<string, Record<string, boolean>>): Finding {
  const missing = READ.flatMap(([table, wanted]) => {
    const there = columns[table];
    if (there === undefined) return (OPTIONAL_TABLES as readonly string[]).includes(table) ? [] : [`table ${table}`];
    return wanted.filter((column) => there[column] === undefined).map((column) => `${table}.${column}`);
  });
  if (missing.length === 0) return ok("tables", `all ${Object.keys(columns).length} are Arvados' own`);
  return problem(
    "bad",
    "tables",
    `missing: ${missing.join(", ")}`,
    "check that postgres.dbname is Arvados' own database, and that its migrations have run",
  );
}

function grantsFinding(columns: Record<string, Record<string, boolean>>, role: string): Finding {
  const hidden = READ.flatMap(([table, wanted]) => {
    const there = columns[table] ?? {};
    const lacking = wanted.filter((column) => there[column] === false);
    if (lacking.length === 0) return [];
    return lacking.length === wanted.length ? [table] : lacking.map((column) => `${table}.${column}`);
  });
  if (hidden.length === 0) return ok("grants", `${role} may read all that the bridge reads`);
  return problem("bad", "grants", `${role} may not read ${hidden.join(", ")}`, GRANT_REMEDY(role));
}

function replicationFinding(look: Look<unknown>, role: string): Finding {
  if ("seen" in look) return ok("replication", `${role} may replicate`);
  return problem(
    "bad",
    "replication",
    look.failed,
    `ALTER ROLE ${role} REPLICATION; let pg_hba.conf admit it, and max_wal_senders leave room`,
  );
}

function slotFinding(slot: SlotFacts | null, { names, database }: DatabaseQuestion): Finding {
  const name = `slot ${names.slot}`;
  if (slot === null) {
    const todo =
      "first start: run `arvados-nats setup-db`. Else it was dropped: the bridge makes it anew under a new epoch, and what was committed in between is in no stream";
    return problem("bad", name, "there is none", todo);
  }
  if (slot.database !== database) {
    const todo = "choose another name for one of them (replication.slot)";
    return problem("bad", name, `belongs to database ${slot.database ?? "(none)"}`, todo);
  }
  if (slot.plugin !== "pgoutput") {
    const todo = "somebody else uses this name: choose another one (replication.slot)";
    return problem("bad", name, `is one of ${slot.plugin ?? "physical replication"}`, todo);
  }
  if (slot.wal_status === "lost" || slot.invalidation_reason) {
    const saw = `is lost${slot.invalidation_reason ? ` (${slot.invalidation_reason})` : ""}`;
    const todo =
      "start the bridge: it makes the slot anew under a new epoch. What was committed in between is in no stream; raise max_slot_wal_keep_size";
    return problem("bad", name, saw, todo);
  }
  if (slot.active_pid === null) {
    return problem("warn", name, "nobody reads it", "start the bridge, or see in its /readyz why it does not lead");
  }
  return ok(name, `is read by backend ${slot.active_pid}`);
}

/** What is kept is a matter of course for `sync_interval` and a margin; half of the bound is not. */
function walFinding(slot: SlotFacts | null, bound: number | null): Finding {
  const name = "retained WAL";
  const kept = slot?.retained ?? null;
  if (kept === null) return ok(name, "none: no slot keeps any for us");
  const saw = `${formatBytes(kept)}${bound === null ? ", without a bound" : ` of at most ${formatBytes(bound)}`}`;
  if (bound === null) {
    const todo =
      "ALTER SYSTEM SET max_slot_wal_keep_size = '50GB' (what the disk can spare), then SELECT pg_reload_conf(): else a bridge that is gone fills PostgreSQL's disk";
    return problem("warn", name, saw, todo);
  }
  if (slot?.wal_status === "unreserved" || kept > bound) {
    return problem("bad", name, saw, "the slot is about to be lost: start the bridge, or raise max_slot_wal_keep_size");
  }
  if (kept > bound / 2) return problem("warn", name, saw, "see docs/operate.md, ArvadosNatsWalRetained");
  return ok(name, saw);
}

/** One publication; null = there is none of that name. */
function pick(look: Look<Record<string, Publication>>, name: string): Look<Publication | null> {
  return "seen" in look ? { seen: look.seen[name] ?? null } : look;
}

function both<A, B>(first: Look<A>, second: Look<B>): Look<[A, B]> {
  if ("failed" in first) return first;
  return "failed" in second ? second : { seen: [first.seen, second.seen] };
}
