/**
 * Services: the subsystems of one thread, wired together once. A module of each concept holds the
 * code; this is the only place that knows them all.
 */
import type { MessagePort } from 'node:worker_threads';
import { Buffers } from '../dmabuf/buffers.js';
import { checkOps } from '../dmabuf/check-ops.js';
import { CpuAccess } from '../dmabuf/cpu-access.js';
import { CpuClaims } from '../dmabuf/cpu-claims.js';
import type { BufferServices } from '../dmabuf/dmabuf.js';
import { Holders } from '../dmabuf/holders.js';
import { Importers } from '../dmabuf/importers.js';
import { ImportingDevices } from '../dmabuf/importing-devices.js';
import { DmaBufIoctls } from '../dmabuf/ioctl.js';
import { Moves } from '../dmabuf/moves.js';
import { Shadows } from '../dmabuf/shadows.js';
import type { DmaBufOps } from '../dmabuf/ops.js';
import { systemHeapOps } from '../dmabuf/system-heap.js';
import { Blocking } from '../explain/blocking.js';
import { FdTable } from '../fd/fd-table.js';
import { Objects } from '../fd/objects.js';
import { References } from '../fd/references.js';
import { Kernel } from '../kernel.js';
import { HEADER, MACHINE_FLAG, type TableSizes } from '../memory/layout.js';
import { Regions } from '../memory/regions.js';
import type { Words } from '../memory/words.js';
import type { Mem } from '../substrate/memory.js';
import type { Seam } from '../substrate/seam.js';
import { Callbacks } from '../sync/callbacks.js';
import { Dependents } from '../sync/dependents.js';
import { FenceWaiter } from '../sync/fence.js';
import { Holds } from '../sync/holds.js';
import { Jobs } from '../sync/jobs.js';
import { SyncFile, type SyncFileServices } from '../sync/sync-file.js';
import { SyncFiles } from '../sync/sync-files.js';
import { Timelines } from '../sync/timeline.js';
import { BrokerPort } from './broker-port.js';
import { DriverDoor } from './door.js';
import { Doorbell } from './doorbell.js';
import { Ipc } from './ipc.js';
import { loadExport } from './load-export.js';
import { Mailboxes } from './mailbox.js';
import { ReadyInbox } from './ready-inbox.js';
import type { DeviceNode } from './names.js';
import type { Driver, DriverSpec } from './spec.js';

export interface Services extends BufferServices {
  readonly jobs: Jobs;
  readonly waiter: FenceWaiter;
  readonly fences: SyncFileServices;
  readonly bell: Doorbell;
  readonly inbox: ReadyInbox;
  readonly callbacks: Callbacks;
  readonly timelines: Timelines;
  readonly files: SyncFiles;
  readonly objects: Objects;
  readonly mail: Mailboxes;
  readonly ipc: Ipc;
  readonly port: BrokerPort;
  readonly doors: readonly DriverDoor[];
  readonly devices: ReadonlyMap<string, DeviceNode>;
  /** What an invitation hands on, so that the next thread can join. */
  readonly bootToken: unknown;
  /** The driver halves that this thread has loaded. */
  readonly drivers: { readonly driver: Driver; readonly door: DriverDoor }[];
}

/** What the wiring needs beside kernel memory. */
export interface ServiceOptions {
  readonly words: Words;
  readonly self: number;
  readonly seam: Seam;
  readonly mem: Mem;
  readonly tables: TableSizes;
  readonly port: MessagePort;
  readonly drivers: readonly DriverSpec[];
  readonly devices: ReadonlyMap<string, DeviceNode>;
  readonly bootToken: unknown;
}

/** Wires a thread's subsystems; {@link loadDrivers} then adds the driver halves. */
export function makeServices(
  options: ServiceOptions,
): Services & { ops: (DmaBufOps | undefined)[] } {
  const { words, self, seam, mem, tables } = options;
  const kernel = new Kernel(words, self, seam, mem);
  const bell = new Doorbell(kernel);
  const port = new BrokerPort(kernel, options.port);
  const regions = new Regions(kernel, port, (actor) => bell.ring(actor));
  kernel.whileWaiting = () => regions.tend();
  const ops: (DmaBufOps | undefined)[] = [];
  const buffers = new Buffers(kernel, regions, ops);
  ops.push(systemHeapOps(regions, buffers));
  const jobs = new Jobs(kernel, bell);
  jobs.claims.onOrphan = (queue) => buffers.release(queue);
  const inbox = new ReadyInbox(kernel, jobs.ready);
  const callbacks = new Callbacks(kernel, jobs, bell, inbox);
  const blocking = new Blocking(kernel);
  const dependents = new Dependents(kernel, () => {});
  const waiter = new FenceWaiter(kernel, dependents, callbacks, blocking);
  const timelines = new Timelines(kernel, jobs);
  const references = new References(kernel);
  const fds = new FdTable(kernel, references);
  const files = new SyncFiles(kernel, jobs, waiter);
  const contextName = (id: number): string => jobs.contexts.nameById(id);
  const fences = { fds, references, files, waiter, contextName };
  waiter.file = (fence) => SyncFile.create(fences, 'fence', [fence]);
  const sharing = { ...fences, kernel, jobs, callbacks, importContext: 0 };
  const mail = new Mailboxes(kernel, bell, references, tables.mailSlots, tables.mailBytes);
  const objects = new Objects({ dmabuf: buffers, syncFile: files, timeline: timelines });
  references.onLast = (object) => objects.last(object);
  const ipc = new Ipc(kernel, bell, mail, fds);
  const holds = new Holds(kernel, jobs, callbacks, blocking);
  const holders = new Holders(kernel, references);
  const importing = new ImportingDevices(kernel, options.devices);
  const importers = new Importers(kernel, regions, buffers, holders, importing);
  jobs.pieces = (record) => importers.pieces(record, self, 'job_buffer');
  const claims = new CpuClaims(holds);
  const flags = words.get(HEADER.FLAGS);
  const shadows = (flags & MACHINE_FLAG.NONCOHERENT) === 0 ? undefined : new Shadows(regions);
  const guard = (flags & MACHINE_FLAG.GUARD) !== 0;
  const access = new CpuAccess(kernel, buffers, importers, claims, shadows);
  const moves = new Moves(kernel, bell, { regions, buffers, holders, importers, claims });
  inbox.moves = moves;
  const ioctls = new DmaBufIoctls();
  const { handles } = fds;
  const base: BufferServices = {
    kernel,
    regions,
    buffers,
    fds,
    references,
    holds,
    sharing,
    holders,
    importers,
    access,
    moves,
    ioctls,
    handles,
    shadows,
    guard,
  };
  ioctls.connect(base);
  const doors = options.drivers.map(
    (spec, i) => new DriverDoor({ ...base, bell }, spec, i + 1, words.get(HEADER.DRIVERS + i)),
  );
  const { devices, bootToken } = options;
  return {
    ...base,
    jobs,
    waiter,
    fences,
    bell,
    inbox,
    callbacks,
    timelines,
    files,
    objects,
    mail,
    ipc,
    port,
    doors,
    devices,
    bootToken,
    drivers: [],
    ops,
  };
}

/** Loads the driver halves and registers their exporter ops. */
export async function loadDrivers(
  services: Services & { ops: (DmaBufOps | undefined)[] },
): Promise<void> {
  for (const door of services.doors) {
    const { name, module } = door.spec;
    const driver = await loadExport<Driver>(module, 'driver', `driver '${name}'`);
    services.ops[door.index] = checkOps(name, driver.init(door));
    services.drivers.push({ driver, door });
  }
}
