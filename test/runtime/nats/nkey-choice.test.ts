import assert from "node:assert/strict";
import { createUser } from "@nats-io/nkeys";
import { chooseNkey } from "../../../runtime/nats/nkey-choice.ts";

const pairs = [createUser(), createUser()];
const seeds = pairs.map((pair) => new TextDecoder().decode(pair.getSeed()));

function offers(random: () => number) {
  const choice = chooseNkey(seeds, random);
  const offer = () => {
    const { nkey } = choice.authenticator("nonce") as { nkey: string };
    return pairs.findIndex((pair) => pair.getPublicKey() === nkey);
  };
  return { offer, taken: choice.accepted };
}

describe("the choice between two nkeys", () => {
  it("offers the first, then the other, then either at random", () => {
    const chances = [0.9, 0.1, 0.9];
    const { offer } = offers(() => chances.shift() ?? 0);
    assert.deepEqual([offer(), offer(), offer(), offer(), offer()], [0, 1, 1, 0, 1]);
  });

  it("offers first the one that was accepted last", () => {
    const { offer, taken } = offers(() => 0);
    offer();
    assert.equal(offer(), 1);
    taken();
    assert.deepEqual([offer(), offer(), offer()], [1, 0, 0]);
    taken();
    assert.equal(offer(), 0);
  });
});
