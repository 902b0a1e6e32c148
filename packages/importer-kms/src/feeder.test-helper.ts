/** A thread that flips framebuffers of another process: ioctl FLIP queues ten, and waits for the last. */
import { join } from '@dmabuf/core';
import { workerData } from 'node:worker_threads';
import { Display, type DisplayHandle, type FramebufferHandle } from './index.js';

interface Tag {
  readonly display: DisplayHandle;
  readonly fb: FramebufferHandle;
}

function isTag(tag: unknown): tag is Tag {
  return typeof tag === 'object' && tag !== null && 'display' in tag && 'fb' in tag;
}

const machine = await join(workerData);
machine.serve({
  run: () => {},
  ioctl: () => {
    const framebuffers = [];
    let display: Display | undefined;
    for (let i = 0; i < 2; i++) {
      const { fd, tag } = machine.receiveFd(5000);
      if (!isTag(tag)) throw new TypeError('no tag came with the fd');
      display ??= Display.fromHandle(machine, tag.display);
      const buffer = machine.dmabuf(fd);
      framebuffers.push(display.framebuffer(tag.fb, buffer));
      buffer.close();
    }
    let status = 0;
    for (let i = 0; i < 10; i++) {
      const fb = framebuffers[i % 2];
      if (fb === undefined || display === undefined) continue;
      const fence = display.queueFlip({ fb, at: i * 5 });
      if (i === 9) status = fence.wait(5000);
    }
    return status;
  },
});
await machine.leave();
