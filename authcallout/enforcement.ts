/**
 * What keeps sessions in line with the graph, put together: the barrier, the watch over servers, notices, kicks, and the bounds of
 * sessions. main.ts creates it; the parts call each other, so they are created in one place.
 */
import type { JetStreamClient, JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { timing } from "../core/barrier/timing.ts";
import { CLOSE_CODES } from "../core/close-codes.ts";
import { formatRevision } from "../core/revision.ts";
import type { Subjects } from "../core/subjects.ts";
import { wellKnown } from "../core/uuid.ts";
import type { Notice } from "../core/wire/wire.ts";
import type { PermissionReplica } from "../replica/permission-replica.ts";
import type { ReplicaHealth } from "../replica/replica-health.ts";
import type { ServiceContext } from "../runtime/service.ts";
import { sleep } from "../runtime/sleep.ts";
import { BarrierMember } from "./barrier/barrier-member.ts";
import { LoginPauses } from "./bounds/login-pauses.ts";
import { SessionBounds, sessionLimits } from "./bounds/session-bounds.ts";
import { SessionGuard } from "./bounds/session-guard.ts";
import type { TokenLookup } from "./lookup/token-lookup.ts";
import type { CalloutMetrics } from "./metrics.ts";
import { Enforcer } from "./revocation/enforcer.ts";
import { Kicker } from "./revocation/kicker.ts";
import { Notices } from "./revocation/notices.ts";
import type { SessionAction } from "./revocation/revocation-plan.ts";
import { ServerWatch } from "./revocation/server-watch.ts";
import { Endings } from "./sessions/endings.ts";
import { Servers } from "./sessions/servers.ts";
import { Sessions } from "./sessions/sessions.ts";
import type { SystemAccount } from "./sessions/system-account.ts";

export type EnforcementParts = {
  core: NatsConnection;
  app: NatsConnection;
  js: JetStreamClient;
  jsm: JetStreamManager;
  system: SystemAccount;
  subjects: Subjects;
  /** The id of this replica, which no other start of a replica has. */
  id: string;
  replica: PermissionReplica;
  health: ReplicaHealth;
  lookup: TokenLookup | null;
  measured: CalloutMetrics;
  /** Is the graph young enough to judge sessions by? */
  isFit: () => boolean;
};

export type Enforcement = ReturnType<typeof createEnforcement>;

export function createEnforcement(context: ServiceContext, parts: EnforcementParts) {
  const { config, log, scope } = context;
  const { core, system, subjects, replica, lookup, measured, isFit } = parts;
  const { signal } = scope;
  const now = Date.now;
  const { anonymousUser } = wellKnown(config.clusterId);
  const identity = (sessionToken: string) => replica.tokens.bySessionToken(sessionToken, now());
  const bounds = new SessionBounds({ limits: sessionLimits(config), anonymousUser, identity });
  const sessions = new Sessions(({ server, cid, name }) =>
    bounds.countsOf(name, bounds.placeOf(server, cid)).map(({ key }) => key),
  );
  const servers = new Servers();
  const notices: Notices = createNotices(
    context,
    parts,
    (session) => enforcer.outgrown(sessions.like(session)).length > 0,
  );
  const kicker = new Kicker({ app: parts.app, notices, system, sessions, servers, log, signal });
  const member: BarrierMember = createMember(context, parts, {
    onMark: (mark) => void enforcer.settle(mark),
    onServer: (name, id) => watch.told(name, id),
    onChange: () => enforcer.consider(),
  });
  const watch: ServerWatch = new ServerWatch({
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
    onReturn: () => void enforcer.reconcile().catch(() => undefined),
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
    follower: replica,
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
      logAction(context, action, seconds);
    },
  });
  const pauses = createPauses(context, measured);
  const cut = (actions: readonly SessionAction[]) => enforcer.cut(actions);
  const leads = () => member.leads();
  const guard = new SessionGuard({ core, subjects, sessions, bounds, pauses, leads, cut, now, log });
  return { sessions, servers, member, kicker, watch, enforcer, pauses, guard };
}

type MemberCallbacks = Pick<ConstructorParameters<typeof BarrierMember>[0], "onMark" | "onServer" | "onChange">;

function createMember({ config, log }: ServiceContext, parts: EnforcementParts, on: MemberCallbacks): BarrierMember {
  const { core, js, jsm, subjects, id, replica, health, isFit } = parts;
  return new BarrierMember({
    ...on,
    nc: core,
    js,
    jsm,
    subjects,
    replica: id,
    timing: timing(config.authTimeout),
    follower: replica,
    isFit,
    log,
    onAlias: (alias) => replica.remember(alias),
    onFailure: health.onBarrierFailure,
  });
}

function createNotices(
  context: ServiceContext,
  { app, subjects, replica, measured }: EnforcementParts,
  isNews: (session: SessionAction["session"]) => boolean,
): Notices {
  return new Notices({
    publish({ name }, because) {
      const revision = formatRevision(replica.revision);
      const notice: Notice = { notice: because, ...CLOSE_CODES[because], revision };
      app.publish(subjects.notice(name.key), JSON.stringify(notice));
    },
    isNews,
    onTold(action) {
      measured.notified(action.because);
      logAction(context, action, null);
    },
    later: (callback, ms) => void sleep(ms, context.scope.signal).then(callback),
  });
}

function createPauses({ config, log }: ServiceContext, measured: CalloutMetrics): LoginPauses {
  return new LoginPauses(config, (owner, cause, ms) => {
    measured.paused(cause);
    log.warn({ owner, cause, ms }, "logins are refused for a while: too many cuts, logins or requests");
  });
}

function logAction({ log }: ServiceContext, action: SessionAction, seconds: number | null): void {
  const { user, key } = action.session.name;
  const fields = { user, token: key.sessionToken, reason: action.because, seconds };
  log.info(fields, action.do === "cut" ? "session cut" : "session notified");
}
