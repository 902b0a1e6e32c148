/**
 * Device half of the display, first worker: the CRTC of a card.
 */
import type { DeviceFactory } from '@dmabuf/core/driver';
import { Crtc } from './crtc.js';
import { adoptContext } from './device-context.js';
import { FramebufferTable } from './framebuffer-table.js';
import { settingsOf } from './options.js';
import { REG } from './registers.js';

export const createDevice: DeviceFactory = ({ machine, door, spec }) => {
  const { words, base, locks } = door;
  const settings = settingsOf(spec.options);
  adoptContext(machine, door, REG.CRTC_CONTEXT, spec.name);
  words.store(base + REG.CRTC_ACTOR, machine.self);
  const crtc = new Crtc({
    words,
    base,
    // A manual clock stands still while one waits busily for it.
    settings: door.manualClock ? { ...settings, spin: 0 } : settings,
    framebuffers: new FramebufferTable(words, base, settings.framebuffers, locks),
    now: () => door.now(),
    trace: (kind, seqno, a, b) => door.trace(kind, seqno, a, b),
  });
  return {
    run: (job) => crtc.run(job),
    failed: (job) => crtc.failed(job),
    tick: (now) => crtc.tick(now),
    ioctl: (request, args) => crtc.ioctl(request, args),
  };
};
