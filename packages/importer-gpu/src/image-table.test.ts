import { Words } from '@dmabuf/core/driver';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DRM_FORMAT_XRGB8888 } from './fourcc.js';
import { type ImageInfo, ImageTable } from './image-table.js';
import type { RecordHandle } from './record-table.js';
import { DEFAULT_COLOR } from './kernels/color.js';
import { GPU, gpuWords, HANDLES, JOB_REFS } from './layout.js';
import { gpu } from './spec.js';
import { Death, doorOf, DyingWords } from './testing/dying.test-helper.js';

const IMAGES = 4;
const [MORTAL, OTHER, FIRST, RECOVERER] = [1002, 1003, 1004, 1005];
const info: ImageInfo = {
  ...{ buffer: 64, ino: 7, frame: false, fourcc: DRM_FORMAT_XRGB8888, width: 4, height: 2 },
  planes: [{ offset: 0, pitch: 16 }],
  color: DEFAULT_COLOR,
};

/** The table as several actors see it, one of whom is going to die. */
function bench() {
  const memory = new ArrayBuffer(4 * gpuWords({ images: IMAGES, kernels: 1 }));
  const spec = gpu({ images: IMAGES, kernels: 1 });
  const words = new DyingWords(memory);
  const tableOf = (self: number): ImageTable => {
    return new ImageTable(doorOf(new Words(memory), self, spec));
  };
  const mortal = new ImageTable(doorOf(words, MORTAL, spec));
  const raw = new Int32Array(memory);
  const recover = (by: Words, self: number, dead: number): void => {
    const door = doorOf(by, self, spec);
    new ImageTable(door).died(dead);
    door.freeLockOf(dead, GPU.LOCK);
  };
  const recoverer = {
    dies: () => recover(words, FIRST, MORTAL),
    // The next one recovers its predecessor first.
    lives: () => {
      for (const dead of [FIRST, MORTAL]) recover(new Words(memory), RECOVERER, dead);
    },
  };
  return { words, mortal, other: tableOf(OTHER), recoverer, raw };
}

test('an image lives as long as a handle of any process or a job', () => {
  const { mortal, other } = bench();
  const made = mortal.import(info);
  const second = other.open(made.id);
  other.ref(made.id);
  assert.equal(other.info(made.id), info);
  assert.not(mortal.close(made));
  assert.not(other.close(second));
  assert.not(other.close(second), 'a slot that is free is given back once');
  assert.is(other.live, 1);
  assert.ok(mortal.unref(made.id));
  assert.is(other.live, 0);
  assert.throws(() => other.open(made.id), /ENOENT/);
  assert.throws(() => other.ref(made.id), /ENOENT/);
  assert.not(other.unref(made.id));
});

test('an image has so many handles and jobs, and their places come back', () => {
  const { mortal, other, raw } = bench();
  const made = mortal.import(info);
  const more = Array.from({ length: HANDLES - 1 }, () => other.open(made.id));
  assert.throws(() => other.open(made.id), /ENFILE.*15 handles/);
  const [first] = more;
  if (first !== undefined) other.close(first);
  more.push(other.open(made.id));
  for (let i = 0; i < JOB_REFS; i++) other.ref(made.id);
  assert.throws(() => other.ref(made.id), /ENOSPC.*65535 jobs/);
  for (const handle of [made, ...more.slice(1)]) assert.not(other.close(handle));
  for (let i = 1; i < JOB_REFS; i++) assert.not(other.unref(made.id));
  assert.ok(other.unref(made.id));
  assert.ok(raw.subarray(GPU.IMAGES).filter((word) => word === OTHER).length === 0);
});

/** What the mortal does: everything that changes the table. Calls `mine` for the handles that it has. */
function life(table: ImageTable, theirs: number): void {
  const a = table.import(info);
  const b = table.open(theirs);
  const c = table.open(theirs);
  table.close(b);
  const again = table.open(a.id);
  table.close(a);
  table.close(again);
  table.close(c);
  const d = table.import(info);
  table.open(d.id);
}

test('a process that dies at whatever access keeps no image, slot or lock; nor when its recoverer dies too', () => {
  let deaths = 0;
  for (let at = 0, over = false; !over; at++) {
    for (const recovererDies of [Infinity, 0, 1, 2, 3, 5]) {
      const { words, mortal, other, recoverer, raw } = bench();
      const theirs = other.import(info);
      words.dieAt(at);
      try {
        life(mortal, theirs.id);
        over = true;
      } catch (error) {
        assert.instance(error, Death);
        deaths++;
      }
      words.dieAt(recovererDies);
      try {
        recoverer.dies();
      } catch (error) {
        assert.instance(error, Death);
      }
      for (let i = 0; i < 2; i++) recoverer.lives();
      assert.is(other.live, 1, `died at ${at}`);
      assert.not(raw.includes(MORTAL, GPU.IMAGES), `a slot is still taken, died at ${at}`);
      assert.is(raw[GPU.LOCK], 0);
      const all: RecordHandle[] = [];
      for (let i = 1; i < IMAGES; i++) all.push(other.import(info));
      assert.throws(() => other.import(info), /ENOSPC/);
      for (const handle of [theirs, ...all]) assert.ok(other.close(handle));
      assert.is(other.live, 0);
    }
  }
  assert.ok(deaths > 200, `${deaths} deaths`);
});

test.run();
