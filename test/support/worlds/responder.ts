/** A responder that knows one user with one token, as its own process would make it. */
import { GuessLimit } from "../../../authcallout/bounds/guess-limit.ts";
import { createSigner, createVerifier } from "../../../authcallout/login/jwt.ts";
import type { ResponderParts } from "../../../authcallout/login/responder.ts";
import { createSealer } from "../../../authcallout/login/xkey.ts";
import { Sessions } from "../../../authcallout/sessions/sessions.ts";
import { PermissionGraph } from "../../../core/graph/permission-graph.ts";
import { publicKeyBytes, verifyingKey } from "../../../core/nkey.ts";
import type { UserRow } from "../../../core/rows.ts";
import { RoleIndex } from "../../../core/session/roles.ts";
import { subjectsOf } from "../../../core/subjects.ts";
import { sha256 } from "../../../core/token/token.ts";
import { TokenIndex } from "../../../core/token/token-index.ts";
import { silentLog } from "../../../runtime/log/log.ts";

export const USER = "zzzzz-tpzed-000000000000001";
export const INACTIVE = "zzzzz-tpzed-000000000000002";
export const TOKEN = "zzzzz-gj3su-000000000000001";

/** Seeds, but of the edge only its public key. */
type Keys = { issuer: string; xkey: string; edge: string };

/** @param onResult of each login, `admitted` or the result and the code of its refusal */
export function responderParts(keys: Keys, onResult: (result: string) => void): ResponderParts {
  const tokens = new TokenIndex({ clusterId: "zzzzz", systemRootToken: "", anonymousSecret: "" });
  const row = { id: 1, uuid: TOKEN, user_uuid: USER, scopes: ["all"], expires_at: null, refreshes_at: null };
  const hashes = { secret_sha256: sha256("secret"), salted_sha256: sha256("salted") };
  tokens.apply([{ kind: "token", uuid: TOKEN, row: { ...row, ...hashes } }]);
  const graph = new PermissionGraph({ clusterId: "zzzzz", roleGroupsVisibleToAll: true, audienceMin: 20 });
  const user = (id: number, uuid: string, is_active: boolean): UserRow => ({
    id,
    uuid,
    owner_uuid: "zzzzz-tpzed-000000000000000",
    is_admin: false,
    is_active,
    redirect_to_user_uuid: null,
  });
  graph.load([
    { kind: "user", uuid: USER, row: user(1, USER, true) },
    { kind: "user", uuid: INACTIVE, row: user(2, INACTIVE, false) },
  ]);
  return {
    keys: {
      pairs: [{ signer: createSigner("account", keys.issuer), sealer: createSealer(keys.xkey) }],
      verifier: createVerifier("server"),
      edges: [verifyingKey(publicKeyBytes("user", keys.edge))],
    },
    view: { graph, tokens, roles: new RoleIndex(new Map()), revision: { epoch: 1, sequence: 5 }, age: () => 0 },
    options: {
      clusterId: "zzzzz",
      subjects: subjectsOf("zzzzz"),
      sessionTtl: 3_600_000,
      stalenessRefuse: 10_000,
      grantsMax: 100,
    },
    sessions: new Sessions(),
    guesses: new GuessLimit(2),
    lookup: null,
    lookupPatience: 50,
    onOutage: "deny",
    mayAnswer: () => true,
    announce: () => null,
    alias: () => null,
    maxPayload: () => 1024 * 1024,
    now: Date.now,
    random: () => 0,
    log: silentLog(),
    onResult: (result, code) => onResult(code === "" ? result : `${result} ${code}`),
  };
}
