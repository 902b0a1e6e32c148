/** Roles of other processes in processes.test.ts, and the driver that its machine is booted with. */
import type { Machine } from '../actor/machine.js';
import type { Driver, DriverSpec } from '../actor/spec.js';
import type { DmaBuf } from './dmabuf.js';
import { DMA_BUF_IOCTL_SYNC, DMA_BUF_SYNC_END, DMA_BUF_SYNC_RW } from './ioctl.js';
import { wrong } from './exporter.test-helper.js';
import { contiguousOps, type BufferRecord, type DmaBufOps } from './ops.js';

/** Words of the test driver: how often its ops ran, whoever called them. */
export const COUNT = {
  allocated: 0,
  detached: 1,
  vunmapped: 2,
  told: 3,
  released: 4,
  unmapped: 5,
} as const;

/** An exporter whose memory comes at the first use. */
export const driver: Driver = {
  init(door) {
    const count = (what: keyof typeof COUNT): void =>
      void door.words.add(door.base + COUNT[what], 1);
    const populate = (buffer: BufferRecord): void => {
      if (buffer.region !== 0) return;
      door.back(buffer, { region: door.makeRegion(buffer.size), offset: 0 });
      count('allocated');
    };
    const ops: DmaBufOps = {
      ...contiguousOps,
      map(buffer, importer, direction) {
        populate(buffer);
        return contiguousOps.map(buffer, importer, direction);
      },
      unmap: () => count('unmapped'),
      detach: () => count('detached'),
      mmap: populate,
      vmap: populate,
      vunmap: () => count('vunmapped'),
      prepareAccess() {},
      finishAccess() {},
      release: () => count('released'),
    };
    return import.meta.url.endsWith('?bad') ? wrong({ ...ops, map: undefined }) : ops;
  },
};

export const spec: DriverSpec = { name: 'lazy', module: import.meta.url, words: 64, devices: [] };

const received: DmaBuf[] = [];
const LIMIT_MS = 20_000;

/** Takes an fd for the roles that follow. */
export function take(machine: Machine): number {
  const { fd } = machine.receiveFd(LIMIT_MS);
  return received.push(machine.dmabuf(fd)) - 1;
}

const at = (i: number): DmaBuf => {
  const buffer = received[i];
  if (buffer === undefined) throw new RangeError(`no buffer ${i}`);
  return buffer;
};

/** Maps as a device and as a CPU; the region it found. */
export function mapBoth(machine: Machine, [i = 0]: readonly number[]): number {
  const buffer = at(i);
  using attachment = buffer.attach(machine.self);
  const [entry] = attachment.map().sg;
  buffer.mmap().close();
  return entry?.region ?? 0;
}

/** Counts up in both buffers, in one bracket, many times; in the order that it is told. */
export function countBoth(
  machine: Machine,
  [first = 0, second = 1, times = 0]: readonly number[],
): number {
  using a = at(first).mmap();
  using b = at(second).mmap();
  for (let n = 0; n < times; n++) {
    using set = machine.prepareAccess([
      { mapping: a, write: true },
      { mapping: b, write: true },
    ]);
    for (const { words } of set.brackets) words[0] = (words[0] ?? 0) + 1;
  }
  return times;
}

/** Counts up with the raw ioctls. */
export function countRaw(machine: Machine, [i = 0, times = 0]: readonly number[]): number {
  const buffer = at(i);
  using mapping = buffer.mmap();
  const view = mapping.prepareAccess({ read: true, sync: false });
  const { words } = view;
  for (let n = 0; n < times; n++) {
    machine.ioctlFd(buffer.fd, DMA_BUF_IOCTL_SYNC, { flags: DMA_BUF_SYNC_RW });
    words[0] = (words[0] ?? 0) + 1;
    machine.ioctlFd(buffer.fd, DMA_BUF_IOCTL_SYNC, { flags: DMA_BUF_SYNC_RW | DMA_BUF_SYNC_END });
  }
  view.finish();
  return times;
}

/** Reads through a mapping whose fd has been closed before it was first looked at. */
export function readClosed(_machine: Machine, [i = 0]: readonly number[]): number | undefined {
  const buffer = at(i);
  using mapping = buffer.mmap();
  buffer.close();
  using bracket = mapping.prepareAccess({ read: true });
  return bracket.words[0];
}

/** Attaches dynamically and maps; from then on told counts the moves. */
export function watch(machine: Machine, [i = 0]: readonly number[]): number {
  const { words, base } = machine.driver('lazy');
  const attachment = at(i).attach(
    machine.self,
    {},
    {
      moveNotify: () => void words.add(base + COUNT.told, 1),
    },
  );
  kept.push(attachment);
  return attachment.map().sg[0]?.region ?? 0;
}
const kept: unknown[] = [];

/** Lets this thread hear of what happened. */
export function hear(machine: Machine): number {
  machine.pump();
  const { words, base } = machine.driver('lazy');
  return words.load(base + COUNT.told);
}

/** Holds a buffer in every way there is. */
export function hold(machine: Machine, [i = 0]: readonly number[]): number {
  const buffer = at(i);
  const attachment = buffer.attach(machine.self);
  attachment.map();
  const vmap = machine.driver('lazy').vmap(buffer);
  kept.push(attachment, vmap, buffer.mmap(), buffer.access({ write: true }));
  return 0;
}
