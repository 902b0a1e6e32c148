/** A renderer of the tests': fills its buffer with the payload; a negative one fails the job. */
import { DmaBufError, join } from '@dmabuf/core';
import { workerData } from 'node:worker_threads';

const machine = await join(workerData);
machine.serve({
  run(job) {
    const colour = Number(job.payload);
    if (colour < 0) throw new DmaBufError('EIO', 'paint', 'as the test wants it');
    for (const buffer of job.buffers) buffer.words.fill(colour);
  },
});
await machine.leave();
