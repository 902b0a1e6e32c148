/**
 * Driver half of the display, as every thread loads it. It exports no buffers, and its state is in the
 * registers: applications reach it through Display.
 */
import type { Driver } from '@dmabuf/core/driver';
import { FramebufferTable } from './framebuffer-table.js';
import { settingsOf } from './options.js';
import { REG } from './registers.js';

export const driver: Driver = {
  init: () => undefined,
  // What the locks protect is whole at every instruction: records are published by one word. But a commit
  // may have been queued in part: the CRTC is told.
  died(door, dead) {
    const { words, base, locks } = door;
    if (locks.inherit(base + REG.FLIP_LOCK, dead)) {
      const partial = words.load(base + REG.PARTIAL_SEQNO);
      if (partial !== 0) words.store(base + REG.BROKEN_SEQNO, partial);
      words.store(base + REG.PARTIAL_SEQNO, 0);
      locks.unlock(base + REG.FLIP_LOCK);
      if (partial !== 0) door.ring(words.load(base + REG.CRTC_ACTOR));
    }
    if (locks.inherit(base + REG.CONNECTOR_LOCK, dead)) {
      locks.unlock(base + REG.CONNECTOR_LOCK);
      door.ring(words.load(base + REG.CRTC_ACTOR)); // of a change that it may have made and not told
    }
    door.freeLockOf(dead, base + REG.FB_LOCK);
    const { framebuffers: count } = settingsOf(door.spec.options);
    if (!new FramebufferTable(words, base, count, locks).disown(dead)) return;
    words.store(base + REG.DOOMED, 1);
    door.ring(words.load(base + REG.CRTC_ACTOR));
  },
};
