// Two plain workers share frames through @dmabuf/core: one fills, one reads, nobody in the middle.
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { boot, discard, join, shared, type Fence } from '@dmabuf/core';

if (isMainThread) {
  const machine = await boot();
  ['filler', 'reader'].map((name) => new Worker(new URL(import.meta.url), machine.invite(name)));
  const fill = machine.createContext(await machine.peer('filler'));
  const read = machine.createContext(await machine.peer('reader'));
  const buffers = [0, 1, 2].map(() => machine.alloc(1280 * 720 * 4));
  const done: Fence[] = [];
  for (let frame = 0; frame < 300; frame += buffers.length) {
    buffers.forEach((buffer, i) => {
      fill.submit({ buffers: [discard(buffer)], payload: frame + i }); // alone: overwrites it all
      done.push(read.submit({ buffers: [shared(buffer)], payload: frame + i })); // when it is filled
    });
  } // 600 jobs queued before the first frame is filled: each waits for its buffer, not for us
  const status = await done.at(-1)?.settled(); // the first time that this thread is needed again
  console.log(`${done.length} frames through 3 buffers: ${status === 1 ? 'all good' : status}`);
  await machine.shutdown();
} else {
  const machine = await join(workerData);
  machine.serve({
    run({ buffers: [frame], payload }) {
      // called as the buffers' own queues grant the jobs
      if (machine.name === 'filler') frame?.words.fill(Number(payload));
      else if (frame?.words.at(-1) !== payload) throw new Error(`frame ${String(payload)} is torn`);
    },
  });
}
