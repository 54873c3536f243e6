/**
 * Every failure that the product can name: what happened to what, then what a person does about it (`remedy`). Logs, answers and
 * docs/reference.md show both. `{name}` is filled from the fault's facts.
 *
 * `handling` says what the caller does next: `config` = print the sentence and exit non-zero; `retry` = a failure of ours that passes, so
 * back off and try again (a client sees an outage, `callout.onOutage`); `deny` = a signed refusal to a client; `abort` = no answer;
 * `bug` = end the process.
 */
export type Handling = "config" | "retry" | "deny" | "abort" | "bug";

type ErrorEntry = { handling: Handling; message: string; remedy: string };

export const ERRORS = {
  "config.unreadable": {
    handling: "config",
    message: "the configuration file {file} cannot be read: {reason}",
    remedy: "check the path given with --config, that this user may read it, and that it is valid YAML",
  },
  "config.invalid": {
    handling: "config",
    message: "the configuration has {count} error(s):\n{list}",
    remedy: "correct each line above; `arvados-nats config print` shows the settings in force",
  },
  "keys.incomplete": {
    handling: "config",
    message: "some keys in use are missing: {missing}",
    remedy:
      "pass to --replace what `arvados-nats keys` wrote: the folder, or the Secret of the services (the one with seeds)",
  },
  "install.incomplete": {
    handling: "config",
    message: "`{command}` needs packages that are not installed: {reason}",
    remedy: "run `npm ci` in the checkout, without --omit=dev",
  },
  "nats.too_old": {
    handling: "config",
    message:
      "nats-server at {path} has version {version}; needed is {floor} or newer, and of 2.15 at least 2.15.2 (older ones {why})",
    remedy:
      "upgrade nats-server; for a demo or a test, set NATS_SERVER to a newer binary, or unset it so that one is built from go/",
  },
  "nats.not_found": {
    handling: "config",
    message: "there is no nats-server binary: {reason}",
    remedy:
      "install Go 1.26 or newer so that it can be built from go/, or set NATS_SERVER to a binary of {floor} or newer (of 2.15: 2.15.2)",
  },
  "nats.unreachable": {
    handling: "retry",
    message: "nats-server at {url} does not answer: {reason}",
    remedy: "check that it runs and that the address is right",
  },
  "nats.refused": {
    handling: "config",
    message: "nats-server at {url} refuses the {account} user: {reason}",
    remedy: "the nkey seed does not match the server's configuration: create both again from the same keys",
  },
  "nats.untrusted": {
    handling: "config",
    message: "the certificate of nats-server at {url} is not trusted: {reason}",
    remedy:
      "give this process the CA that signed the certificate (NODE_EXTRA_CA_CERTS=/path/to/ca.crt; in the chart tls.caSecret) and restart it; the certificate must contain the host name of the URL",
  },
  "nats.no_tls": {
    handling: "config",
    message: "nats-server at {url} offers no TLS; nothing was sent to it",
    remedy: "give nats-server a certificate (docs/operate.md, TLS); on loopback, use an address with nats://",
  },
  "port.occupied": {
    handling: "config",
    message: "{what} cannot listen on {address}: the port is in use",
    remedy: "end the program that uses it (`ss -ltnp`), or choose another port with {setting}",
  },
  "port.unusable": {
    handling: "config",
    message: "{what} cannot listen on {address}: {reason}",
    remedy: "set {setting} to a host name or address of this host, and a port that this user may open",
  },
  "arvados.unreachable": {
    handling: "retry",
    message: "the Arvados API at {url} does not answer: {reason}",
    remedy: "check arvados.apiUrl, that arvados-controller runs, and that this service can reach it",
  },
  "postgres.unreachable": {
    handling: "retry",
    message: "PostgreSQL at {address} does not answer: {reason}",
    remedy: "check that it runs, and host, port, dbname, user and password under PostgreSQL.Connection",
  },
  "postgres.refused": {
    handling: "config",
    message: "PostgreSQL at {address} refuses the connection: {reason}",
    remedy: "check user, password and dbname under PostgreSQL.Connection, and pg_hba.conf",
  },
  "postgres.standby": {
    handling: "retry",
    message: "PostgreSQL at {address} is a standby; another server may still change its history",
    remedy: "nothing while it is being promoted; otherwise name the primary under PostgreSQL.Connection",
  },
  "postgres.no_logical_wal": {
    handling: "config",
    message: "PostgreSQL has wal_level = {level}; logical replication needs `logical`",
    remedy: "ALTER SYSTEM SET wal_level = 'logical'; then restart PostgreSQL",
  },
  "postgres.missing_table": {
    handling: "config",
    message: "the database {database} is not a complete Arvados database; missing: {missing}",
    remedy: "check that PostgreSQL.Connection names Arvados' database and that its migrations have run",
  },
  "postgres.unfit_table": {
    handling: "config",
    message: "the database {database} cannot be replicated: {what}",
    remedy: "{sql}",
  },
  "postgres.publication_differs": {
    handling: "retry",
    message: "the publications of PostgreSQL differ from what the bridge reads: {difference}",
    remedy: "run `arvados-nats setup-db` as the owner of Arvados' tables, or as that role: {sql}",
  },
  "postgres.publication_changed": {
    handling: "retry",
    message: "the publications of PostgreSQL were changed during replication, so commits may be missing: {difference}",
    remedy: "{sql}. The bridge then reads the permission graph again and continues under a new epoch",
  },
  "postgres.row_security": {
    handling: "config",
    message: "row-level security hides rows from {role} in database {database}: {tables}",
    remedy:
      "hidden rows may grant or revoke a right; as a superuser, run ALTER ROLE {role} BYPASSRLS, or ALTER TABLE ... DISABLE ROW LEVEL SECURITY",
  },
  "postgres.not_set_up": {
    handling: "config",
    message: "the database {database} has no {what}",
    remedy: "run `arvados-nats setup-db` once, as a role that may create it (see --dry-run)",
  },
  "slot.lost": {
    handling: "retry",
    message: "PostgreSQL has removed WAL that the replication slot {slot} needs: {reason}",
    remedy:
      "the bridge creates the slot again under a new epoch. The commits in between are in no stream; raise max_slot_wal_keep_size so that it does not happen again",
  },
  "slot.unreadable": {
    handling: "retry",
    message: "PostgreSQL cannot decode the WAL of the replication slot {slot}: {reason}",
    remedy:
      "run `arvados-nats setup-db`; the bridge then creates the slot again under a new epoch. The commits while the publication was gone are in no stream",
  },
  "slot.busy": {
    handling: "retry",
    message: "another bridge reads the replication slot {slot} (backend {pid})",
    remedy: "nothing: this bridge waits and takes over when the other one ends",
  },
  "commit.left_out": {
    handling: "bug",
    message: "the commit at {lsn} cannot be handled; its {rows} log rows become no events",
    remedy: "report it, with the error that the bridge logged before it; later commits are handled",
  },
  "spill.failed": {
    handling: "retry",
    message: "a large transaction cannot be written to a file in {folder}: {reason}",
    remedy: "give the bridge a writable temporary folder (TMPDIR) with some gigabytes free, on disk and not in memory",
  },
  "stream.fenced": {
    handling: "bug",
    message: "another process wrote into stream {stream}: its last sequence is not {expected}",
    remedy: "make sure that only one bridge uses the streams of this cluster; this process ends without writing more",
  },
  "stream.refused": {
    handling: "retry",
    message: "stream {stream} refused a message: {reason}",
    remedy: "check the log of nats-server, that the stream exists (`arvados-nats streams check`), and that it has room",
  },
  "stream.silent": {
    handling: "retry",
    message: "stream {stream} has acknowledged nothing for {seconds} s",
    remedy: "nothing if it passes: the bridge reads back what is stored and continues; otherwise check nats-server",
  },
  "stream.unreadable": {
    handling: "retry",
    message: "message {sequence} of stream {stream} cannot be applied: {reason}",
    remedy:
      "read that message (`nats stream get`) and report it with the log; until it is solved, the bridge keeps reading the stream again",
  },
  "nats.lost": {
    handling: "retry",
    message: "the connection to nats-server in account {account} was lost",
    remedy: "nothing: the bridge reads back what is stored and continues",
  },
  "stream.drift": {
    handling: "config",
    message: "stream {stream} differs from its declaration and cannot be changed to it: {reason}",
    remedy: "{remedy}",
  },
  "probe.failed": {
    handling: "config",
    message: "the probe of {url} failed: {reason}",
    remedy: "{remedy}",
  },
  "jetstream.unavailable": {
    handling: "retry",
    message: "JetStream does not answer for account {account}: {reason}",
    remedy:
      "wait while the nats-servers elect a leader; otherwise check that more than half of them run (`/healthz` of each)",
  },
  "token.malformed": {
    handling: "deny",
    message: "the token is neither a v2 token nor a bare secret",
    remedy: "send an Arvados API token as auth_token (or as password)",
  },
  "token.unknown": {
    handling: "deny",
    message: "the token {token} is unknown, or its secret is wrong",
    remedy: "log in again, or check ARVADOS_API_TOKEN",
  },
  "token.expired": {
    handling: "deny",
    message: "the token {token} has expired",
    remedy: "log in again",
  },
  "token.refresh": {
    handling: "deny",
    message: "the token {token} belongs to another authority, which must confirm it again",
    remedy: "send a request to the Arvados API with it, or log in again; see lookup.kinds",
  },
  "token.user": {
    handling: "deny",
    message: "the user {user} of token {token} was deleted, or merged into another account",
    remedy: "log in again",
  },
  "lookup.unavailable": {
    handling: "retry",
    message: "the Arvados API gave no answer about a token: {reason}",
    remedy: "check arvados.apiUrl and that this service can reach it; the client may try again",
  },
  "user.inactive": {
    handling: "deny",
    message: "token {token} belongs to user {user}, who is not active here, says the Arvados API",
    remedy: "an admin can activate the user in Arvados",
  },
  "token.container": {
    handling: "deny",
    message: "the token {token} does not go with container {container}: {reason}",
    remedy: "a container's token is good only while that container is Locked or Running",
  },
  "token.scopes": {
    handling: "deny",
    message: "the token {token} has too many scopes: more than {limit} objects or 64 kB of text",
    remedy: "use a token with scope `all`, `GET /`, or fewer of `GET /arvados/v1/<resource>/<uuid>`",
  },
  "session.id": {
    handling: "deny",
    message: "the session id (CONNECT user) is not 16 to 32 of [A-Za-z0-9]",
    remedy: "let the client library choose it, or leave `user` out",
  },
  "grants.too_many": {
    handling: "deny",
    message: "user {user} has {count} grants, more than the {limit} that one session may carry",
    remedy: "share whole projects instead of single objects, or raise session.grantsMax for all services",
  },
  "server.unknown": {
    handling: "config",
    message: "no nats-server with the name {name} was ever seen",
    remedy: "`arvados-nats servers` lists them",
  },
  "object.uuid": {
    handling: "config",
    message: "{uuid} is not the uuid of an Arvados object",
    remedy: "give a whole uuid, as in zzzzz-4zz18-0123456789abcde",
  },
  "login.refused": {
    handling: "config",
    message: "nats-server at {url} refuses a login with this token: {reason}",
    remedy: "read the log of authcallout, which says why; nats-server tells clients no more than this",
  },
  "graph.empty": {
    handling: "retry",
    message: "the stream GRAPH holds no complete commit",
    remedy: "start the bridge, and try again when its /readyz says that it is the leader",
  },
  "roles.invalid": {
    handling: "config",
    message: "the setting roles cannot be used: {reason}",
    remedy: "write <group or user uuid>=<template>, separated by spaces, as in zzzzz-j7d0g-0123456789abcde=dispatch",
  },
  "answer.too_large": {
    handling: "deny",
    message: "the {count} grants of user {user} make an answer of {bytes} bytes, more than nats-server accepts",
    remedy: "share whole projects instead of single objects",
  },
  "login.guessing": {
    handling: "deny",
    message: "too many logins from {host} had no known token",
    remedy: "wait a minute; if {host} forwards for many users, name it in proxy.trustedForwarders",
  },
  "login.kind": {
    handling: "deny",
    message: "{host} logs in as {kind} {type}; such a connection is in no list of sessions, so it could not be cut",
    remedy:
      "connect by NATS or WebSocket; close the leafnodes and mqtt listeners of nats-server (`arvados-nats servers doors` names them)",
  },
  "login.too_many_sessions": {
    handling: "deny",
    message: "{whose} has {count} sessions already; the limit is {limit}",
    remedy: "end some of them (`arvados-nats sessions` lists them), or raise session.max",
  },
  "login.paused": {
    handling: "deny",
    message: "logins of {whose} are paused for {ms} ms: too many cuts, logins or requests",
    remedy:
      "nothing: the client may try again. The log of authcallout says what caused it; the logs of Arvados say who shares and unshares in a loop",
  },
  "login.statement": {
    handling: "deny",
    message: "{host} sent a client address that is not signed by the edge, or was signed for another login",
    remedy: "give authcallout the public key of the edge (callout.edgeKey), and check that their clocks agree",
  },
  // No answer: a refusal costs 0.85 of the time of an admission (measured), and time is what is short.
  "login.overload": {
    handling: "abort",
    message: "too many logins to answer in time: this one waited {ms} ms",
    remedy: "run more replicas of authcallout, or find the client that logs in again and again",
  },
  "login.no_lease": {
    handling: "retry",
    message: "this replica holds no lease, so it may not answer logins",
    remedy:
      "check that the stream BARRIER accepts messages (JetStream of nats-server), and that this process gets processor time",
  },
  "graph.stale": {
    handling: "retry",
    message: "the permission graph is stale: {age} s old, and {limit} s are allowed",
    remedy: "check the bridge, PostgreSQL and nats-server: one of them has stopped",
  },
  "callout.request": {
    handling: "abort",
    message: "an auth callout request was ignored: {reason}",
    remedy: "only nats-server may publish on $SYS.REQ.USER.AUTH; check who else is in the callout account",
  },
  "verb.unknown": { handling: "deny", message: "there is no verb {verb}", remedy: "known verbs: {known}" },
  "verb.body": {
    handling: "deny",
    message: "the request {verb} is invalid: {reason}",
    remedy: "see docs/architecture.md, Gateway",
  },
  "verb.reply": {
    handling: "abort",
    message: "a request named a reply subject outside the inbox of its session",
    remedy: "use the inbox prefix _INBOX.<session token>.<sid>",
  },
  "read.forbidden": {
    handling: "deny",
    message: "{object} does not exist, or you may not read it",
    remedy: "ask its owner to share it",
  },
  "tail.unknown": {
    handling: "deny",
    message: "this session has no tail {id}",
    remedy: "open the tail again from the next offset: it may have ended, or the gateway has restarted",
  },
  "limit.reached": {
    handling: "deny",
    message: "{whose} has reached a limit: {what}",
    remedy: "stop something first, or ask less often",
  },
} as const satisfies Record<string, ErrorEntry>;
