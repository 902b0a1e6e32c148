/** A process that shows a framebuffer of its own on an overlay; ioctl SHOW answers with its id. */
import { join } from '@dmabuf/core';
import { workerData } from 'node:worker_threads';
import { makeFb } from './display.test-helper.js';
import { Display } from './index.js';

const machine = await join(workerData);
machine.serve({
  run: () => {},
  ioctl: () => {
    const display = Display.open(machine);
    const fb = makeFb(machine, display, 7);
    const [overlay] = display.objects.overlays;
    if (overlay === undefined) throw new Error('the display has no overlay');
    display.setPlane(overlay, fb);
    return fb.id;
  },
});
await machine.leave();
