/** The graph that a command loads from replicas of a stream of which one lags. */
import assert from "node:assert/strict";
import type { StoredMsg, StreamInfo } from "@nats-io/jetstream";
import { QueuedIteratorImpl } from "@nats-io/nats-core/internal";
import { subjectsOf } from "../../core/subjects.ts";
import { formatGraphEntry } from "../../core/wire/graph-entry.ts";
import { type GraphStream, loadGraph } from "../../replica/load-graph.ts";
import { FIRST_COMMIT, GRAPH_OPTIONS, move, readable } from "./moving-link.ts";

const subjects = subjectsOf("zzzzz");
const ENTRY = JSON.stringify({ epoch: 1 });
type Message = { subject: string; seq: number; body: string };

/** All that was ever stored; a replica at sequence `n` has the last message of each subject among the first `n`. */
const LOG: Message[] = [FIRST_COMMIT, move(0)]
  .flatMap((changes) => [
    ...changes.map((change) => ({ subject: subjects.graph(change.kind, change.uuid), body: formatGraphEntry(change) })),
    { subject: subjects.graphCommit, body: ENTRY },
  ])
  .map((message, index) => ({ ...message, seq: index + 1 }));
const FIRST_END = FIRST_COMMIT.length + 1;

function heldAt(sequence: number): Message[] {
  const held = new Map(LOG.slice(0, sequence).map((message) => [message.subject, message]));
  return [...held.values()].sort((one, other) => one.seq - other.seq);
}

/** Answers the first request from the newest replica, with two messages, the second from one that lags, and then as the leader. */
function replicas(leaderEnd: number): GraphStream {
  const answers = [
    (from: number) =>
      heldAt(LOG.length)
        .filter(({ seq }) => seq >= from)
        .slice(0, 2),
    (from: number) => heldAt(FIRST_END).filter(({ seq }) => seq >= from),
    (from: number) => heldAt(LOG.length).filter(({ seq }) => seq >= from),
  ];
  return {
    streams: { info: async () => ({ state: { last_seq: leaderEnd } }) as StreamInfo },
    direct: {
      async getBatch(_stream, options) {
        const answer = new QueuedIteratorImpl<StoredMsg>();
        const { seq = 1 } = options as { seq?: number };
        for (const message of (answers.shift() as (from: number) => Message[])(seq)) {
          answer.push({ ...message, string: () => message.body } as unknown as StoredMsg);
        }
        answer.push((() => answer.stop()) as unknown as StoredMsg);
        return answer;
      },
    },
  };
}

describe("the graph that a command loads from a stream of several copies", () => {
  const { signal } = new AbortController();

  it("is that of the leader's last commit, though a replica that lags answered with the end of an earlier one", async () => {
    const { graph, revision } = await loadGraph({ jsm: replicas(LOG.length), subjects, graph: GRAPH_OPTIONS, signal });
    assert.deepEqual([readable(graph), revision.sequence], [[2], LOG.length]);
  });

  it("would be a state that never existed, without the leader's answer: negative control", async () => {
    const { graph } = await loadGraph({ jsm: replicas(FIRST_END), subjects, graph: GRAPH_OPTIONS, signal });
    assert.deepEqual(readable(graph), []);
  });
});
