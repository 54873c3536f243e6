/** A program that starts PostgreSQL, tells where it is, and waits to be killed. */
import { startPostgres } from "../../../dev/servers/postgres.ts";

const { pid, dataDir } = await startPostgres();
process.stdout.write(`${JSON.stringify({ pid, dataDir })}\n`);
