// How jobs of several contexts come to run: semaphores, priorities; and when, by their times.
import { boot, discard, shared, type Fence, type Machine } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { copy, dispatch, fill, queryTime } from './command.js';
import { GpuContext } from './context.js';
import type { GpuContextOptions, GpuSubmitOptions } from './context-options.js';
import { DRM_FORMAT_XRGB8888 } from './fourcc.js';
import type { GpuImage } from './image.js';
import { gpu } from './spec.js';
import { readBytes } from './testing/machine.test-helper.js';

const LIMIT_MS = 20_000;
const shape = { fourcc: DRM_FORMAT_XRGB8888, width: 8, height: 8 };
const KERNELS = new URL('./testing/kernels.test-helper.js', import.meta.url);
const SECOND = '/dev/dri/renderD129';

/** Two GPUs, a trace, and the manual clock unless told otherwise. */
async function withGpus(
  act: (machine: Machine, open: (options?: GpuContextOptions) => GpuContext) => void,
  clock: 'manual' | 'real' = 'manual',
): Promise<void> {
  const second = gpu({ name: 'gpu1', path: SECOND, driver: 'gpu-1' });
  const machine = await boot({ clock, trace: true, heapMb: 64, drivers: [gpu(), second] });
  try {
    act(machine, (options) => GpuContext.create(machine, options));
  } finally {
    await machine.shutdown();
  }
}

function imageOf(machine: Machine, context: GpuContext): GpuImage {
  using buffer = machine.alloc(8 * 8 * 4);
  return context.importImage({ buffer, ...shape });
}

/** Names of the runs in the trace, in order, and how many grants it has. */
function traced(machine: Machine): { runs: string[]; grants: number } {
  const { traceEvents } = machine.trace();
  return {
    runs: traceEvents.filter(({ ph }) => ph === 'B').map(({ name }) => name),
    grants: traceEvents.filter(({ ph }) => ph === 's').length,
  };
}

for (const [what, path, semaphores] of [
  ['two contexts of one GPU', undefined, true],
  ['contexts of two GPUs', SECOND, true],
  ['contexts without semaphores', undefined, false],
] as const) {
  const how = semaphores ? 'no dispatch between their jobs' : 'each of their jobs is dispatched';
  test(`${what} take turns on a buffer: ${how}`, async () => {
    await withGpus((machine, open) => {
      const draw = open({ name: 'draw', semaphores });
      const post = open({ name: 'post', semaphores, ...(path === undefined ? {} : { path }) });
      const drawn = imageOf(machine, draw);
      using result = machine.alloc(8 * 8 * 4);
      const src = post.importImage({ buffer: drawn.buffer, ...shape });
      const dst = post.importImage({ buffer: result, ...shape });
      let last: Fence | undefined;
      for (let i = 1; i <= 4; i++) {
        draw.submit({ commands: [fill({ dst: drawn, pixel: 0xff000000 | i })] });
        last = post.submit({ commands: [copy({ src, dst })] });
      }
      assert.is(last?.wait(LIMIT_MS), 1);
      const { runs, grants } = traced(machine);
      const order = [1, 2, 3, 4].flatMap((i) => [`draw ${i}`, `post ${i}`]);
      assert.equal(runs, order, 'in the order of the queue');
      assert.is(grants, semaphores ? 0 : 8);
      assert.is(new Uint32Array(readBytes(result).buffer)[0], 0xff000004);
    }, 'real');
  });
}

test('a job that waits for its turn at the GPU holds up its own context, and no other', async () => {
  await withGpus((machine, open) => {
    const [waits, goes] = [open({ semaphores: true }), open({ semaphores: true })];
    const image = imageOf(machine, waits);
    const other = imageOf(machine, goes);
    const hold = machine.waitAll([discard(image.buffer)]);
    const stuck = waits.submit({ commands: [fill({ dst: image, pixel: 1 })] });
    const behind = waits.submit({ commands: [] });
    assert.is(goes.submit({ commands: [fill({ dst: other, pixel: 2 })] }).wait(LIMIT_MS), 1);
    assert.equal([stuck.status, behind.status], [0, 0]);
    hold.release();
    assert.equal([stuck.wait(LIMIT_MS), behind.wait(LIMIT_MS)], [1, 1]);
  });
});

test('a busy GPU goes on with the highest priority, and each context keeps its order', async () => {
  await withGpus((machine, open) => {
    const busy = open({ name: 'busy' });
    const gate = imageOf(machine, busy);
    using kernel = busy.loadKernel({ url: KERNELS, entry: 'gate' });
    const images = [{ image: gate, access: 'readwrite' }] as const;
    const running = busy.submit({ commands: [dispatch({ kernel, images })] });
    const cpu = gate.buffer.access({ read: true, write: true, sync: false });
    const until = performance.now() + LIMIT_MS;
    while (cpu.words[0] !== 1) assert.ok(performance.now() < until); // until the GPU is in the kernel
    const fences = (['low', 'normal', 'high'] as const).flatMap((priority) => {
      const context = open({ name: priority, priority });
      return [1, 2].map(() => context.submit({ commands: [] }));
    });
    cpu.words[0] = 2;
    cpu.finish();
    assert.ok([running, ...fences].every((fence) => fence.wait(LIMIT_MS) === 1));
    const order = ['high', 'normal', 'low'].flatMap((name) => [`${name} 1`, `${name} 2`]);
    assert.equal(traced(machine).runs, ['busy 1', ...order]);
    const wrong = JSON.parse('{"priority":"urgent"}') as GpuContextOptions;
    assert.throws(() => open(wrong), /priority must be 'low', 'normal' or 'high'/);
  });
});

test('explicit jobs wait for their in-fences alone; sync files order them with implicit ones', async () => {
  await withGpus((machine, open) => {
    const [context, other] = [open(), open()];
    const image = imageOf(machine, context);
    using result = machine.alloc(8 * 8 * 4);
    const dst = other.importImage({ buffer: result, ...shape });
    const red = [fill({ dst: image, pixel: 0xffff0000 })];
    const blue = [fill({ dst: image, pixel: 0xff0000ff })];
    const hold = machine.waitAll([discard(image.buffer)]);
    const sync = 'explicit';
    assert.is(context.submit({ commands: red, sync }).wait(LIMIT_MS), 1, 'beside a writer');
    using written = image.buffer.exportSyncFile({ write: true });
    const ordered = context.submit({ commands: blue, sync, inFences: [written] });
    image.buffer.importSyncFile(ordered, { write: true });
    const shown = other.submit({ commands: [copy({ src: image, dst })] }); // implicit
    machine.advance(10);
    assert.equal([ordered.status, shown.status], [0, 0]);
    hold.release();
    assert.equal([ordered.wait(LIMIT_MS), shown.wait(LIMIT_MS)], [1, 1]);
    assert.is(new Uint32Array(readBytes(result).buffer)[0], 0xff0000ff);
    const wrong = JSON.parse('{"commands":[],"sync":"none"}') as GpuSubmitOptions;
    const { images } = context.stats();
    assert.throws(() => context.submit({ ...wrong, commands: red }), /sync must be/);
    image.close();
    assert.is(context.stats().images, images - 1, 'a refused job holds no image');
  });
});

test('timings: queued, granted, started and done, in flight and after, by the manual clock', async () => {
  await withGpus((machine, open) => {
    const context = open();
    const image = imageOf(machine, context);
    const hold = machine.waitAll([shared(image.buffer)]);
    const first = context.submit({ commands: [queryTime(), fill({ dst: image, pixel: 1 })] });
    const second = context.submit({ commands: [queryTime(), queryTime()] });
    assert.equal(context.timings(first), {
      queued: 0n,
      granted: undefined,
      started: undefined,
      done: undefined,
      queries: [],
    });
    machine.advance(2.5);
    assert.is(context.timings(second)?.granted, 0n, 'it needs no buffer');
    assert.is(context.timings(second)?.started, undefined, 'and is behind the other');
    hold.release();
    machine.advance(1);
    const then = 2_500_000n;
    const ended = { started: then, done: then };
    assert.equal(context.timings(first), {
      queued: 0n,
      granted: then,
      ...ended,
      queries: [then],
    });
    assert.equal(context.timings(second.toJSON()), {
      queued: 0n,
      granted: 0n,
      ...ended,
      queries: [then, then],
    });
    const blocked = machine.createTimeline();
    const fence = blocked.createFence(1);
    const cancelled = context.submit({ commands: [queryTime()], inFences: [fence] });
    blocked.close();
    machine.advance(1);
    assert.is.not(cancelled.status, 1);
    assert.equal(context.timings(cancelled)?.queries, [], 'it never ran');
    assert.is(context.timings(cancelled)?.done, 3_500_000n);
    for (let i = 0; i < 64; i++) context.submit({ commands: [] });
    machine.advance(0);
    assert.is(context.timings(first), undefined, 'so long ago that it is forgotten');
  });
});

test('timings: two queries around a command say what it took, as soon as the fence has signalled', async () => {
  await withGpus((machine, open) => {
    const context = open();
    const image = imageOf(machine, context);
    using kernel = context.loadKernel({ url: KERNELS, entry: 'spend' });
    const images = [{ image, access: 'overwrite' }] as const;
    const commands = [queryTime(), dispatch({ kernel, images, args: [2] }), queryTime()];
    for (let i = 0; i < 20; i++) {
      const fence = context.submit({ commands });
      while (!fence.signalled);
      const times = context.timings(fence);
      assert.ok(times !== undefined, 'it is noted before anybody can know of its end');
      const { queued, granted = -1n, started = -1n, done = -1n, queries } = times;
      const [before = -1n, after = -1n] = queries;
      assert.ok(queued <= granted && granted <= started && started <= before);
      assert.ok(after - before >= 2_000_000n && after <= done);
      assert.is(queries.length, 2);
    }
    assert.throws(
      () => context.submit({ commands: Array.from({ length: 9 }, queryTime) }),
      /EINVAL.*9 queryTime commands; a job has room for 8/,
    );
    assert.is(machine.stats().jobs, 0);
  }, 'real');
});

test.run();
