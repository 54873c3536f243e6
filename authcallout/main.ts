/**
 * The callout service: answers nats-server's logins from the permission graph in memory, and cuts sessions whose rights shrank.
 *
 * Folders (a README.md in each), of which each imports only those before it: sessions/, barrier/, revocation/, bounds/, login/. lookup/ stands
 * apart. The files beside main.ts may import every folder and join them.
 */
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { type JetStreamClient, type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { subjectsOf } from "../core/subjects.ts";
import type { PermissionReplica } from "../replica/permission-replica.ts";
import { deferred } from "../runtime/deferred.ts";
import { ConnectionWatch } from "../runtime/nats/connection-watch.ts";
import { connectService } from "../runtime/nats/service-connection.ts";
import type { Service, ServiceContext } from "../runtime/service.ts";
import { sleep } from "../runtime/sleep.ts";
import { createEnforcement, type Enforcement } from "./enforcement.ts";
import { moveFromLameDucks } from "./login/lame-ducks.ts";
import { createLogins, createResponder, type Logins } from "./login/logins.ts";
import type { Question } from "./login/responder.ts";
import { createTokenLookup } from "./lookup/token-lookup.ts";
import { calloutMetrics, declareGauges } from "./metrics.ts";
import { calloutReadiness, readCalloutState } from "./readiness.ts";
import { createReplica } from "./replica.ts";
import { ServingLoop } from "./serving-loop.ts";
import { type SystemAccount, systemAccount } from "./sessions/system-account.ts";

/** What a test puts between the service and nats-server, to show what a guard is good for. */
export type AuthcalloutSeams = {
  system?: (real: SystemAccount) => SystemAccount;
  question?: (real: Question) => Question;
};

export type AuthcalloutService = Service & { replica: string; leads(): boolean; acceptsLogins(): boolean };

type Accounts = {
  sys: NatsConnection;
  core: NatsConnection;
  app: NatsConnection;
  js: JetStreamClient;
  jsm: JetStreamManager;
};

/** How often lost sessions are found again, and servers written into BARRIER again. */
const RECONCILE_MS = 60_000;
/** How often a draining replica checks its last answers. */
const DRAIN_STEP_MS = 20;
/** Logins wait for these requests, so one to a nats-server that is gone is given up early. */
const REQUEST_MS = 1_500;

export async function runAuthcallout(
  context: ServiceContext,
  { system: seam = (real) => real, question = (real) => real }: AuthcalloutSeams = {},
): Promise<AuthcalloutService> {
  const { config, log, metrics, scope } = context;
  const id = `${hostname()}-${randomBytes(6).toString("hex")}`;
  const subjects = subjectsOf(config.clusterId);
  const accounts = await connectAccounts(context);
  const { sys, core, app } = accounts;
  const connections = new ConnectionWatch();
  for (const [account, nc] of Object.entries({ SYS: sys, CORE: core, APP: app })) connections.add(account, nc);

  const measured = calloutMetrics(metrics);
  const lookup = createTokenLookup(config, scope.signal, Date.now, measured.lookup);
  const started = deferred<void>();
  const { replica, health } = createReplica(context, {
    ...accounts,
    subjects,
    onApplied(applied) {
      lookup?.forgetChanged(applied.changedKeys);
      enforcement.enforcer.applied(applied);
    },
    onLoaded(revision) {
      lookup?.forget();
      enforcement.enforcer.loaded(revision);
      // Nobody knows what was lost before this revision: sessions whose rights differ are cut, on whatever server.
      if (started.settled) void enforcement.enforcer.reconcile().catch(() => undefined);
    },
  });
  const isFit = () => replica.age(Date.now()) <= config.stalenessRefuse;
  const system = seam(systemAccount(sys, "APP", Date.now));
  const parts = { ...accounts, system, subjects, id, replica, health, lookup, measured, isFit };
  const enforcement = createEnforcement(context, parts);
  const { member, kicker, sessions, servers, guard, pauses } = enforcement;
  guard.start();
  const mayAnswer = () => member.mayAnswer();
  const responder = createResponder({ ...parts, ...enforcement, config, log, onResult: measured.result });
  const logins = createLogins({ core, responder, mayAnswer, authTimeout: config.authTimeout, measured, log, question });
  const { group } = logins;
  declareGauges(metrics, {
    sessions: () => sessions.size,
    graphAge: () => replica.age(Date.now()) / 1000,
    graphRevision: () => replica.revision.sequence,
    overScopes: () => replica.tokens.overScopes,
    openCuts: () => kicker.open,
    silentServers: () => servers.silentCount,
    leading: () => Number(member.leads()),
    acceptingLogins: () => Number(group.isIn),
    waiting: logins.waiting,
    paused: () => pauses.size(Date.now()),
  });

  await start(context, accounts, { replica, enforcement, logins, onStarted: started.resolve });
  const loop = serve(context, accounts, { replica, enforcement, logins, isFit });
  const done = deferred<void>();
  return {
    replica: id,
    leads: () => member.leads(),
    acceptsLogins: () => group.isIn,
    readiness: () => calloutReadiness(readCalloutState({ ...enforcement, replica, isFit, group, connections })),
    async drain() {
      loop.stop();
      await group.leave();
      await leaveBarrier(enforcement, config.authTimeout);
      done.resolve();
    },
    done: done.promise,
  };
}

async function connectAccounts({ config, log, scope }: ServiceContext): Promise<Accounts> {
  const connect = (account: "SYS" | "CORE" | "APP") =>
    connectService({ config, service: "authcallout", account, log, scope });
  const [sys, core, app] = await Promise.all([connect("SYS"), connect("CORE"), connect("APP")]);
  // This request has the client's usual timeout: JetStream may answer late at a start, and without it the start fails.
  await jetstreamManager(core);
  const js = jetstream(core, { timeout: REQUEST_MS });
  const jsm = await jetstreamManager(core, { timeout: REQUEST_MS, checkAPI: false });
  return { sys, core, app, js, jsm };
}

type Running = { replica: PermissionReplica; enforcement: Enforcement; logins: Logins };

/** Resolves once this replica answers logins: it knows the graph, the servers and their sessions, and holds a lease. */
async function start(
  { scope }: ServiceContext,
  { core }: Accounts,
  { replica, enforcement, logins, onStarted }: Running & { onStarted: () => void },
): Promise<void> {
  const { member, watch, enforcer } = enforcement;
  scope.defer("graph follower", () => replica.stop());
  scope.defer("barrier", () => member.stop());
  await replica.start();
  await member.start();
  await watch.start();
  onStarted();
  await enforcer.reconcile();
  while (!member.mayAnswer() && !scope.signal.aborted) await sleep(5, scope.signal);
  logins.group.join();
  await core.flush();
}

/** Starts what runs until the service drains: the serving loop, the move away from lame ducks, the reconciliation. */
function serve(
  { config, log, scope }: ServiceContext,
  { core }: Accounts,
  { replica, enforcement, logins, isFit }: Running & { isFit: () => boolean },
): ServingLoop {
  const { member, enforcer, guard } = enforcement;
  const { group } = logins;
  const loop = new ServingLoop({
    member,
    enforcer,
    group,
    overdue: () => Date.now() - (replica.vouched ?? Number.NEGATIVE_INFINITY),
    isFit,
    endsAt: config.stalenessEnd,
    onLead: () => guard.cutExcess(),
    spared: ({ user }) => config.stalenessKeepAdmins && replica.graph.grants(user).patterns.includes(">"),
    now: Date.now,
    log,
  });
  loop.start();
  moveFromLameDucks({ core, group, leads: () => member.leads(), signal: scope.signal, random: Math.random, log });
  scope.defer("serving loop", () => loop.stop());
  const reconciling = setInterval(() => {
    void enforcer
      .maintain()
      .catch(() => undefined)
      .then(() => guard.cutExcess());
  }, RECONCILE_MS);
  scope.defer("reconciling", () => clearInterval(reconciling));
  return loop;
}

/** Leaves once each answer of this replica has become a session, or no longer can; otherwise its lease expires by itself. */
async function leaveBarrier({ sessions, member }: Enforcement, authTimeout: number): Promise<void> {
  const end = Date.now() + authTimeout;
  while (sessions.pending(Date.now()).length > 0 && Date.now() < end) await sleep(DRAIN_STEP_MS);
  if (sessions.pending(Date.now()).length === 0) await member.leave();
}
