/** The callout service: answers nats-server's logins from the permission graph in memory, and cuts sessions whose rights shrank. */
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { Msg } from "@nats-io/nats-core";
import { aliasOf } from "../core/aliases.ts";
import { timing } from "../core/barrier/timing.ts";
import { fault } from "../core/errors.ts";
import { formatRevision } from "../core/revision.ts";
import { subjectsOf } from "../core/subjects.ts";
import { deferred } from "../runtime/deferred.ts";
import { GraphFollower } from "../runtime/graph-follower.ts";
import { graphOptions, tokenOptions } from "../runtime/graph-settings.ts";
import type { Service, ServiceContext } from "../runtime/service.ts";
import { connectService } from "../runtime/service-connection.ts";
import { sleep } from "../runtime/sleep.ts";
import { BarrierMember } from "./barrier-member.ts";
import { Enforcer } from "./enforcer.ts";
import { GuessLimit } from "./guess-limit.ts";
import { createSigner, createVerifier } from "./jwt.ts";
import { Kicker } from "./kicker.ts";
import { LoginQueue } from "./login-queue.ts";
import { calloutMetrics } from "./metrics.ts";
import { QueueGroup, shouldTakeLogins } from "./queue-group.ts";
import { Responder } from "./responder.ts";
import { Servers } from "./servers.ts";
import { Sessions } from "./sessions.ts";
import { type SystemAccount, systemAccount } from "./system-account.ts";
import { createTokenLookup } from "./token-lookup.ts";
import { createSealer } from "./xkey.ts";

/** What a test puts between the service and the world, to show what a guard is good for. */
export type AuthcalloutSeams = { system?: (real: SystemAccount) => SystemAccount };

export type AuthcalloutService = Service & { replica: string; leads(): boolean; takesLogins(): boolean };

/** How often freshness is looked at: replicas leave and join the queue group by it. */
const LOOK_MS = 100;
/** Sessions that were lost sight of are found again, and servers written into BARRIER again, this often. */
const RECONCILE_MS = 60_000;
const QUEUE_LENGTH = 5_000;
const HOLD_MS = 20;
const LAPSE_BORNE_MS = 750;
/** nats-server counts the headers and the subject too. */
const PAYLOAD_MARGIN = 1_024;

export async function runAuthcallout(
  { config, log, metrics, scope }: ServiceContext,
  { system: seam = (real) => real }: AuthcalloutSeams = {},
): Promise<AuthcalloutService> {
  const subjects = subjectsOf(config.clusterId);
  const now = Date.now;
  const replica = `${hostname()}-${randomBytes(6).toString("hex")}`;
  const connect = (account: "SYS" | "CORE" | "APP") =>
    connectService({ config, service: "authcallout", account, log, scope });
  const [sys, core, app] = await Promise.all([connect("SYS"), connect("CORE"), connect("APP")]);
  const [js, jsm] = [jetstream(core), await jetstreamManager(core)];
  const system = seam(systemAccount(sys, "APP", now));
  const sessions = new Sessions();
  const servers = new Servers();
  const { signal } = scope;

  const follower = new GraphFollower({
    nc: core,
    js,
    jsm,
    subjects,
    graph: graphOptions(config),
    tokens: tokenOptions(config),
    roles: config.roles,
    onApplied: (applied) => {
      lookup?.touched(applied.touched);
      enforcer.applied(applied);
    },
    onLoaded: (revision) => {
      lookup?.forget();
      enforcer.loaded(revision);
      // Of what was lost before nobody knows: sessions that differ are cut, wherever they are.
      if (started.settled) void enforcer.reconcile().catch(() => undefined);
    },
    onTrouble: (reason) => log.warn({ reason }, "the permission graph's stream is disturbed; following again"),
  });
  const started = deferred<void>();
  const isFit = () => follower.age(now()) <= config.stalenessRefuse;

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
    onServer: (name, id) => enforcer.told(name, id),
    onAlias: (alias) => follower.remember(alias),
    onChange: () => enforcer.consider(),
  });
  const revision = () => follower.revision;
  const kicker = new Kicker({ app, system, sessions, servers, subjects, revision, log, signal });
  const measured = calloutMetrics(metrics, {
    sessions: () => sessions.size,
    graphAge: () => follower.age(now()) / 1000,
    graphRevision: () => follower.revision.sequence,
    openCuts: () => kicker.open,
    silentServers: () => servers.silentCount,
    leading: () => Number(member.leads()),
    takingLogins: () => Number(group.isIn),
    waiting: () => queue.length,
  });
  const enforcer = new Enforcer({
    member,
    kicker,
    system,
    sessions,
    servers,
    follower,
    subjects,
    log,
    now,
    signal,
    onPhase: measured.phase,
    onAction: ({ session, because, do: what }, seconds) => {
      measured.action(because, what, seconds);
      log.info({ user: session.name.user, token: session.name.key.token, reason: because, seconds }, `session ${what}`);
    },
  });

  const lookup = createTokenLookup(config, signal, now, measured.lookup);
  const responder = new Responder({
    keys: {
      signer: createSigner("account", config.issuerSeed),
      sealer: createSealer(config.xkeySeed),
      verifier: createVerifier("server"),
    },
    view: follower,
    options: {
      clusterId: config.clusterId,
      subjects,
      sessionTtl: config.sessionTtl,
      stalenessRefuse: config.stalenessRefuse,
      grantsMax: config.grantsMax,
    },
    sessions,
    guesses: new GuessLimit(config.guessesPerMinute, config.trustedProxies.split(/\s+/)),
    lookup,
    lookupPatience: config.authTimeout / 2,
    onOutage: config.onOutage,
    mayAnswer: () => member.mayAnswer(),
    announce: (server) => enforcer.announce(server.name, server.id),
    alias: (identity) => {
      const known = follower.tokens.bySessionToken(identity.sessionToken, now());
      if (known?.token === identity.token && known.expiresAt === identity.expiresAt) return null;
      const alias = aliasOf(identity);
      return member.say({ kind: "alias", ...alias }).then(() => follower.remember(alias));
    },
    maxPayload: () => (core.info?.max_payload ?? 1024 * 1024) - PAYLOAD_MARGIN,
    now,
    random: Math.random,
    log,
    onResult: measured.result,
  });
  const queue: LoginQueue<Msg> = new LoginQueue({
    take(message) {
      const end = measured.login();
      const taken = responder.take(message);
      if (taken) end();
      return taken;
    },
    onShed(message, waited) {
      const why = fault(member.mayAnswer() ? "login.overload" : "login.no_lease", { ms: Math.round(waited) });
      measured.shed(why.code);
      log.warn({ ...why.facts }, why.message);
      responder.shed(message, why);
    },
    patience: config.authTimeout * 0.75,
    length: QUEUE_LENGTH,
    now: () => performance.now(),
    later: (callback, wait) => void (wait ? setTimeout(callback, HOLD_MS) : setImmediate(callback)),
  });
  const group = new QueueGroup(core, log, (message) => queue.push(message));

  scope.defer("graph follower", () => follower.stop());
  scope.defer("barrier", () => member.stop());
  await follower.start();
  await member.start();
  await enforcer.start();
  started.resolve();
  await enforcer.reconcile();
  while (!member.mayAnswer() && !signal.aborted) await sleep(5, signal);
  group.join();
  await core.flush();

  let wasFit = isFit();
  let draining = false;
  const look = () => {
    if (draining) return;
    const fit = isFit();
    // Others see by the lease whether we are fit, so it is sent as soon as that changes.
    if (fit !== wasFit) member.renew();
    wasFit = fit;
    // A lease that was lost for a moment is back before those who wait give up.
    const serving = member.lapsedFor() < LAPSE_BORNE_MS;
    if (shouldTakeLogins({ serving, fit, anotherIsFit: member.anotherIsFit() })) {
      if (member.mayAnswer()) group.join();
    } else if (group.isIn) {
      log.warn({ fit, serving }, "this replica's graph is stale or its lease is lost: it takes no more logins");
      if (serving) void group.leave();
      else group.drop();
    }
    enforcer.consider();
    enforcer.closeLapsed();
    // With BARRIER out of reach nobody holds a lease, and nobody leads: then everyone ends what is stale.
    const mine = member.leads() || member.replicas() === 0;
    if (follower.age(now()) > config.stalenessEnd && mine) void endStale();
  };
  let ending = false;
  const endStale = async () => {
    if (ending) return;
    ending = true;
    const isAdmin = (user: string) => follower.graph.grants(user).patterns.includes(">");
    await enforcer
      .endAll("graphStale", ({ user }) => config.stalenessKeepAdmins && isAdmin(user))
      .catch(() => undefined);
    ending = false;
  };
  const looking = setInterval(look, LOOK_MS);
  scope.defer("the look at freshness", () => clearInterval(looking));
  const reconciling = setInterval(() => void enforcer.maintain().catch(() => undefined), RECONCILE_MS);
  scope.defer("reconciling", () => clearInterval(reconciling));

  const done = deferred<void>();
  return {
    replica,
    leads: () => member.leads(),
    takesLogins: () => group.isIn,
    readiness() {
      const age = follower.age(now());
      const fresh = age <= config.stalenessRefuse;
      const silent = servers.all().filter((server) => server.silent);
      const waitsFor = member.unsettled();
      return {
        graph: {
          ok: fresh,
          says: fresh
            ? `following at revision ${formatRevision(follower.revision)}`
            : `stale: last known complete ${Number.isFinite(age) ? `${Math.round(age / 1000)} s ago` : "never"}; ${group.isIn ? "logins are refused (graph.stale)" : "another replica takes the logins"}`,
        },
        lease: {
          ok: member.mayAnswer(),
          says: `${member.mayAnswer() ? "held" : "not held"}; ${member.replicas()} replicas, ${member.leads() ? "leading" : "following"}`,
        },
        servers: {
          ok: true,
          says:
            silent.length === 0
              ? `${servers.ids().length} seen`
              : `silent: ${silent.map(({ name }) => name).join(", ")}; if gone for good: \`arvados-nats servers forget NAME\``,
        },
        sessions: {
          ok: true,
          says: `${sessions.size} known, ${kicker.open} revocations under way${waitsFor.length > 0 ? `, waiting for ${waitsFor.join(", ")}` : ""}`,
        },
      };
    },
    async drain() {
      draining = true;
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
