/** The callout service: answers nats-server's logins from the permission graph in memory, and cuts sessions whose rights shrank. */
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { Msg } from "@nats-io/nats-core";
import { Fault, reasonOf } from "../core/errors.ts";
import { formatRevision } from "../core/revision.ts";
import { subjectsOf } from "../core/subjects.ts";
import { deferred } from "../runtime/deferred.ts";
import { GraphFollower } from "../runtime/graph-follower.ts";
import type { Service, ServiceContext } from "../runtime/service.ts";
import { connectService } from "../runtime/service-connection.ts";
import { authorize } from "./authorizer.ts";
import { sealedAnswer, userJwt } from "./callout-answer.ts";
import { type CalloutRequest, decodeRequest } from "./callout-request.ts";
import { Enforcer } from "./enforcer.ts";
import { createSigner, createVerifier } from "./jwt.ts";
import { Sessions } from "./sessions.ts";
import { type SystemAccount, systemAccount } from "./system-account.ts";
import { createSealer } from "./xkey.ts";

const CALLOUT_SUBJECT = "$SYS.REQ.USER.AUTH";
const QUEUE_GROUP = "arvados-nats-authcallout";

/** What a test puts between the service and the world, to show what a guard is good for. */
export type AuthcalloutSeams = { system?: (real: SystemAccount) => SystemAccount };

export async function runAuthcallout(
  { config, log, metrics, scope }: ServiceContext,
  { system = (real) => real }: AuthcalloutSeams = {},
): Promise<Service> {
  const subjects = subjectsOf(config.clusterId);
  const now = Date.now;
  const keys = {
    signer: createSigner("account", config.issuerSeed),
    sealer: createSealer(config.xkeySeed),
    verifier: createVerifier("server"),
  };
  const connect = (account: "SYS" | "CORE" | "APP") =>
    connectService({ config, service: "authcallout", account, log, scope });
  const [sys, core, app] = await Promise.all([connect("SYS"), connect("CORE"), connect("APP")]);

  const requests = metrics.counter("requests_total", "Logins by result and, for refusals, reason", ["result", "code"]);
  const latency = metrics.histogram("request_seconds", "From a login's arrival to its answer");
  const revocations = metrics.histogram("revocation_seconds", "From COMMIT in PostgreSQL to the session's kick");
  const ended = metrics.counter("sessions_told_total", "Sessions cut or told, by reason", ["reason"]);

  const sessions = new Sessions();
  const follower = new GraphFollower({
    nc: core,
    js: jetstream(core),
    jsm: await jetstreamManager(core),
    subjects,
    graph: {
      clusterId: config.clusterId,
      roleGroupsVisibleToAll: config.roleGroupsVisibleToAll,
      audienceMin: config.audienceMin,
    },
    tokens: {
      clusterId: config.clusterId,
      systemRootToken: config.systemRootToken,
      anonymousSecret: config.anonymousUserToken,
    },
    onApplied: (applied) => enforcer.applied(applied),
    onTrouble: (reason) => log.warn({ reason }, "the permission graph's stream is disturbed; following again"),
  });
  const enforcer = new Enforcer({
    core,
    app,
    system: system(systemAccount(sys, "APP", now)),
    sessions,
    follower,
    subjects,
    log,
    now,
    onAction: ({ session, because, do: what }, seconds) => {
      ended.inc({ reason: because });
      if (what === "cut" && seconds !== null) revocations.observe(seconds);
      log.info({ user: session.name.user, token: session.name.key.token, reason: because, seconds }, `session ${what}`);
    },
  });
  scope.defer("graph follower", () => follower.stop());
  scope.defer("enforcer", () => enforcer.stop());
  metrics.gauge("sessions", "Sessions that may be alive", [], () => sessions.size);
  metrics.gauge("graph_age_seconds", "Age of the permission graph", [], () => follower.age(now()) / 1000);
  metrics.gauge("open_cuts", "Revocations being enforced now", [], () => enforcer.openCuts);

  await follower.start();
  await enforcer.start();

  const refuse = (request: CalloutRequest, fault: Fault): Buffer => {
    requests.inc({ result: "denied", code: fault.code });
    log.info(
      { ...fault.facts, code: fault.code, host: request.host, cid: request.cid },
      `login refused: ${fault.message}`,
    );
    return sealedAnswer(keys, request, { error: fault.code }, seconds(now()));
  };

  const answer = (message: Msg): Buffer | null => {
    const request = decodeRequest(message.data, message.headers?.get("Nats-Server-Xkey"), keys, now());
    if (request instanceof Fault) {
      requests.inc({ result: "ignored", code: request.code });
      log.warn({ ...request.facts }, request.message);
      return null;
    }
    const options = {
      clusterId: config.clusterId,
      subjects,
      sessionTtl: config.sessionTtl,
      stalenessRefuse: config.stalenessRefuse,
      grantsMax: config.grantsMax,
    };
    const outcome = authorize(request, follower, options, now(), Math.random());
    if (outcome instanceof Fault) return refuse(request, outcome);
    const issuedAt = seconds(now());
    const jwt = userJwt(keys.signer, request.userNkey, outcome.admission, issuedAt);
    // Known before it is answered: a removal that comes now finds it.
    sessions.add({ server: request.server.id, cid: request.cid, name: outcome.session, since: now() });
    requests.inc({ result: "admitted", code: "" });
    log.debug({ user: outcome.session.user, revision: formatRevision(outcome.session.revision) }, "login admitted");
    return sealedAnswer(keys, request, { jwt }, issuedAt);
  };

  const done = deferred<void>();
  const subscription = core.subscribe(CALLOUT_SUBJECT, {
    queue: QUEUE_GROUP,
    callback: (error, message) => {
      if (error) return log.error({ reason: reasonOf(error) }, "the callout subscription failed");
      const end = latency.startTimer();
      try {
        const body = answer(message);
        if (body) message.respond(body);
      } catch (failure) {
        requests.inc({ result: "failed", code: "" });
        log.error({ err: failure }, "a login could not be answered");
      } finally {
        end();
      }
    },
  });
  await core.flush();

  return {
    readiness() {
      const age = follower.age(now());
      const fresh = age <= config.stalenessRefuse;
      return {
        graph: {
          ok: fresh,
          says: fresh
            ? `following at revision ${formatRevision(follower.revision)}`
            : `stale: last known complete ${Number.isFinite(age) ? `${Math.round(age / 1000)} s ago` : "never"}; logins are refused`,
        },
        sessions: { ok: true, says: `${sessions.size} known, ${enforcer.openCuts} revocations under way` },
      };
    },
    async drain() {
      await subscription.drain();
      done.resolve();
    },
    done: done.promise,
  };
}

function seconds(ms: number): number {
  return Math.floor(ms / 1000);
}
