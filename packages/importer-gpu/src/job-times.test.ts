// The times of jobs in the GPU's shared words, where the device dies at each of its stores.
import type { FenceTimes } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type EndingJob, type GpuTimings, JobTimes } from './job-times.js';
import { gpuWords, TIMES_KEPT } from './layout.js';
import { gpu } from './spec.js';
import { Death, doorOf, DyingWords } from './testing/dying.test-helper.js';

const CONTEXT = 77;
const spec = gpu({ images: 1, kernels: 1 });

function bench() {
  const words = new DyingWords(new ArrayBuffer(gpuWords({ images: 1, kernels: 1 }) * 4));
  // Each life of the device, and each reader, has an object of its own.
  return { words, life: () => new JobTimes(doorOf(words, 1, spec)) };
}

/** Job `seqno`, of which every time is told from every other. */
function timesOf(seqno: number): FenceTimes {
  const at = seqno * 10;
  return { queued: at, granted: at + 1, started: at + 2, done: at + 3 };
}

function job(seqno: number): EndingJob {
  return { context: CONTEXT, seqno, times: timesOf(seqno), complete() {}, release() {} };
}

const queriesOf = (seqno: number): number[] => [seqno * 10 + 2.5, seqno * 10 + 2.75];

/** What is known of a job whose slot has been recycled. */
function found({ life }: ReturnType<typeof bench>, seqno: number): GpuTimings | undefined {
  const fence = { slot: 1, generation: 1, context: CONTEXT, seqno, times: () => undefined };
  return life().find(fence);
}

function expected(seqno: number): GpuTimings {
  const ns = (ms: number): bigint => BigInt(ms * 1e6);
  const { queued, granted, started, done } = timesOf(seqno);
  return {
    ...{ queued: ns(queued), granted: ns(granted), started: ns(started), done: ns(done) },
    queries: queriesOf(seqno).map(ns),
  };
}

test('the newest are kept, older ones forgotten', () => {
  const b = bench();
  const device = b.life();
  const last = TIMES_KEPT + 5;
  for (let seqno = 1; seqno <= last; seqno++) device.end(job(seqno), 0, queriesOf(seqno));
  for (let seqno = 1; seqno <= last; seqno++) {
    assert.equal(found(b, seqno), seqno <= 5 ? undefined : expected(seqno));
  }
});

test('whoever has seen the fence finds the job: before it signals it is noted, after it is released too', () => {
  const b = bench();
  const seen: unknown[] = [];
  const look = (): void => void seen.push(found(b, 1)?.queries.length);
  b.life().end({ ...job(1), complete: look, release: look }, 0, queriesOf(1));
  assert.equal(seen, [2, 2]);
  assert.equal(found(b, 1), expected(1));
});

test('of a device that dies at any store no half-written times are read, and its next life goes on', () => {
  let deaths = 0;
  for (let n = 0; ; n++) {
    const b = bench();
    const device = b.life();
    for (let seqno = 1; seqno <= TIMES_KEPT; seqno++) device.end(job(seqno), 0, queriesOf(seqno));
    b.words.dieAt(n);
    let died = false;
    try {
      device.end(job(99), 0, queriesOf(99));
    } catch (error) {
      if (!(error instanceof Death)) throw error;
      died = true;
    }
    b.words.dieAt(Infinity);
    for (const seqno of [1, 99]) {
      const times = found(b, seqno);
      if (times === undefined) continue;
      const all = expected(seqno);
      // A job that died before its fence signalled has no end.
      assert.equal(times, times.done === undefined ? { ...all, done: undefined } : all);
    }
    b.life().end(job(100), 0, queriesOf(100));
    assert.equal(found(b, 100), expected(100));
    for (let seqno = 3; seqno <= TIMES_KEPT; seqno++) {
      assert.equal(found(b, seqno), expected(seqno));
    }
    if (!died) break;
    deaths++;
  }
  assert.ok(deaths >= 10, `${deaths} stores`);
});

test.run();
