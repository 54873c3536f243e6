/** What tests started and did not end: each would keep the process of mocha alive. Mocha's hooks and their tests call it. */

/** Of what Node lists as active. The shared PostgreSQL is not among them, because it ends with this process. */
const STARTED = ["ProcessWrap", "TCPServerWrap"];

export function leftovers(): string[] {
  return process.getActiveResourcesInfo().filter((resource) => STARTED.includes(resource));
}
