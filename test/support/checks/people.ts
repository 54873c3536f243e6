/** People of a test stack, each with a token and a collection of which its session hears. */
import type { Transaction } from "../../../dev/simulator/index.ts";
import { until } from "../../../dev/testing/until.ts";
import type { TestStack } from "../worlds/stack.ts";
import { type Listener, startListener } from "./listener.ts";
import type { Logins } from "./logins.ts";

export type Person = { user: string; token: string; tokenUuid: string; sees: string };
export type Done = { lsn: string };

export class People {
  readonly #stack: () => TestStack;
  readonly #logins: Logins;
  #count = 0;

  constructor(stack: () => TestStack, logins: Logins) {
    this.#stack = stack;
    this.#logins = logins;
  }

  get alice(): string {
    return this.#stack().cluster.users.alice.uuid;
  }

  get #arvados() {
    return this.#stack().arvados;
  }

  async user(options: { isAdmin?: boolean } = {}): Promise<string> {
    return (await this.#arvados.createUser({ username: `user${++this.#count}`, ...options })).uuid;
  }

  async collection(owner: string): Promise<string> {
    return (await this.#arvados.createCollection({ name: `c${++this.#count}`, owner, by: this.alice })).uuid;
  }

  async project(owner: string): Promise<string> {
    return (await this.#arvados.createProject({ name: `p${++this.#count}`, owner, by: this.alice })).uuid;
  }

  update(collection: string): Promise<Done> {
    return this.#arvados.updateCollection(collection, { name: `n${++this.#count}`, by: this.alice });
  }

  /** Past the models, as Arvados does in places: no log row. */
  raw(sql: string, ...values: string[]): Promise<Done> {
    return this.#arvados.tx((_: unknown, tx: Transaction) => tx.query(sql, values));
  }

  /** Whoever knows the token knows all that was committed before. */
  async person(user: string, sees: string): Promise<Person> {
    const { v2, uuid } = await this.#arvados.issueToken(user);
    return { user, token: v2, tokenUuid: uuid, sees };
  }

  withOwn = async (): Promise<Person> => {
    const user = await this.user();
    return this.person(user, await this.collection(user));
  };

  /** Somebody with whom alice shares the project in which the collection lies. */
  withShare = async (): Promise<Person & { project: string; link: string }> => {
    const [user, project] = [await this.user(), await this.project(this.alice)];
    const sees = await this.collection(project);
    const { uuid: link } = await this.#arvados.share(user, project, "can_read", { by: this.alice });
    return { ...(await this.person(user, sees)), project, link };
  };

  /** The same through a role. */
  withRole = async (): Promise<Person & { role: string; project: string }> => {
    const [user, project] = [await this.user(), await this.project(this.alice)];
    const { uuid: role } = await this.#arvados.createRole({ name: `r${++this.#count}` });
    const sees = await this.collection(project);
    await this.#arvados.share(role, project, "can_read", { by: this.alice });
    await this.#arvados.addToRole(user, role);
    return { ...(await this.person(user, sees)), role, project };
  };

  /**
   * Somebody for whom a container runs, with the container's token as crunch-run sends it; `plain` is without the container.
   * @param given the container was given its token; else one was made for it
   */
  async container(given: boolean): Promise<Person & { container: string; plain: string }> {
    const user = await this.user();
    const sees = await this.collection(user);
    const supplied = given ? { runtimeToken: (await this.#arvados.issueToken(user)).v2 } : {};
    const { uuid } = await this.#arvados.createContainer({ runtimeUser: user, ...supplied });
    const { token } = await this.#arvados.runContainer(uuid);
    return { user, token: token.withContainer, tokenUuid: token.uuid, sees, container: uuid, plain: token.v2 };
  }

  /** The person's session, once it has heard of an update. */
  async hearing({ token, sees }: Person): Promise<Listener> {
    const session = await until(
      () => startListener(this.#logins, token).catch(() => null),
      "the graph to have the token",
    );
    await this.update(sees);
    const isHeard = () => session.about(sees).some(({ event }) => event.event_type === "update");
    await until(isHeard, "the update while it may be seen");
    return session;
  }
}
