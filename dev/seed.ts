/**
 * The demo cluster: who is there, what they have, and what runs.
 *
 *     alice   Genomes / Run 1 with collections and a running container; member of the role "lab", which may write to "Shared data"
 *     bob     Notes, and nothing of alice's until she shares
 *     admin   an administrator
 */
import { manifestOf } from "./simulator/collections.ts";
import type { ContainerToken, Operations, Simulator, Token } from "./simulator/index.ts";

export type DemoUser = { uuid: string; username: string; token: Token };

export type DemoCluster = {
  clusterId: string;
  users: { alice: DemoUser; bob: DemoUser; admin: DemoUser };
  roles: { lab: string };
  projects: {
    /** alice's own; bob gets it shared in the demo's story. */
    genomes: string;
    /** In Genomes. */
    run1: string;
    /** The admin's, shared with the lab. */
    sharedData: string;
    /** bob's own. */
    notes: string;
  };
  collections: {
    /** In Genomes. */
    reference: string;
    /** In Run 1. */
    reads: string;
    /** In Shared data. */
    atlas: string;
    /** In Notes. */
    draft: string;
  };
  /** In Run 1, committed. */
  containerRequest: string;
  container: {
    uuid: string;
    /** The container's own: good for its log only, while it is Locked or Running. */
    token: ContainerToken;
  };
};

/** On a cluster with its `seed()` done. A handful of transactions; returns every uuid and token there is to know. */
export async function seedDemo(arvados: Simulator): Promise<DemoCluster> {
  const people = await arvados.tx(seedPeople);
  const { users, lab } = people.value;
  const things = await arvados.tx((operations) => seedThings(operations, people.value));
  const { projects, collections, containerRequest, container } = things.value;
  // A step of its own, as a dispatcher would take it.
  const { token } = await arvados.runContainer(container);
  return {
    clusterId: arvados.clusterId,
    users,
    roles: { lab },
    projects,
    collections,
    containerRequest,
    container: { uuid: container, token },
  };
}

type People = { users: DemoCluster["users"]; lab: string };

async function seedPeople(arvados: Operations): Promise<People> {
  const users = {
    alice: await seedUser(arvados, "alice", false),
    bob: await seedUser(arvados, "bob", false),
    admin: await seedUser(arvados, "admin", true),
  };
  const { uuid: lab } = await arvados.createRole({ name: "lab", by: users.admin.uuid });
  await arvados.addToRole(users.alice.uuid, lab, { by: users.admin.uuid });
  return { users, lab };
}

async function seedUser(arvados: Operations, username: string, isAdmin: boolean): Promise<DemoUser> {
  const { uuid } = await arvados.createUser({ username, isAdmin });
  return { uuid, username, token: await arvados.issueToken(uuid) };
}

async function seedThings(arvados: Operations, { users, lab }: People) {
  const [alice, bob, admin] = [users.alice.uuid, users.bob.uuid, users.admin.uuid];
  const project = async (name: string, owner: string, by: string) =>
    (await arvados.createProject({ name, owner, by })).uuid;
  const collection = async (name: string, owner: string, by: string, file: string) =>
    (await arvados.createCollection({ name, owner, by, manifestText: manifestOf(file, `${name}\n`) })).uuid;

  const genomes = await project("Genomes", alice, alice);
  const run1 = await project("Run 1", genomes, alice);
  const sharedData = await project("Shared data", admin, admin);
  const notes = await project("Notes", bob, bob);
  await arvados.share(lab, sharedData, "can_write", { by: admin });

  const collections = {
    reference: await collection("Reference genome", genomes, alice, "reference.fa"),
    reads: await collection("Reads", run1, alice, "reads.fastq"),
    atlas: await collection("Atlas", sharedData, admin, "atlas.tsv"),
    draft: await collection("Draft", notes, bob, "draft.md"),
  };
  const { uuid: containerRequest } = await arvados.createContainerRequest({
    name: "Align reads",
    owner: run1,
    command: ["bwa", "mem", "reference.fa", "reads.fastq"],
    by: alice,
  });
  const { container } = await arvados.commitContainerRequest(containerRequest, { by: alice });
  return { projects: { genomes, run1, sharedData, notes }, collections, containerRequest, container };
}
