import { strict as assert } from "node:assert";
import type { NatsConnection as CoreConnection } from "@nats-io/nats-core";
import type { NatsConnection as NodeConnection } from "nats";
import type { NatsConnection as BrowserConnection } from "nats.ws";
import { type ConnectOptions, connectOptions } from "../../client/identity.ts";
import type { NatsLike } from "../../client/nats-like.ts";

// Not run: it compiles only while each library's connection is a NatsLike.
const fits: {
  node(nc: NodeConnection): NatsLike;
  browser(nc: BrowserConnection): NatsLike;
  core(nc: CoreConnection): NatsLike;
  options(
    o: ConnectOptions,
  ): [
    import("nats").ConnectionOptions,
    import("nats.ws").ConnectionOptions,
    import("@nats-io/nats-core").ConnectionOptions,
  ];
} = { node: (nc) => nc, browser: (nc) => nc, core: (nc) => nc, options: (o) => [o, o, o] };

describe("the client's connection type", () => {
  it("is met by nats, nats.ws and nats-core, as are the options to connect with", async () => {
    const options = await connectOptions(`v2/zzzzz-gj3su-${"0".repeat(15)}/secret`, "a".repeat(16));
    assert.equal(fits.options(options).length, 3);
  });
});
