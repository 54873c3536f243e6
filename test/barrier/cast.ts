/** Who and what there is in the barrier's random world. */
import type { Simulator, Token } from "../../dev/simulator/index.ts";
import { pick, type Random } from "../../dev/testing/random.ts";

export type Person = { uuid: string /** Those that should be good now. */; tokens: Token[] };

export type BarrierCast = {
  people: readonly Person[];
  roles: readonly string[];
  /** The group of all users. */
  everybody: string;
  /** Some in others. */
  projects: readonly string[];
  collections: string[];
};

export async function makeCast(arvados: Simulator, random: Random): Promise<BarrierCast> {
  const { value } = await arvados.tx(async (operations) => {
    const people: Person[] = [];
    for (let i = 0; i < 6; i++) {
      const { uuid } = await operations.createUser({ username: `person${i}` });
      people.push({ uuid, tokens: [await operations.issueToken(uuid)] });
    }
    const roles: string[] = [];
    for (let i = 0; i < 3; i++) roles.push((await operations.createRole({ name: `role ${i}` })).uuid);
    const projects: string[] = [];
    for (let i = 0; i < 8; i++) {
      const owner = i < 4 ? pick(people, random).uuid : pick(projects, random);
      projects.push((await operations.createProject({ name: `project ${i}`, owner })).uuid);
    }
    const collections: string[] = [];
    for (let i = 0; i < 30; i++) {
      collections.push((await operations.createCollection({ name: `c ${i}`, owner: pick(projects, random) })).uuid);
    }
    return { people, roles, projects, collections };
  });
  return { ...value, everybody: arvados.known.allUsersGroup };
}
