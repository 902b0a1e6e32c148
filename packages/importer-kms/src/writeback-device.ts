/**
 * Device half of the display, second worker: the writeback of a card. Copies, encodes, writes files.
 */
import type { DeviceFactory } from '@dmabuf/core/driver';
import { adoptContext } from './device-context.js';
import { settingsOf } from './options.js';
import { REG } from './registers.js';
import { Writeback } from './writeback.js';

export const createDevice: DeviceFactory = ({ machine, door, spec }) => {
  const { words, base } = door;
  const { speed, slots } = settingsOf(spec.options);
  adoptContext(machine, door, REG.WB_CONTEXT, spec.name);
  const writeback = new Writeback({ words, base, speed, slots });
  return {
    run: (job) => writeback.run(job),
    failed: (job) => writeback.failed(job),
    tick: (now) => writeback.tick(now),
    ioctl: (request, args) => writeback.ioctl(request, args),
    stop: () => writeback.stop(),
  };
};
