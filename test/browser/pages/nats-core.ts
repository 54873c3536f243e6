/** The test page on @nats-io/nats-core, the successor. It takes `ws://` for wss unless the URL is whole. */
import { wsconnect } from "@nats-io/nats-core";
import { exposeSession } from "./session.ts";

exposeSession((options) => wsconnect(options));
