/**
 * Every failure the product can name. `handling` says what the caller does next:
 * `config` = print the sentence, exit non-zero · `retry` = trouble of ours that passes: back off, try again; to a client an outage
 * (`callout.onOutage`) · `deny` = signed refusal to a client · `abort` = stay silent · `bug` = crash loudly. `remedy` is what a person does about it. `{name}` is filled from the fault's facts.
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
    message: "the configuration has {count} fault(s):\n{list}",
    remedy: "mend each line above; `arvados-nats config print` shows what is in force",
  },
  "keys.incomplete": {
    handling: "config",
    message: "the keys in use are not all there: {missing}",
    remedy:
      "name with --replace what `arvados-nats keys` made: the folder, or the Secret of the services (the one with seeds)",
  },
  "install.incomplete": {
    handling: "config",
    message: "`{command}` needs packages that are not installed: {reason}",
    remedy: "run `npm ci` in the checkout, without --omit=dev",
  },
  "nats.too_old": {
    handling: "config",
    message:
      "nats-server at {path} is version {version}; {floor} or newer is needed, of 2.15 2.15.2 or newer (older ones {why})",
    remedy:
      "upgrade it; for a demo or a test point NATS_SERVER at a newer binary, or unset it so that one is built from go/",
  },
  "nats.not_found": {
    handling: "config",
    message: "no nats-server: {reason}",
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
    remedy: "the nkey seed does not match the server's configuration: make both again with the same keys",
  },
  "nats.untrusted": {
    handling: "config",
    message: "nats-server at {url} shows a certificate that is not trusted: {reason}",
    remedy:
      "give this process the CA that signed it (NODE_EXTRA_CA_CERTS=/path/to/ca.crt; in the chart tls.caSecret) and restart it; the host name in the URL must be in the certificate",
  },
  "nats.no_tls": {
    handling: "config",
    message: "nats-server at {url} offers no TLS, so nothing was sent to it",
    remedy: "give nats-server a certificate (docs/operate.md, TLS), or on loopback an address with nats://",
  },
  "port.occupied": {
    handling: "config",
    message: "{what} cannot listen on {address}: the port is taken",
    remedy: "end the program that uses it (`ss -ltnp`), or choose another port with {setting}",
  },
  "port.unusable": {
    handling: "config",
    message: "{what} cannot listen on {address}: {reason}",
    remedy: "give {setting} a host name or address of this machine, and a port that this user may take",
  },
  "arvados.unreachable": {
    handling: "retry",
    message: "the Arvados API at {url} does not answer: {reason}",
    remedy: "check arvados.apiUrl, that arvados-controller runs, and that this service may reach it",
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
    message: "PostgreSQL at {address} is a standby, whose history another server may still change",
    remedy: "nothing, while it is being promoted; else name the primary under PostgreSQL.Connection",
  },
  "postgres.no_logical_wal": {
    handling: "config",
    message: "PostgreSQL has wal_level = {level}; logical replication needs `logical`",
    remedy: "ALTER SYSTEM SET wal_level = 'logical'; then restart PostgreSQL",
  },
  "postgres.missing_table": {
    handling: "config",
    message: "the database {database} lacks what Arvados has: {missing}",
    remedy: "check that PostgreSQL.Connection names Arvados' own database and that its migrations have run",
  },
  "postgres.unfit_table": {
    handling: "config",
    message: "the database {database} cannot be followed: {what}",
    remedy: "{sql}",
  },
  "postgres.publication_differs": {
    handling: "retry",
    message: "PostgreSQL does not publish what the bridge reads: {difference}",
    remedy: "run `arvados-nats setup-db` as the owner of Arvados' tables, or as that role: {sql}",
  },
  "postgres.publication_changed": {
    handling: "retry",
    message:
      "what PostgreSQL publishes was changed while it was followed, so commits may have been missed: {difference}",
    remedy: "{sql}. The bridge reads the permission graph anew, and goes on under a new epoch",
  },
  "postgres.row_security": {
    handling: "config",
    message: "row-level security would hide rows from {role} in database {database}: {tables}",
    remedy:
      "a right or a revocation may be hidden: as a superuser, ALTER ROLE {role} BYPASSRLS, or ALTER TABLE ... DISABLE ROW LEVEL SECURITY",
  },
  "postgres.not_set_up": {
    handling: "config",
    message: "the database {database} has no {what}",
    remedy: "run `arvados-nats setup-db` once, as a role that may create it (see --dry-run)",
  },
  "slot.lost": {
    handling: "retry",
    message: "PostgreSQL no longer keeps what the replication slot {slot} needs: {reason}",
    remedy:
      "nothing: the bridge makes the slot anew under a new epoch. What was committed in between is in no stream; raise max_slot_wal_keep_size",
  },
  "slot.unreadable": {
    handling: "retry",
    message: "PostgreSQL cannot decode what the replication slot {slot} keeps: {reason}",
    remedy:
      "nothing, once `arvados-nats setup-db` has run: the bridge makes the slot anew under a new epoch. What was committed while the publication was gone is in no stream",
  },
  "slot.busy": {
    handling: "retry",
    message: "another bridge reads the replication slot {slot} (backend {pid})",
    remedy: "nothing: this one waits its turn and takes over when the other ends",
  },
  "commit.left_out": {
    handling: "bug",
    message: "the commit at {lsn} cannot be handled: its {rows} log rows make no events",
    remedy: "report it with the error that the bridge logged before; nothing waits for it",
  },
  "spill.failed": {
    handling: "retry",
    message: "a large transaction cannot be kept in {folder}: {reason}",
    remedy:
      "give the bridge a writable temporary folder (TMPDIR) with some gigabytes of room, on disk and not in memory",
  },
  "stream.fenced": {
    handling: "bug",
    message: "somebody else wrote into stream {stream}: expected last sequence {expected}",
    remedy: "make sure that one bridge only uses this cluster's streams; this process ends so that it changes nothing",
  },
  "stream.refused": {
    handling: "retry",
    message: "stream {stream} does not take a message: {reason}",
    remedy: "look at nats-server's log; check that the stream exists (`arvados-nats streams check`) and has room",
  },
  "stream.silent": {
    handling: "retry",
    message: "stream {stream} has acknowledged nothing for {seconds} s",
    remedy: "nothing, if it passes: the bridge reads back what was stored and goes on; else look at nats-server",
  },
  "stream.unreadable": {
    handling: "retry",
    message: "message {sequence} of stream {stream} cannot be taken in: {reason}",
    remedy:
      "look at that message (`nats stream get`) and report what the log says: the bridge reads the stream again and again",
  },
  "nats.lost": {
    handling: "retry",
    message: "the connection to nats-server in account {account} was lost",
    remedy: "nothing: the bridge reads back what was stored and goes on",
  },
  "stream.drift": {
    handling: "config",
    message: "stream {stream} cannot be brought into line: {reason}",
    remedy: "{remedy}",
  },
  "probe.failed": {
    handling: "config",
    message: "the probe of {url} fails: {reason}",
    remedy: "{remedy}",
  },
  "jetstream.unavailable": {
    handling: "retry",
    message: "JetStream does not answer for account {account}: {reason}",
    remedy:
      "wait, if nats-servers are choosing a leader; else see that more than half of them run (`/healthz` of each)",
  },
  "token.malformed": {
    handling: "deny",
    message: "the token is neither a v2 token nor a bare secret",
    remedy: "send an Arvados API token as auth_token (or as password)",
  },
  "token.unknown": {
    handling: "deny",
    message: "the token {token} is not known, or its secret is wrong",
    remedy: "log in again, or check ARVADOS_API_TOKEN",
  },
  "token.expired": {
    handling: "deny",
    message: "the token {token} has expired",
    remedy: "log in again",
  },
  "token.refresh": {
    handling: "deny",
    message: "the token {token} is another authority's, and that has to be asked about it again",
    remedy: "send a request to the Arvados API with it, or log in again; see lookup.kinds",
  },
  "token.user": {
    handling: "deny",
    message: "the user {user} of token {token} was deleted, or merged into another account",
    remedy: "log in again",
  },
  "lookup.unavailable": {
    handling: "retry",
    message: "Arvados' API cannot be asked about a token: {reason}",
    remedy: "check that arvados.apiUrl is right and answers from here; the client may try again",
  },
  "user.inactive": {
    handling: "deny",
    message: "Arvados' API says that token {token} is of user {user}, who is not active here",
    remedy: "an admin can activate the user in Arvados",
  },
  "token.container": {
    handling: "deny",
    message: "the token {token} does not go with container {container}: {reason}",
    remedy: "a container's token is good only while that container is Locked or Running",
  },
  "token.scopes": {
    handling: "deny",
    message: "the token {token} has more scopes than the {limit} objects, or the 64 kB of text, that count here",
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
    message: "no nats-server of the name {name} was ever seen",
    remedy: "`arvados-nats servers` lists them",
  },
  "object.uuid": {
    handling: "config",
    message: "{uuid} is not the uuid of any kind of object that Arvados has",
    remedy: "give a whole uuid, as in zzzzz-4zz18-0123456789abcde",
  },
  "login.refused": {
    handling: "config",
    message: "nats-server at {url} does not let this token in: {reason}",
    remedy: "authcallout's log says why; nats-server tells clients no more than this",
  },
  "graph.empty": {
    handling: "retry",
    message: "GRAPH holds no whole commit",
    remedy: "start the bridge, and try again when its /readyz says that it leads",
  },
  "roles.invalid": {
    handling: "config",
    message: "the setting roles cannot be used: {reason}",
    remedy: "write <group or user uuid>=<template>, separated by spaces, as in zzzzz-j7d0g-0123456789abcde=dispatch",
  },
  "answer.too_large": {
    handling: "deny",
    message: "user {user}'s {count} grants make an answer of {bytes} bytes, more than nats-server takes",
    remedy: "share whole projects instead of single objects",
  },
  "login.guessing": {
    handling: "deny",
    message: "too many logins from {host} had no known token",
    remedy: "wait a minute; if {host} forwards for many users, name it in proxy.trustedForwarders",
  },
  "login.kind": {
    handling: "deny",
    message:
      "{host} signs in as {kind} {type}: such a connection shows in no listing of sessions, so it could not be cut",
    remedy:
      "connect by NATS or WebSocket; close nats-server's leafnodes and mqtt listeners (`arvados-nats servers doors` names them)",
  },
  "login.too_many_sessions": {
    handling: "deny",
    message: "there are {count} sessions of {whose} already, of {limit} that there may be",
    remedy: "end some of them (`arvados-nats sessions` lists them), or raise the bound (session.max)",
  },
  "login.paused": {
    handling: "deny",
    message: "sessions of {whose} were cut, or signed in, or asked for too much too often: no login for {ms} ms",
    remedy:
      "nothing, the client may try again; authcallout's log says what began it, and who shares and takes back in a loop is in Arvados' logs",
  },
  "login.statement": {
    handling: "deny",
    message: "what {host} says about its client's address is not signed by the edge, or was said of another login",
    remedy: "give authcallout the edge's public key (callout.edgeKey), and let their clocks agree",
  },
  // Said to nobody: a refusal costs 0.85 of an admission (measured), of just that time which there is too little of.
  "login.overload": {
    handling: "abort",
    message: "more logins than can be answered in time: this one waited {ms} ms",
    remedy: "run more replicas of authcallout, or look for a client that signs in again and again",
  },
  "login.no_lease": {
    handling: "retry",
    message: "this replica holds no lease: it may not answer logins now",
    remedy:
      "check that BARRIER takes messages (nats-server's JetStream), and that this process gets its processor time",
  },
  "graph.stale": {
    handling: "retry",
    message: "the permission graph is {age} s old, more than the {limit} s allowed",
    remedy: "look at the bridge: it has stopped, or PostgreSQL or nats-server has",
  },
  "callout.request": {
    handling: "abort",
    message: "an auth callout request was not acceptable: {reason}",
    remedy: "only nats-server may publish on $SYS.REQ.USER.AUTH; check who else is in the callout account",
  },
  "verb.unknown": { handling: "deny", message: "there is no verb {verb}", remedy: "known verbs: {known}" },
  "verb.body": {
    handling: "deny",
    message: "the request for {verb} is not acceptable: {reason}",
    remedy: "see docs/architecture.md, Gateway",
  },
  "verb.reply": {
    handling: "abort",
    message: "a request named a reply subject outside the asking session's inbox",
    remedy: "use the inbox prefix _INBOX.<token>.<sid>",
  },
  "read.forbidden": {
    handling: "deny",
    message: "{object} does not exist, or you may not read it",
    remedy: "ask its owner to share it",
  },
  "tail.unknown": {
    handling: "deny",
    message: "this session has no tail {id}",
    remedy: "open it again from the next offset: it may have ended, or the gateway restarted",
  },
  "limit.reached": {
    handling: "deny",
    message: "{whose} has reached a limit: {what}",
    remedy: "stop something first, or ask less often",
  },
} as const satisfies Record<string, ErrorEntry>;
