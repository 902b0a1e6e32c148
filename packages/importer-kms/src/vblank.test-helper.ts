/** A thread that waits for ten vblanks, each the next after the last, and says which they were. */
import { join } from '@dmabuf/core';
import { workerData } from 'node:worker_threads';
import { Display, DRM_VBLANK_ABSOLUTE } from './index.js';

const machine = await join(workerData);
machine.serve({
  run: () => {},
  ioctl: (request) => {
    const display = Display.open(machine);
    const first = display.waitVblank().sequence;
    if (request === 'QUERY') return [first, display.waitVblank().sequence];
    const seen: number[] = [first];
    for (let i = 1; i <= 10; i++) {
      seen.push(display.waitVblank({ type: DRM_VBLANK_ABSOLUTE, sequence: first + i }).sequence);
    }
    return seen;
  },
});
await machine.leave();
