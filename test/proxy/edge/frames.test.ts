/** WebSocket frames as the edge tracks them, beside the library that decodes each. `FRAME_INPUTS` = how many random ones. */
import assert from "node:assert/strict";
import { mulberry32 } from "../../../dev/testing/random.ts";
import { FrameReader, FrameTracker, formatClose, formatFrame, OPCODE } from "../../../proxy/edge/frames.ts";
import { frameInput, referenceReceiver } from "../../support/frame-inputs.ts";

const INPUTS = Number(process.env.FRAME_INPUTS ?? 20_000);
const RULES = [
  { masked: true, messageBytes: 100_000 },
  { masked: false, messageBytes: 100_000 },
];

/** The seeds of inputs on which the two differ. */
function differences(inputs: number, track: (bytes: Buffer) => Buffer = (bytes) => bytes): number[] {
  const found: number[] = [];
  for (let seed = 0; seed < inputs; seed++) {
    const random = mulberry32(seed);
    const rules = RULES[seed % 2] as (typeof RULES)[number];
    const [tracker, reference] = [new FrameTracker(rules), referenceReceiver(rules)];
    for (const chunk of frameInput(random, rules)) {
      const ours = tracker.push(track(chunk));
      const theirs = reference.push(chunk);
      if (theirs === "closeCode") break;
      const isElsewhere = !tracker.hasClosed && tracker.isBetweenFrames !== reference.isBetweenFrames;
      if (ours !== theirs || (ours === null && isElsewhere)) found.push(seed);
      if (ours || theirs || tracker.hasClosed) break;
    }
  }
  return found;
}

describe("frames that are tracked", () => {
  it("end where the ws library finds their end, and are refused where it refuses them, cut anywhere", () => {
    assert.deepEqual(differences(INPUTS), []);
  }).timeout(10_000 + INPUTS);

  it("of a tracker that misreads a length differ from them (negative control)", () => {
    const misread = (bytes: Buffer) => {
      const copy = Buffer.from(bytes);
      if (copy.length > 1 && ((copy[1] as number) & 0x7f) === 126) copy[1] = (copy[1] as number) - 1;
      return copy;
    };
    assert.ok(differences(2_000, misread).length > 0);
  });

  it("cost no memory, however long the frame that is announced", () => {
    const tracker = new FrameTracker({ masked: false, messageBytes: 1e13 });
    assert.equal(tracker.push(Buffer.from([0x82, 127, 0, 0, 0, 0xff, 0, 0, 0, 0])), null);
    assert.equal(tracker.isBetweenFrames, false);
    assert.equal(tracker.push(Buffer.alloc(1_000)), null);
    assert.equal(tracker.leftOf(Buffer.alloc(10)), 10);
  });

  it("say how much of a chunk belongs to the frame under way", () => {
    const frame = formatFrame(OPCODE.binary, Buffer.alloc(300), false);
    const both = Buffer.concat([frame, frame]);
    for (let at = 1; at < frame.length; at++) {
      const tracker = new FrameTracker({ masked: false, messageBytes: 1_000 });
      tracker.push(both.subarray(0, at));
      assert.equal(tracker.leftOf(both.subarray(at)), frame.length - at);
    }
  });
});

describe("frames that are read", () => {
  it("are those that were written, whatever their length, masked or not", () => {
    for (const masked of [true, false]) {
      for (const length of [0, 1, 125, 126, 65_535, 65_536]) {
        const payload = Buffer.alloc(length, 5);
        const reader = new FrameReader({ masked, messageBytes: 1e6 });
        reader.push(Buffer.concat([formatFrame(OPCODE.binary, payload, masked), Buffer.from("rest")]));
        assert.deepEqual(reader.next(), { fin: true, opcode: OPCODE.binary, payload });
        assert.equal(reader.rest.toString(), "rest");
      }
    }
  });

  it("have the code and reason of a Close frame", () => {
    const reader = new FrameReader({ masked: false, messageBytes: 1e6 });
    reader.push(formatClose(4003, "why", false));
    assert.deepEqual(reader.next(), { fin: true, opcode: OPCODE.close, payload: Buffer.from("\x0f\xa3why", "latin1") });
  });
});
