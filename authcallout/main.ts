/** The callout service: answers nats-server's logins from the permission graph in memory, and cuts sessions whose rights shrank. */
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { timing } from "../core/barrier/timing.ts";
import { CLOSE_CODES } from "../core/close-codes.ts";
import { formatRevision } from "../core/revision.ts";
import { subjectsOf } from "../core/subjects.ts";
import { aliasOf } from "../core/token/aliases.ts";
import { wellKnown } from "../core/uuid.ts";
import type { Notice } from "../core/wire/wire.ts";
import { PermissionReplica } from "../replica/permission-replica.ts";
import { failureSays, replicaHealth } from "../replica/replica-health.ts";
import { replicaGraphOptions, tokenOptions } from "../replica/replica-settings.ts";
import type { Config } from "../runtime/config/config.ts";
import { deferred } from "../runtime/deferred.ts";
import { ConnectionWatch } from "../runtime/nats/connection-watch.ts";
import { connectService } from "../runtime/nats/service-connection.ts";
import type { Service, ServiceContext } from "../runtime/service.ts";
import { sleep } from "../runtime/sleep.ts";
import { BarrierMember } from "./barrier/barrier-member.ts";
import { GuessLimit } from "./bounds/guess-limit.ts";
import { LoginPauses } from "./bounds/login-pauses.ts";
import { SessionBounds, type SessionLimits } from "./bounds/session-bounds.ts";
import { SessionGuard } from "./bounds/session-guard.ts";
import { moveFromLameDucks } from "./login/lame-ducks.ts";
import { requestKeys } from "./login/request-keys.ts";
import { type Question, Responder } from "./login/responder.ts";
import { createLogins } from "./logins.ts";
import { createTokenLookup } from "./lookup/token-lookup.ts";
import { calloutMetrics } from "./metrics.ts";
import { calloutReadiness } from "./readiness.ts";
import { Enforcer } from "./revocation/enforcer.ts";
import { Kicker } from "./revocation/kicker.ts";
import { Notices } from "./revocation/notices.ts";
import type { SessionAction } from "./revocation/revocation-plan.ts";
import { ServerWatch } from "./revocation/server-watch.ts";
import { ServingLoop } from "./serving-loop.ts";
import { Endings } from "./sessions/endings.ts";
import { Servers } from "./sessions/servers.ts";
import { Sessions } from "./sessions/sessions.ts";
import { type SystemAccount, systemAccount } from "./sessions/system-account.ts";

/** What a test puts between the service and the world, to show what a guard is good for. */
export type AuthcalloutSeams = {
  system?: (real: SystemAccount) => SystemAccount;
  question?: (real: Question) => Question;
};

export type AuthcalloutService = Service & { replica: string; leads(): boolean; acceptsLogins(): boolean };

/** Sessions that were lost sight of are found again, and servers written into BARRIER again, this often. */
const RECONCILE_MS = 60_000;
const HOLD_MS = 20;
/** A request that went to a nats-server that is gone is made again after this long; logins wait for it. */
const REQUEST_MS = 1_500;
/** Of the time that nats-server gives a login: who is over his bounds is not refused sooner, and so comes back less often. */
const REFUSE_AFTER = 0.75;
/** nats-server counts the headers and the subject too. */
const PAYLOAD_MARGIN = 1_024;

export async function runAuthcallout(
  { config, log, metrics, scope }: ServiceContext,
  { system: seam = (real) => real, question = (real) => real }: AuthcalloutSeams = {},
): Promise<AuthcalloutService> {
  const subjects = subjectsOf(config.clusterId);
  const now = Date.now;
  const replica = `${hostname()}-${randomBytes(6).toString("hex")}`;
  const connect = (account: "SYS" | "CORE" | "APP") =>
    connectService({ config, service: "authcallout", account, log, scope });
  const [sys, core, app] = await Promise.all([connect("SYS"), connect("CORE"), connect("APP")]);
  const connections = new ConnectionWatch();
  for (const [account, nc] of Object.entries({ SYS: sys, CORE: core, APP: app })) connections.add(account, nc);
  // That there is JetStream at all may take longer to tell: a start is given up for it.
  await jetstreamManager(core);
  const [js, jsm] = [
    jetstream(core, { timeout: REQUEST_MS }),
    await jetstreamManager(core, { timeout: REQUEST_MS, checkAPI: false }),
  ];
  const system = seam(systemAccount(sys, "APP", now));
  const { anonymousUser } = wellKnown(config.clusterId);
  const bounds = new SessionBounds({
    limits: sessionLimits(config),
    anonymousUser,
    identity: (sessionToken) => follower.tokens.bySessionToken(sessionToken, now()),
  });
  const sessions = new Sessions(({ server, cid, name }) =>
    bounds.countsOf(name, bounds.placeOf(server, cid)).map(({ key }) => key),
  );
  const servers = new Servers();
  const { signal } = scope;

  const failures = metrics.counter("stream_failures_total", "Times a stream was read again: it could not be taken in", [
    "stream",
  ]);
  const rows = metrics.counter("graph_unreadable_rows_total", "Rows of GRAPH without the shape of one: they deny", [
    "kind",
  ]);
  const health = replicaHealth({ failures, rows }, log);
  const follower = new PermissionReplica({
    ...health,
    nc: core,
    js,
    jsm,
    subjects,
    graph: replicaGraphOptions(config),
    tokens: tokenOptions(config),
    roles: config.roles,
    onApplied: (applied) => {
      lookup?.forgetChanged(applied.changedKeys);
      enforcer.applied(applied);
    },
    onLoaded: (revision) => {
      lookup?.forget();
      enforcer.loaded(revision);
      // Of what was lost before nobody knows: sessions that differ are cut, wherever they are.
      if (started.settled) reconcile();
    },
    onTrouble: (reason) => log.warn({ reason }, "the permission graph's stream is disturbed; following again"),
  });
  const started = deferred<void>();
  const age = () => follower.age(now());
  const isFit = () => age() <= config.stalenessRefuse;

  const member = new BarrierMember({
    nc: core,
    js,
    jsm,
    subjects,
    replica,
    timing: timing(config.authTimeout),
    follower,
    isFit,
    log,
    onMark: (mark) => void enforcer.settle(mark),
    onServer: (name, id) => watch.told(name, id),
    onAlias: (alias) => follower.remember(alias),
    onFailure: health.onBarrierFailure,
    onChange: () => enforcer.consider(),
  });
  const mayAnswer = () => member.mayAnswer();
  const said = ({ session, because, do: what }: SessionAction, seconds: number | null) =>
    log.info(
      { user: session.name.user, token: session.name.key.sessionToken, reason: because, seconds },
      what === "cut" ? "session cut" : "session notified",
    );
  const notices = new Notices({
    publish({ name }, because) {
      const revision = formatRevision(follower.revision);
      const notice: Notice = { notice: because, ...CLOSE_CODES[because], revision };
      app.publish(subjects.notice(name.key), JSON.stringify(notice));
    },
    isNews: (session) => enforcer.outgrown(sessions.like(session)).length > 0,
    onTold(action) {
      measured.told(action.because);
      said(action, null);
    },
    later: (callback, ms) => void sleep(ms, signal).then(callback),
  });
  const kicker = new Kicker({ app, notices, system, sessions, servers, log, signal });
  const measured = calloutMetrics(metrics, {
    sessions: () => sessions.size,
    graphAge: () => age() / 1000,
    graphRevision: () => follower.revision.sequence,
    overScopes: () => follower.tokens.overScopes,
    openCuts: () => kicker.open,
    silentServers: () => servers.silentCount,
    leading: () => Number(member.leads()),
    acceptingLogins: () => Number(group.isIn),
    waiting: () => waiting(),
    paused: () => pauses.size(now()),
  });
  const reconcile = () => void enforcer.reconcile().catch(() => undefined);
  const watch = new ServerWatch({
    member,
    system,
    sessions,
    servers,
    log,
    now,
    signal,
    onSession(session) {
      enforcer.connected(session);
      guard.connected(session);
    },
    onEnd: (server, cid, left) => guard.ended(server, cid, left),
    onReturn: reconcile,
  });
  const enforcer = new Enforcer({
    member,
    watch,
    kicker,
    notices,
    system,
    sessions,
    endings: new Endings(now()),
    servers,
    follower,
    isFit,
    subjects,
    grantsMax: config.grantsMax,
    sessionTtl: config.sessionTtl,
    anonymousUser,
    mayBeKnownElsewhere: (name) => lookup?.concernsName(name) ?? false,
    log,
    now,
    signal,
    onPhase: measured.phase,
    onCut(action, seconds) {
      measured.cut(action.because, seconds);
      said(action, seconds);
    },
  });

  const pauses = new LoginPauses(config, (owner, cause, ms) => {
    measured.paused(cause);
    log.warn({ owner, cause, ms }, "logins are refused for a while: too many cuts, logins or requests");
  });
  const guard = new SessionGuard({
    core,
    subjects,
    sessions,
    bounds,
    pauses,
    leads: () => member.leads(),
    cut: (actions) => enforcer.cut(actions),
    now,
    log,
  });
  guard.start();

  const lookup = createTokenLookup(config, signal, now, measured.lookup);
  const responder = new Responder({
    keys: requestKeys(config),
    view: follower,
    options: {
      clusterId: config.clusterId,
      subjects,
      sessionTtl: config.sessionTtl,
      stalenessRefuse: config.stalenessRefuse,
      grantsMax: config.grantsMax,
    },
    sessions,
    guesses: new GuessLimit(config.guessesPerMinute),
    guard,
    refuseAfter: config.authTimeout * REFUSE_AFTER,
    lookup,
    lookupPatience: config.authTimeout / 2,
    onOutage: config.onOutage,
    mayAnswer,
    announce: (server) => watch.announce(server.name, server.id),
    alias: (identity) => {
      const known = follower.tokens.bySessionToken(identity.sessionToken, now());
      if (known?.token === identity.token && known.expiresAt === identity.expiresAt) return null;
      const alias = aliasOf(identity);
      return member.publish({ kind: "alias", ...alias }).then(() => follower.remember(alias));
    },
    maxPayload: () => (core.info?.max_payload ?? 1024 * 1024) - PAYLOAD_MARGIN,
    now,
    random: Math.random,
    log,
    onResult: measured.result,
  });
  const { group, waiting } = createLogins({
    core,
    responder,
    mayAnswer,
    authTimeout: config.authTimeout,
    measured,
    log,
    question,
  });

  scope.defer("graph follower", () => follower.stop());
  scope.defer("barrier", () => member.stop());
  await follower.start();
  await member.start();
  await watch.start();
  started.resolve();
  await enforcer.reconcile();
  while (!member.mayAnswer() && !signal.aborted) await sleep(5, signal);
  group.join();
  await core.flush();

  const lookout = new ServingLoop({
    member,
    enforcer,
    group,
    overdue: () => now() - (follower.vouched ?? Number.NEGATIVE_INFINITY),
    isFit,
    endsAt: config.stalenessEnd,
    onLead: () => guard.cutExcess(),
    spared: ({ user }) => config.stalenessKeepAdmins && follower.graph.grants(user).patterns.includes(">"),
    now,
    log,
  });
  lookout.start();
  moveFromLameDucks({ core, group, leads: () => member.leads(), signal, random: Math.random, log });
  scope.defer("the lookout", () => lookout.stop());
  const reconciling = setInterval(() => {
    void enforcer
      .maintain()
      .catch(() => undefined)
      .then(() => guard.cutExcess());
  }, RECONCILE_MS);
  scope.defer("reconciling", () => clearInterval(reconciling));

  const done = deferred<void>();
  return {
    replica,
    leads: () => member.leads(),
    acceptsLogins: () => group.isIn,
    readiness: () =>
      calloutReadiness({
        graph: {
          fresh: isFit(),
          revision: formatRevision(follower.revision),
          age: age(),
          failure: follower.failure && failureSays(follower.failure),
        },
        acceptsLogins: group.isIn,
        lease: {
          held: member.mayAnswer(),
          replicas: member.replicas(),
          leads: member.leads(),
          failure: member.failure && `the entry at sequence ${member.failure.sequence} of BARRIER cannot be taken in`,
        },
        servers: servers.all(),
        sessions: sessions.size,
        revocations: kicker.open,
        waitsFor: member.unsettled(),
        connections: connections.readiness(),
      }),
    async drain() {
      lookout.stop();
      await group.leave();
      // Our answers are settled when each has become a session, or cannot any more.
      const end = now() + config.authTimeout;
      while (sessions.pending(now()).length > 0 && now() < end) await sleep(HOLD_MS);
      if (sessions.pending(now()).length === 0) await member.leave();
      done.resolve();
    },
    done: done.promise,
  };
}

function sessionLimits(config: Config): SessionLimits {
  return {
    perUser: config.sessionsPerUser,
    perToken: config.sessionsPerCredential,
    perContainer: config.sessionsPerContainer,
    perUserContainers: config.sessionsPerUserContainers,
    perAddress: config.sessionsPerAddress,
    anonymous: config.sessionsAnonymous,
  };
}
