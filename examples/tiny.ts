// Two plain workers share frames through @dmabuf/core: one fills, one reads, nobody in the middle.
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { boot, discard, join, shared } from '@dmabuf/core';

const FRAMES = 300;
if (isMainThread) {
  await using machine = await boot();
  for (const name of ['filler', 'reader']) new Worker(new URL(import.meta.url), machine.invite(name));
  const fill = machine.createContext(await machine.peer('filler'));
  const read = machine.createContext(await machine.peer('reader'));
  const buffers = [1, 2, 3].map(() => machine.alloc(1280 * 720 * 4));
  let last;
  for (let frame = 0; frame < FRAMES; frame++) { // all queued ahead: each job waits for its buffer
    const buffer = buffers[frame % buffers.length]!;
    fill.submit({ buffers: [discard(buffer)], payload: frame }); // exclusive: overwrites it
    last = read.submit({ buffers: [shared(buffer)], payload: frame });
  }
  const status = await last!.settled(); // the first time that this thread is needed again
  console.log(status === 1 ? `${FRAMES} frames, each read as it was filled` : last!.error);
} else {
  const machine = await join(workerData);
  machine.serve({ // blocks; takes jobs as the buffers' own queues grant them
    run(job) {
      const pixels = job.buffer(0).words;
      if (machine.name === 'filler') pixels.fill(job.payload as number);
      else if (pixels[0] !== job.payload || pixels.at(-1) !== job.payload) throw new Error('torn');
    },
  });
}
