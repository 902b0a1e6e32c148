// v4l2-utils, utils/v4l2-compliance/v4l2-test-buffers.cpp: streaming, by each kind of memory and of waiting, of
// every device; each dequeued buffer is checked as the program does. "epoll" is here a promise.
import { test } from 'uvu';
import { boot, type Machine } from '@dmabuf/core';
import { V4L2_MEMORY_DMABUF, V4L2_MEMORY_MMAP } from '../index.js';
import { DUTS } from '../test/duts.js';

let machine: Machine;
test.before(async () => {
  machine = await boot({ drivers: DUTS.map(({ driver }) => driver) });
});
test.after(async () => {
  await machine.shutdown();
});

const MMAP = V4L2_MEMORY_MMAP;
const DMABUF = V4L2_MEMORY_DMABUF;

for (const { name, stream } of DUTS) {
  test(`MMAP (no poll, REQBUFS): ${name}`, () =>
    stream(machine, { memory: MMAP, wait: 'no poll' }));
  test(`MMAP (select, REQBUFS): ${name}`, () => stream(machine, { memory: MMAP, wait: 'select' }));
  test(`MMAP (epoll, REQBUFS): ${name}`, () => stream(machine, { memory: MMAP, wait: 'epoll' }));
  test(`MMAP (no poll, CREATE_BUFS): ${name}`, () =>
    stream(machine, { memory: MMAP, create: true, wait: 'no poll' }));
  test(`MMAP (select, CREATE_BUFS): ${name}`, () =>
    stream(machine, { memory: MMAP, create: true, wait: 'select' }));
  test(`MMAP (epoll, CREATE_BUFS): ${name}`, () =>
    stream(machine, { memory: MMAP, create: true, wait: 'epoll' }));
  test(`DMABUF (no poll): ${name}`, () => stream(machine, { memory: DMABUF, wait: 'no poll' }));
  test(`DMABUF (select): ${name}`, () => stream(machine, { memory: DMABUF, wait: 'select' }));
  test(`DMABUF (epoll): ${name}`, () => stream(machine, { memory: DMABUF, wait: 'epoll' }));
}

test.run();
