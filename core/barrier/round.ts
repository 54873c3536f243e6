/**
 * One round of the leader: every server is listed *after* all replicas have settled, and each listed session that does not
 * agree with the graph is kicked (those known before a second time), until that server confirms it. A silent server holds
 * the round.
 *
 *   unlisted ──listed──► kicking ──each kick confirmed──► clear       any ──the server is gone──► clear
 *
 * Pure. A leader that dies in the middle leaves nothing behind; the next one begins its own round.
 */
export type CutRound = {
  /** BARRIER sequence of the mark that this round enforces. */
  readonly mark: number;
  /** Servers that are not clear yet. */
  readonly servers: Readonly<Record<string, "unlisted" | readonly number[]>>;
};

export function beginRound(mark: number, servers: Iterable<string>): CutRound {
  return { mark, servers: Object.fromEntries([...servers].map((server) => [server, "unlisted"] as const)) };
}

/** @param unsound connections the server showed whose rights have gone */
export function listed(round: CutRound, server: string, unsound: readonly number[]): CutRound {
  if (round.servers[server] !== "unlisted") return round;
  return unsound.length === 0 ? gone(round, server) : withServer(round, server, unsound);
}

/** That server itself says that the connection is gone. */
export function kicked(round: CutRound, server: string, cid: number): CutRound {
  const left = round.servers[server];
  if (left === undefined || left === "unlisted") return round;
  const still = left.filter((one) => one !== cid);
  return still.length === 0 ? gone(round, server) : withServer(round, server, still);
}

/** The server came back under another id, shut down, or was declared gone: its sessions went with it. */
export function gone(round: CutRound, server: string): CutRound {
  const { [server]: _, ...servers } = round.servers;
  return { ...round, servers };
}

export function isEnforced(round: CutRound): boolean {
  return Object.keys(round.servers).length === 0;
}

function withServer(round: CutRound, server: string, left: readonly number[]): CutRound {
  return { ...round, servers: { ...round.servers, [server]: left } };
}
