import { join, type JoinToken, type Machine } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { copy, fill } from './command.js';
import { GpuContext } from './context.js';
import type { GpuHandle } from './context-options.js';
import { DRM_FORMAT_XRGB8888 } from './fourcc.js';
import { bootMachine, poolBuffer, readBytes } from './testing/machine.test-helper.js';

const JOBS = 50;
const shape = { fourcc: DRM_FORMAT_XRGB8888, width: 8, height: 8 };

interface Task extends JoinToken {
  readonly handle: GpuHandle;
  readonly images: readonly number[];
  /** End without closing anything, or leaving. */
  readonly dies?: boolean;
}

function isTask(value: unknown): value is Task {
  return typeof value === 'object' && value !== null && 'handle' in value && 'images' in value;
}

/** The other thread: goes on with the context and the images of the first. */
async function feed(task: Task): Promise<void> {
  const machine = await join(task);
  parentPort?.postMessage('joined');
  const context = GpuContext.fromHandle(machine, task.handle);
  const buffers = [0, 1].map(() => machine.dmabuf(machine.receiveFd(5000).fd));
  const [a, b] = task.images.map((id, i) => {
    const buffer = buffers[i];
    if (buffer === undefined) throw new RangeError('no buffer came');
    return context.imageById(id, buffer);
  });
  if (task.dies === true) process.exit(3);
  const [id = 0] = task.images;
  const [, second] = buffers;
  if (a === undefined || b === undefined || second === undefined) throw new RangeError('no images');
  assert.throws(() => context.imageById(id, second), /EINVAL.*names buffer/);
  for (const buffer of buffers) buffer.close();
  for (let i = 0; i < JOBS; i++) {
    const to = { x: i % 8, y: Math.floor(i / 8), width: 1, height: 1 };
    context.submit({ commands: [fill({ dst: a, to, pixel: i }), copy({ src: a, dst: b })] });
  }
  a.close();
  b.close();
  context.close();
  await machine.leave();
}

if (isMainThread) {
  let machine: Machine;
  test.before(async () => {
    machine = await bootMachine();
  });
  test.after(async () => {
    await machine.shutdown();
  });

  test('another thread submits on the same context and images, in one order', async () => {
    const context = GpuContext.create(machine);
    const buffers = [poolBuffer(machine, 256), machine.alloc(256)];
    const images = buffers.map((buffer) => context.importImage({ buffer, ...shape }));
    const { workerData: token, transferList } = machine.invite('feeder');
    const task: Task = { ...token, handle: context.handle, images: images.map(({ id }) => id) };
    const worker = new Worker(new URL(import.meta.url), { workerData: task, transferList });
    await once(worker, 'message');
    for (const buffer of buffers) machine.passFd(token.actor, buffer.fd);
    assert.equal(await once(worker, 'exit'), [0]);
    const last = context.submit({ commands: [] });
    assert.is(last.seqno, JOBS + 1);
    assert.is(last.wait(20_000), 1);
    const expected = new Uint32Array(64).map((_, i) => (i < JOBS ? 0xff000000 + i : 0));
    for (const buffer of buffers) {
      const got = new Uint32Array(readBytes(buffer).buffer);
      assert.equal([...got], [...expected]);
    }
    assert.is(context.stats().images, 2);
    images.forEach((image) => image.close());
    assert.is(context.stats().images, 0);
  });

  test('images that another thread opened by id are given back when it dies', async () => {
    const context = GpuContext.create(machine);
    const buffers = [0, 1].map(() => machine.alloc(256));
    const images = buffers.map((buffer) => context.importImage({ buffer, ...shape }));
    const { workerData: token, transferList } = machine.invite('mortal');
    const ids = images.map(({ id }) => id);
    const task: Task = { ...token, handle: context.handle, images: ids, dies: true };
    const worker = new Worker(new URL(import.meta.url), { workerData: task, transferList });
    await once(worker, 'message');
    for (const buffer of buffers) machine.passFd(token.actor, buffer.fd);
    assert.equal(await once(worker, 'exit'), [3]);
    images.forEach((image) => image.close());
    while (context.stats().images > 0) await setImmediate(); // until the dead has been recovered
    for (const [i, buffer] of buffers.entries()) {
      assert.throws(() => context.imageById(ids[i] ?? 0, buffer), /ENOENT/);
    }
    context.close();
    buffers.forEach((buffer) => buffer.close());
  });

  test.run();
} else {
  const task: unknown = workerData;
  if (isTask(task)) await feed(task);
}
