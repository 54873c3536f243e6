/** A pull consumer for one reader, which nats-server keeps in memory and removes when the reader has not pulled for a while. */
import {
  AckPolicy,
  type Consumer,
  type ConsumerConfig,
  type ConsumerInfo,
  type JetStreamClient,
  type JetStreamManager,
} from "@nats-io/jetstream";
import { nanos } from "@nats-io/nats-core";

type EphemeralConsumerOptions = {
  js: JetStreamClient;
  jsm: JetStreamManager;
  stream: string;
  /** Which messages it delivers, and from where. */
  reads: Pick<ConsumerConfig, "deliver_policy"> & Partial<ConsumerConfig>;
  inactiveMs: number;
};

export async function ephemeralConsumer(
  options: EphemeralConsumerOptions,
): Promise<{ consumer: Consumer; info: ConsumerInfo }> {
  const { js, jsm, stream, reads, inactiveMs } = options;
  const info = await jsm.consumers.add(stream, {
    ack_policy: AckPolicy.None,
    mem_storage: true,
    num_replicas: 1,
    inactive_threshold: nanos(inactiveMs),
    ...reads,
  });
  return { consumer: await js.consumers.get(stream, info.name), info };
}
