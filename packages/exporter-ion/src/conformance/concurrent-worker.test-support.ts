/**
 * For libdmabufheap.test.ts: one of several threads that allocate, map, sync and close at the same time.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { join, type JoinToken } from '@dmabuf/core';
import { dmaHeap } from '../index.js';

export interface ConcurrentTask {
  readonly token: JoinToken;
  readonly rounds: number;
  readonly heaps: readonly string[];
}

const { token, rounds, heaps } = workerData as ConcurrentTask;
const machine = await join(token);
let done = 0;
for (let i = 0; i < rounds; i++) {
  for (const name of heaps) {
    using buffer = dmaHeap(machine, name).alloc(4096);
    using mapping = buffer.mmap();
    using bracket = mapping.prepareAccess({ read: true, write: true });
    if (bracket.words.some((word) => word !== 0)) throw new Error(`${name} gave dirty memory`);
    bracket.words.fill(0xffffffff);
    done++;
  }
}
await machine.leave();
parentPort?.postMessage(done);
