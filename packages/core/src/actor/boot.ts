/**
 * Boot: lays out kernel memory, starts the broker, which starts the devices, and joins the calling
 * thread as the first process.
 */
import { availableParallelism } from 'node:os';
import { MessageChannel } from 'node:worker_threads';
import { wantNumber } from '../args.js';
import { DmaBufError } from '../errno.js';
import { BROKER } from '../kernel.js';
import {
  ACTOR,
  ACTOR_STATE,
  DEFAULT_TABLES,
  HEADER,
  layoutOf,
  MACHINE,
  MACHINE_FLAG,
  MAGIC,
  REGION,
  REGION_KIND,
  ROLE,
  type TableSizes,
} from '../memory/layout.js';
import { writeHeader } from '../memory/tables.js';
import { Words } from '../memory/words.js';
import { ENTER, HEAP_MB, type Host, workerHost } from '../substrate/actors.js';
import { type RegionMemory, threadMem, WASM_PAGE } from '../substrate/memory.js';
import { threadSeam } from '../substrate/seam.js';
import { JobTable } from '../sync/job-table.js';
import { DEFAULT_LIMITS, type Limits } from '../sync/limits.js';
import { checkOptions } from './boot-options.js';
import type { BrokerTask } from './broker.js';
import type { BootToken } from './join.js';
import { Machine } from './machine.js';
import { reserveActor } from './reserve-actor.js';
import { publishNames, readNames } from './names.js';
import { loadDrivers, makeServices, type Services } from './services.js';
import type { DriverSpec } from './spec.js';
import { SPIN_US } from './spin.js';

/** {@link BootOptions.uncollected}. */
const DEFAULT_UNCOLLECTED = 256 << 20;

/** What a machine is made of. */
export interface BootOptions {
  /** Drivers, as their packages' functions make them. Default: none, core alone. */
  readonly drivers?: readonly DriverSpec[];
  /** Bytes of the pool, one shared wasm memory for carveout and CMA heaps. Default 0: no pool. */
  readonly pool?: number;
  /** `manual`: time stands still until a test advances it. Default `real`. */
  readonly clock?: 'real' | 'manual';
  /** Sizes of the tables; what is left out has its default. */
  readonly tables?: Partial<TableSizes>;
  /** Time limits, ms; what is left out has its default: jobs 10 s, holds 5 s, fences of timelines none. */
  readonly limits?: Partial<Limits>;
  /**
   * Bytes of memory that buffers have given up and the host has not collected yet, at most (default 256 MiB): beyond
   * it allocations of regions have it collected, and wait for that. Shared memory cannot be freed by hand.
   */
  readonly uncollected?: number;
  /**
   * How long a thread looks on before it sleeps, µs; 0: not at all. `auto` (default): 30 while no more actors are
   * awake than there are cores, else 0. Spinning makes hand-offs ten times as fast, and keeps cores busy.
   */
  readonly spin?: number | 'auto';
  /** JavaScript heap of each device worker, MB (default 1024). One that fills it dies and is started again. */
  readonly heapMb?: number;
  /**
   * `coherent` (default): a CPU mapping is the memory itself. `noncoherent`: each process maps a shadow of buffers
   * that need maintenance, as behind a CPU cache (docs/COHERENCY.md).
   */
  readonly coherency?: 'coherent' | 'noncoherent';
  /** Throw where memory is touched outside of its access bracket (default false; some 100 times slower). */
  readonly guard?: boolean;
  /** Record a trace (default false). */
  readonly trace?: boolean;
  /** Entry modules of the workers, for bundlers that move them: enter.cjs, broker.js, device-main.js, reaper-main.js. */
  readonly urls?: {
    readonly enter?: string;
    readonly broker?: string;
    readonly device?: string;
    readonly reaper?: string;
  };
}

const BOOT_LIMIT_MS = 10_000;
/** Words at HEADER.DRIVERS. */
const MAX_DRIVERS = 32;

/**
 * Boots a machine and joins it as process `main`. Resolves when all devices serve. Rejects with
 * EOWNERDEAD and the reason when a device cannot start, EEXIST when two devices have one name or path, ENOMEM when the host has no memory for
 * the tables or the pool. The caller ends it with `shutdown()`.
 */
export async function boot(options: BootOptions = {}): Promise<Machine> {
  checkOptions(options);
  const { drivers = [] } = options;
  if (drivers.length > MAX_DRIVERS) {
    throw new RangeError(`boot: ${drivers.length} drivers; a machine takes ${MAX_DRIVERS} at most`);
  }
  const tables = checkTables({ ...DEFAULT_TABLES, ...options.tables });
  const layout = layoutOf(
    tables,
    drivers.map((driver) => driver.words ?? 0),
  );
  const control = allocate(() => threadMem.makeRegion(layout.totalWords * 4), 'kernel memory');
  const words = new Words(control.buffer);
  format(words, tables, options, layout);
  const nodes = drivers.flatMap((driver) => driver.devices.map((spec) => ({ driver, spec })));
  const mainId = 2;
  const devices = nodes.map(({ driver, spec }, i) => ({
    actor: mainId + 1 + i,
    driver: driver.name,
    spec,
  }));
  const names = publishNames(
    devices.map(({ actor, driver, spec }) => ({
      path: spec.path,
      driver,
      actor,
      info: spec.info ?? null,
      reach: spec.reach ?? {},
      protected: spec.protected === true,
    })),
  );
  const bootToken: BootToken = { control: control.token, tables, drivers, names };
  const { port1, port2 } = new MessageChannel();
  const services = makeServices({
    words,
    self: mainId,
    seam: threadSeam,
    mem: threadMem,
    tables,
    port: port1,
    drivers,
    devices: readNames(names),
    bootToken,
  });
  JobTable.format(services.kernel);
  reserveActor(services, 'broker', ROLE.BROKER);
  reserveActor(services, 'main', ROLE.PROCESS);
  for (const { spec } of devices) reserveActor(services, spec.name, ROLE.DEVICE);
  const reapers = [
    reserveActor(services, 'reaper', ROLE.REAPER),
    reserveActor(services, 'reaper2', ROLE.REAPER),
  ] as const;
  const pool = makePool(services, options.pool ?? 0);
  words.store(HEADER.STATE, MACHINE.RUNNING);
  words.store(services.kernel.actor + ACTOR.STATE, ACTOR_STATE.LIVE);
  const task: BrokerTask = {
    self: BROKER,
    boot: bootToken,
    first: { actor: mainId, port: port2 },
    devices,
    heapMb: options.heapMb ?? HEAP_MB,
    enter: options.urls?.enter ?? ENTER,
    deviceMain: options.urls?.device ?? new URL('./device-main.js', import.meta.url).href,
    reaperMain: options.urls?.reaper ?? new URL('./reaper-main.js', import.meta.url).href,
    reapers,
    regions: pool,
  };
  const main = options.urls?.broker ?? new URL('./broker.js', import.meta.url).href;
  const host = workerHost({ enter: task.enter, main }, 1);
  const { ended } = host.start(task, [port2]);
  hearOfBroker(services, ended);
  const machine = new Machine(services, () => end(services, host, ended));
  try {
    await host.ready(); // the caller may block from now on
    await loadDrivers(services);
    await allServe(
      machine,
      services,
      ended,
      devices.map((device) => device.spec.name),
    );
  } catch (error) {
    await machine.shutdown();
    throw error;
  }
  return machine;
}

/** The broker's own death ends the machine: all devices go with it, and nobody hears of deaths any more. */
function hearOfBroker({ kernel }: Services, ended: Promise<void>): void {
  kernel.hearsOfBroker = true;
  const gone = (why: string): void => {
    if (!kernel.over) kernel.brokerLost(why);
  };
  ended.then(
    () => gone('its worker ended'),
    (error: unknown) => gone(error instanceof Error ? error.message : String(error)),
  );
}

async function end(services: Services, host: Host, ended: Promise<unknown>): Promise<void> {
  services.port.post({ type: 'shutdown' });
  await ended.catch(() => {});
  services.port.close();
  await host.destroy();
}

/** Waits until every device serves, or the broker is gone. */
async function allServe(
  machine: Machine,
  services: Services,
  ended: Promise<unknown>,
  names: readonly string[],
): Promise<void> {
  const lost = ended.then(
    () => services.kernel.check('boot'),
    (error: unknown) => {
      throw new DmaBufError('ENODEV', 'boot', `the broker could not start: ${String(error)}`);
    },
  );
  lost.catch(() => {});
  for (const name of names) await Promise.race([machine.peer(name, BOOT_LIMIT_MS), lost]);
}

/** Writes the header of fresh kernel memory. */
export function format(
  words: Words,
  tables: TableSizes,
  options: BootOptions,
  layout: ReturnType<typeof layoutOf>,
): void {
  const manual = options.clock === 'manual' ? MACHINE_FLAG.MANUAL_CLOCK : 0;
  const trace = options.trace === true ? MACHINE_FLAG.TRACE : 0;
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const spins = options.spin ?? 'auto';
  // On the manual clock everybody is to be asleep when time goes on.
  const spin = manual !== 0 ? 0 : spins === 'auto' ? SPIN_US : spins;
  const noncoherent = options.coherency === 'noncoherent' ? MACHINE_FLAG.NONCOHERENT : 0;
  const guard = options.guard === true ? MACHINE_FLAG.GUARD : 0;
  words.setDouble(HEADER.MACHINE_ID, Math.floor(Math.random() * Number.MAX_SAFE_INTEGER));
  writeHeader(
    words,
    layout,
    new Map([
      [HEADER.ACTOR_COUNT, tables.actors],
      [HEADER.CONTEXT_COUNT, tables.contexts],
      [HEADER.TIMELINE_COUNT, tables.timelines],
      [HEADER.SYNC_FILE_COUNT, tables.syncFiles],
      [HEADER.HOLDER_COUNT, tables.holders],
      [HEADER.REGION_COUNT, tables.regions],
      [HEADER.BUFFER_COUNT, tables.buffers],
      [HEADER.QUEUE_COUNT, tables.queues],
      [HEADER.JOB_COUNT, tables.jobs],
      [HEADER.FD_COUNT, tables.fds],
      [HEADER.FD_PARKED, tables.mailSlots],
      [HEADER.TRACE_RECORDS, tables.traceRecords],
      [HEADER.DRIVER_COUNT, options.drivers?.length ?? 0],
      [HEADER.LIMIT_JOB, limits.job],
      [HEADER.LIMIT_HOLD, limits.hold],
      [HEADER.LIMIT_FENCE, limits.fence],
      [HEADER.SPIN_US, spin],
      [HEADER.SPIN_CORES, spins === 'auto' ? availableParallelism() : 0],
      [HEADER.UNCOLLECTED, Math.floor((options.uncollected ?? DEFAULT_UNCOLLECTED) / 1024)],
      [HEADER.FLAGS, manual | trace | noncoherent | guard],
      [HEADER.MAGIC, MAGIC],
    ]),
  );
}

/** Makes the pool and registers its region; what the broker is told of it. */
function makePool(services: Services, bytes: number): BrokerTask['regions'] {
  if (bytes === 0) return [];
  const pages = Math.ceil(bytes / WASM_PAGE);
  if (!Number.isSafeInteger(bytes) || bytes < 0 || pages > 65536) {
    throw new RangeError(`boot: pool must be 0 to 4 GiB in bytes, not ${bytes}`);
  }
  const memory = allocate(() => threadMem.makePool(pages * WASM_PAGE), `a pool of ${bytes} bytes`);
  const region = services.regions.adopt(REGION_KIND.POOL, memory);
  const generation = services.kernel.words.load(region + REGION.STATE);
  return [{ region, generation, token: memory.token }];
}

function allocate(make: () => RegionMemory, what: string): RegionMemory {
  try {
    return make();
  } catch (cause) {
    throw new DmaBufError('ENOMEM', 'boot', `the host has no memory for ${what}: ${String(cause)}`);
  }
}

function checkTables(tables: TableSizes): TableSizes {
  const limit = (name: keyof TableSizes, low: number, high: number): void => {
    const value = tables[name];
    wantNumber('boot', `tables.${name}`, value);
    if (Number.isInteger(value) && value >= low && value <= high) return;
    throw new RangeError(
      `boot: tables.${name} must be an integer from ${low} to ${high}, not ${value}`,
    );
  };
  limit('actors', 4, 63);
  limit('jobs', 32, 1 << 20);
  limit('payloadBytes', 16, 65536);
  limit('buffers', 1, 1 << 16);
  limit('queues', 1, 1 << 16);
  limit('regions', 1, 1 << 16);
  limit('contexts', 1, 1023);
  limit('timelines', 1, 1 << 16);
  limit('syncFiles', 1, 1 << 16);
  limit('holders', 1, 1 << 16);
  limit('fds', 1, 1 << 16);
  limit('mailSlots', 2, 4096);
  limit('mailBytes', 64, 65536);
  limit('traceRecords', 2, 1 << 22);
  for (const name of ['mailSlots', 'traceRecords'] as const) {
    if ((tables[name] & (tables[name] - 1)) === 0) continue;
    throw new RangeError(`boot: tables.${name} must be a power of two, not ${tables[name]}`);
  }
  for (const [name, unit] of [
    ['jobs', 32],
    ['payloadBytes', 16],
    ['mailBytes', 4],
  ] as const) {
    if (tables[name] % unit === 0) continue;
    throw new RangeError(`boot: tables.${name} must be a multiple of ${unit}, not ${tables[name]}`);
  }
  return tables;
}
