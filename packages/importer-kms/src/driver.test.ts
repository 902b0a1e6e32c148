/** What the driver's `died` does with the locks of the dead. */
import { type DriverDoor, type Locks, Words } from '@dmabuf/core/driver';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { driver } from './driver.js';
import { DRM_FORMAT_XRGB8888 } from './fourcc.js';
import { FramebufferTable } from './framebuffer-table.js';
import { checkOptions } from './options.js';
import { REG, registerWords } from './registers.js';

/** A door whose locks `held` by actor 3; what was rung and freed. */
function doorOf(held: readonly number[]): { door: DriverDoor; words: Words; log: string[] } {
  const words = new Words(new ArrayBuffer(registerWords(4) * 4));
  const log: string[] = [];
  const locks: Pick<Locks, 'inherit' | 'unlock'> = {
    inherit: (index, dead) => dead === 3 && held.includes(index),
    unlock: (index) => log.push(`unlock ${index}`),
  };
  const door = {
    words,
    base: 0,
    locks,
    spec: { options: checkOptions({ framebuffers: 4 }) },
    ring: (actor: number) => log.push(`ring ${actor}`),
    freeLockOf: (dead: number, index: number) => log.push(`free ${index} of ${dead}`),
  };
  return { door: door as unknown as DriverDoor, words, log };
}

test('a submitter that died in the middle of a commit: the CRTC is told which', () => {
  const { door, words, log } = doorOf([REG.FLIP_LOCK]);
  words.store(REG.CRTC_ACTOR, 5);
  words.store(REG.PARTIAL_SEQNO, 77);
  driver.died?.(door, 3);
  assert.equal(log, [`unlock ${REG.FLIP_LOCK}`, 'ring 5', `free ${REG.FB_LOCK} of 3`]);
  assert.equal([words.load(REG.BROKEN_SEQNO), words.load(REG.PARTIAL_SEQNO)], [77, 0]);
});

test('one that held the lock between commits leaves nothing to tell', () => {
  const { door, words, log } = doorOf([REG.FLIP_LOCK]);
  driver.died?.(door, 3);
  assert.equal(log, [`unlock ${REG.FLIP_LOCK}`, `free ${REG.FB_LOCK} of 3`]);
  assert.is(words.load(REG.BROKEN_SEQNO), 0);
});

test("somebody else's commit is none of the dead one's", () => {
  const { door, words, log } = doorOf([]);
  words.store(REG.PARTIAL_SEQNO, 77);
  driver.died?.(door, 3);
  assert.equal(log, [`free ${REG.FB_LOCK} of 3`]);
  assert.equal([words.load(REG.BROKEN_SEQNO), words.load(REG.PARTIAL_SEQNO)], [0, 77]);
});

test('framebuffers of the dead are marked, and the CRTC is told to remove them', () => {
  const { door, words, log } = doorOf([]);
  words.store(REG.CRTC_ACTOR, 5);
  const table = new FramebufferTable(words, 0, 4, { lock: () => {}, unlock: () => {} });
  const shape = {
    width: 64,
    height: 64,
    fourcc: DRM_FORMAT_XRGB8888,
    pitches: [256],
    offsets: [0],
  };
  const [mine] = [3, 4].map((owner) => table.add({ ino: owner, pointer: 0, ...shape }, owner));
  driver.died?.(door, 3);
  assert.is(log.at(-1), 'ring 5');
  assert.equal([words.load(REG.DOOMED), table.orphans()], [1, [mine]]);
});

test.run();
