/**
 * Device half of the display, first worker: the CRTC of a card.
 */
import type { Job } from '@dmabuf/core';
import type { DeviceFactory } from '@dmabuf/core/driver';
import { ConnectorRecords } from './connector.js';
import { Crtc } from './crtc.js';
import { adoptContext } from './device-context.js';
import { FramebufferTable } from './framebuffer-table.js';
import { HotplugWaits, seenEpoch } from './hotplug-waits.js';
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
  const hotplugs = new HotplugWaits(new ConnectorRecords(words, base));
  // Other contexts are lines of those who wait for a vblank or a hotplug; jobs without buffers or in-fences do not fail before they run.
  const isCommand = (job: Job): boolean => job.context === words.load(base + REG.CRTC_CONTEXT);
  return {
    run: (job) => {
      const seen = isCommand(job) ? undefined : seenEpoch(job.payload);
      if (seen !== undefined) hotplugs.add(job, seen);
      else if (isCommand(job)) crtc.run(job);
      else crtc.waitVblank(job);
    },
    failed: (job) => (isCommand(job) ? crtc.failed(job) : job.finish(job.blocker)),
    tick: (now) => {
      hotplugs.look();
      return crtc.tick(now);
    },
    ioctl: (request, args) => crtc.ioctl(request, args),
  };
};
