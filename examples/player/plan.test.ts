/** Staging, depth, rates and feeding: what the player decides before anything runs. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Fence } from '@dmabuf/core';
import type { Clip, ClipPacket } from './clip.js';
import { chooseDepth } from './depth.js';
import { feed } from './feed.js';
import { makePlan, stage } from './plan.js';
import { frameRate } from './rate.js';

function packet(size: number, timestamp: number, shown = true): ClipPacket {
  return { data: new Uint8Array(size).fill(size), timestamp, keyframe: timestamp === 0, shown };
}

function clipOf(packets: readonly ClipPacket[]): Clip {
  return {
    name: 'test',
    fourcc: 'VP80',
    codec: 'VP8',
    header: new Uint8Array(),
    width: 16,
    height: 16,
    maxWidth: 16,
    maxHeight: 16,
    rate: [30, 1],
    packets,
    frames: packets.filter(({ shown }) => shown).length,
  };
}

test('every packet has a range of its own, and its bytes are staged there', () => {
  const clip = clipOf([packet(10, 0), packet(64, 33), packet(65, 67), packet(1, 100)]);
  const plan = makePlan(clip);
  const bytes = new Uint8Array(plan.bytes);
  stage(clip, bytes);
  let end = 0;
  for (const [i, { shown }] of plan.frames.entries()) {
    assert.ok(shown.offset >= end, `frame ${i} overlaps the one before`);
    end = shown.offset + shown.size;
    assert.equal([...bytes.subarray(shown.offset, end)], [...(clip.packets[i]?.data ?? [])]);
  }
  assert.ok(end <= plan.bytes);
});

test('a hidden frame is decoded with the picture that follows it', () => {
  const { frames } = makePlan(
    clipOf([packet(1, 0), packet(2, 33, false), packet(3, 33), packet(4, 66, false)]),
  );
  assert.equal(
    frames.map(({ hidden, shown }) => [hidden.map(({ size }) => size), shown.size]),
    [
      [[], 1],
      [[2], 3],
    ],
  );
});

test('a whole clip is queued ahead where the job table takes it', () => {
  assert.equal(chooseDepth(180, 3), { depth: 180, jobs: 4096 });
  assert.equal(chooseDepth(180, 4, 8), { depth: 8, jobs: 4096 });
});

test('a long clip is queued as far ahead as the table allows, with slots to spare', () => {
  const { depth, jobs } = chooseDepth(100_000, 3);
  assert.is(jobs, 4096);
  assert.ok(depth > 1000 && depth * 3 + 640 <= jobs, `depth ${depth}`);
  const asked = chooseDepth(100_000, 4, 100_000);
  assert.ok(asked.jobs > jobs && asked.depth * 4 + 640 <= asked.jobs, `depth ${asked.depth}`);
});

test('the feeder never has more frames in flight than the depth, and queues each once, in order', () => {
  for (const depth of [1, 3, 10]) {
    const queued: number[] = [];
    let finished = 0;
    const fenceOf = (frame: number): Fence => {
      // Only what feed() uses: waiting for a frame finishes it.
      const fence: Pick<Fence, 'wait'> = {
        wait: () => {
          finished = Math.max(finished, frame + 1);
          return 1;
        },
      };
      return fence as Fence;
    };
    const ahead = [0, 1].slice(0, depth).map(fenceOf);
    const queue = {
      queue(frame: number): Fence {
        assert.ok(
          frame - finished < depth,
          `frame ${frame} at depth ${depth}, ${finished} finished`,
        );
        queued.push(frame);
        return fenceOf(frame);
      },
    };
    feed(queue, ahead.length, 20, depth, ahead);
    assert.equal(
      queued,
      Array.from({ length: 20 - ahead.length }, (_, i) => i + ahead.length),
    );
  }
});

test('a rate is the common one that timestamps in whole ms mean', () => {
  const times = (rate: number, round: boolean): number[] =>
    Array.from({ length: 60 }, (_, i) =>
      round ? Math.round((i * 1000) / rate) : (i * 1000) / rate,
    );
  assert.equal(frameRate(times(30, true)), [30, 1]);
  assert.equal(frameRate(times(25, true)), [25, 1]);
  assert.equal(frameRate(times(30000 / 1001, false)), [30000, 1001]);
  assert.equal(frameRate(times(12.5, false)), [12500, 1000]);
  assert.equal(frameRate([0]), [30, 1]);
});

test.run();
