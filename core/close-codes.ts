/**
 * Why a session or a tail ends, or gets a notice. Notices, the edge, metrics and docs share this table.
 * `reconnect` says whether a new login with the same token can succeed: 4000-4099 yes, 4100-4199 no.
 */
export const CLOSE_CODES = {
  permissionsChanged: { code: 4003, reason: "permissions changed: some rights were revoked", reconnect: true },
  permissionsGrown: { code: 4004, reason: "permissions changed: new rights", reconnect: true },
  objectsMoved: { code: 4005, reason: "permissions changed: objects you may read have moved", reconnect: true },
  tokenUncertain: { code: 4006, reason: "the Arvados API must confirm the token again", reconnect: true },
  graphStale: { code: 4010, reason: "the permission graph is out of date", reconnect: true },
  draining: { code: 4011, reason: "this service is shutting down", reconnect: true },
  slowConsumer: { code: 4012, reason: "too slow: what was sent was not taken in time", reconnect: true },
  natsUnreachable: { code: 4014, reason: "nats-server cannot be reached", reconnect: true },
  connectTimeout: { code: 4015, reason: "the client sent no CONNECT in time", reconnect: true },
  tooManySessions: { code: 4016, reason: "too many sessions: the newest are ended", reconnect: true },
  flooding: { code: 4017, reason: "more requests than the gateway accepts", reconnect: true },
  tailFailed: { code: 4018, reason: "reading the log failed", reconnect: true },
  clientSilent: { code: 4019, reason: "the client has sent nothing for too long", reconnect: true },
  sessionEnded: { code: 4020, reason: "the session that opened the tail has ended", reconnect: true },
  connectInvalid: { code: 4106, reason: "the first message is not a NATS CONNECT", reconnect: false },
  connectTooLong: { code: 4107, reason: "CONNECT is too long", reconnect: false },
  originRefused: { code: 4108, reason: "nats-server does not accept pages from this origin", reconnect: false },
  tokenEnded: { code: 4101, reason: "the token has expired or was revoked", reconnect: false },
  userDeactivated: { code: 4102, reason: "the user is no longer active", reconnect: false },
  readRevoked: { code: 4103, reason: "you may no longer read this", reconnect: false },
  logComplete: { code: 4105, reason: "the log is complete: its container has ended", reconnect: false },
  stopped: { code: 4104, reason: "stopped by the client", reconnect: false },
} as const;

export type CloseName = keyof typeof CLOSE_CODES;

export function isCloseName(name: string): name is CloseName {
  return Object.hasOwn(CLOSE_CODES, name);
}
