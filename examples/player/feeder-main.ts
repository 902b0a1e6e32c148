/** The feeder's worker: see feeder.ts. */
import { workerData } from 'node:worker_threads';
import { type DmaBuf, DmaBufError, type Fence, join } from '@dmabuf/core';
import { FEED, FEEDER_ATTACH, type FeederTask, unpackAhead } from './feeder.js';
import { feed } from './feed.js';
import { Pipeline } from './pipeline.js';

const { token, handle, depth, from } = workerData as FeederTask;
const machine = await join(token);
const ahead: Fence[] = [];
let pipeline: Pipeline | undefined;

machine.serve({
  ioctl(request, args) {
    if (request !== FEEDER_ATTACH) {
      throw new DmaBufError('ENOTTY', request, `the feeder knows ${FEEDER_ATTACH}`);
    }
    const fds: DmaBuf[] = [];
    while (fds.length < Number(args)) fds.push(machine.dmabuf(machine.receiveFd().fd));
    pipeline = Pipeline.attach(machine, handle, fds);
    return null;
  },
  run({ payload }) {
    if (payload !== FEED) {
      ahead.push(...unpackAhead(payload).map((point) => machine.fence(point)));
      return;
    }
    if (pipeline === undefined) throw new DmaBufError('EINVAL', 'feed', 'it has no buffers yet');
    feed(pipeline, from, pipeline.frames, depth, ahead)?.wait();
  },
});
await machine.leave();
