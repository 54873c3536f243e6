/** The bodies of `tail`, `more` and `stop`, checked. */
import { z } from "zod";
import { isUuid, resourceOf } from "../../core/uuid.ts";

export const MAX_WINDOW = 1_024;
const id = z.string().min(1).max(64);

export const tailRequest = z.strictObject({
  container: z.string().refine((uuid) => isUuid(uuid) && resourceOf(uuid) === "containers", "not a container's uuid"),
  file: z.string().min(1).max(255),
  from: z
    .union([
      z.number().int().nonnegative(),
      z.literal("start"),
      z.strictObject({ last: z.number().int().positive().max(1_000_000) }),
    ])
    .default("start"),
  window: z.number().int().positive().max(MAX_WINDOW).default(64),
});

export const moreRequest = z.strictObject({ id, n: z.number().int().nonnegative().max(MAX_WINDOW) });
export const stopRequest = z.strictObject({ id });
