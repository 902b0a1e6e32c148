import { DmaBufError } from '@dmabuf/core';
import { Words } from '@dmabuf/core/driver';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DRM_FORMAT_NV12, DRM_FORMAT_XRGB8888 } from './fourcc.js';
import { FramebufferTable } from './framebuffer-table.js';
import { REG, registerWords } from './registers.js';

const LOCKS = { lock: () => {}, unlock: () => {} };
const INFO = {
  ino: 5,
  pointer: 4096,
  width: 64,
  height: 32,
  fourcc: DRM_FORMAT_XRGB8888,
  pitches: [256],
  offsets: [0],
};

function tableOf(count: number): FramebufferTable {
  return new FramebufferTable(
    new Words(new ArrayBuffer(registerWords(count) * 4)),
    0,
    count,
    LOCKS,
  );
}

function codeOf(run: () => void): string {
  try {
    run();
  } catch (error) {
    if (error instanceof DmaBufError) return `${error.code} ${error.detail}`;
    throw error;
  }
  return 'nothing';
}

test('what was added is found, by another object over the same words too', () => {
  const words = new Words(new ArrayBuffer((registerWords(4) + 32) * 4));
  const table = new FramebufferTable(words, 32, 4, LOCKS);
  const info = { ...INFO, fourcc: DRM_FORMAT_NV12, pitches: [64, 64], offsets: [0, 2048] };
  const id = table.add(info);
  assert.equal(new FramebufferTable(words, 32, 4, LOCKS).find(id), { id, ...info });
});

test('a stale id is ENOENT, though its place has been taken again', () => {
  const table = tableOf(1);
  const old = table.add(INFO);
  assert.is(table.remove(old), true);
  const young = table.add(INFO);
  assert.is.not(old, young);
  assert.is(table.find(old), undefined);
  assert.is(table.remove(old), false);
  assert.match(
    codeOf(() => table.get(old, 'page_flip')),
    new RegExp(`^ENOENT no framebuffer ${old};`),
  );
  assert.is(table.find(young)?.id, young);
});

test('a full table is ENOSPC and names the option', () => {
  const table = tableOf(2);
  table.add(INFO);
  table.add(INFO);
  assert.match(
    codeOf(() => table.add(INFO)),
    /^ENOSPC all 2 framebuffers .* kms\({ framebuffers/,
  );
});

test('no id is given twice, and what was never one finds nothing', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(7), { maxLength: 100 }), (script) => {
      const table = tableOf(4);
      const live: number[] = [];
      const ever = new Set<number>();
      for (const n of script) {
        const gone = live[n];
        if (gone !== undefined) {
          assert.is(table.remove(gone), true);
          live.splice(n, 1);
        } else if (live.length < 4) {
          const id = table.add(INFO);
          assert.is(ever.has(id), false);
          ever.add(id);
          live.push(id);
        }
        for (const id of ever) assert.is(table.find(id) !== undefined, live.includes(id));
      }
      for (const id of [0, -1, 1.5, 255, NaN, 2 ** 31]) assert.is(table.find(id), undefined);
    }),
  );
});

test('adding and removing hold the lock, also when the table is full', () => {
  const held: string[] = [];
  const locks = {
    lock: (i: number) => held.push(`+${i}`),
    unlock: (i: number) => held.push(`-${i}`),
  };
  const table = new FramebufferTable(new Words(new ArrayBuffer(registerWords(1) * 4)), 0, 1, locks);
  table.remove(table.add(INFO));
  table.add(INFO);
  codeOf(() => table.add(INFO));
  const pair = [`+${REG.FB_LOCK}`, `-${REG.FB_LOCK}`];
  assert.equal(held, [...pair, ...pair, ...pair, ...pair]);
});

test.run();
