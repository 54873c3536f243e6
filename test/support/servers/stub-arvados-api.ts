/** The part of the Arvados API that says whose a token is, with whatever trouble a test wants. */
import type { ServerResponse } from "node:http";
import { startLoopbackServer } from "../../../dev/servers/loopback-server.ts";

export type TokenHolder = {
  /** The token's uuid. */
  uuid: string;
  user: string;
  scopes?: readonly string[];
  /** UTC milliseconds. */
  expiresAt?: number;
  /** Before the answer: what Arvados itself does when it sees the token, as putting a row into its database. */
  seen?: () => Promise<unknown>;
};

export type StubArvadosApi = AsyncDisposable & {
  url: string;
  /** By the token as it is sent. Every other one is refused. */
  holders: Map<string, TokenHolder>;
  /** What was asked, in order: the paths. */
  asked: string[];
  /** `silent` = takes the request and answers nothing. */
  state: "up" | "failing" | "silent" | "nonsense";
};

export async function startStubArvadosApi(): Promise<StubArvadosApi> {
  const holders: StubArvadosApi["holders"] = new Map();
  const asked: string[] = [];
  const answer = async (path: string, authorization: string, response: ServerResponse) => {
    asked.push(path);
    if (api.state === "silent") return;
    if (api.state === "failing") return void response.writeHead(502).end("bad gateway");
    if (api.state === "nonsense") return void response.writeHead(200).end("<html>");
    const holder = holders.get(authorization.replace(/^Bearer /, ""));
    if (!holder) return send(response, 401, { errors: ["Not logged in"] });
    const { uuid, user, scopes = ["all"], expiresAt } = holder;
    if (path === "/arvados/v1/api_client_authorizations/current") {
      await holder.seen?.();
      const expires_at = expiresAt === undefined ? null : new Date(expiresAt).toISOString();
      return send(response, 200, { uuid, owner_uuid: user, api_token: "not to be kept", scopes, expires_at });
    }
    const may = scopes.includes("all") || scopes.includes("GET /") || scopes.includes("GET /arvados/v1/users/current");
    if (path !== "/arvados/v1/users/current") return send(response, 404, {});
    send(response, may ? 200 : 403, may ? { uuid: user, is_active: true } : { errors: ["Forbidden"] });
  };
  const server = await startLoopbackServer(
    (request, response) => void answer(request.url ?? "", request.headers.authorization ?? "", response),
  );
  const api: StubArvadosApi = {
    ...server,
    holders,
    asked,
    state: "up",
  };
  return api;
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
}
