/** The test page on nats.ws 1.30, what people have installed today. */
import { connect } from "nats.ws";
import { exposeSession } from "./session.ts";

exposeSession((options) => connect(options));
