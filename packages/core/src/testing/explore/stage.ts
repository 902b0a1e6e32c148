/**
 * The stage: a machine of tables so small that its memory is copied and checked in microseconds, and the
 * services of its actors.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { format } from '../../actor/boot.js';
import { reserveActor } from '../../actor/reserve-actor.js';
import { makeServices, type Services } from '../../actor/services.js';
import type { ExportInfo } from '../../dmabuf/buffers.js';
import {
  ACTOR,
  ACTOR_STATE,
  DEFAULT_TABLES,
  HEADER,
  layoutOf,
  MACHINE,
  REGION_KIND,
  ROLE,
  type TableSizes,
} from '../../memory/layout.js';
import { markImporter } from '../../memory/regions.js';
import type { Words } from '../../memory/words.js';
import { threadMem } from '../../substrate/memory.js';
import { threadSeam, type Seam } from '../../substrate/seam.js';
import { JobTable } from '../../sync/job-table.js';
import { CONTROL_THREADS } from './control.js';

export const STAGE_TABLES: TableSizes = {
  ...DEFAULT_TABLES,
  actors: 6,
  jobs: 32,
  payloadBytes: 16,
  buffers: 4,
  queues: 5,
  regions: 2,
  contexts: 6,
  timelines: 2,
  syncFiles: 3,
  holders: 6,
  fds: 6,
  mailSlots: 2,
  mailBytes: 32,
  traceRecords: 2,
};

export function stageTables(own: Partial<TableSizes> | undefined): TableSizes {
  return { ...STAGE_TABLES, ...own };
}

/** Bytes of kernel memory that the largest scenario's tables need. */
export function stageBytes(tables: TableSizes): number {
  return layoutOf(tables, []).totalWords * 4;
}

/** Actor id of a thread. */
export function actorOf(thread: number): number {
  return thread + 1;
}

/** A port of nobody's: what processes tell the broker goes nowhere. */
export function deadPort(): MessagePort {
  const { port1, port2 } = new MessageChannel();
  port2.close();
  port1.close();
  return port1;
}

export function stageServices(
  words: Words,
  self: number,
  seam: Seam,
  tables: TableSizes,
  port: MessagePort,
): Services {
  return makeServices({
    words,
    self,
    seam,
    mem: threadMem,
    tables,
    port,
    drivers: [],
    devices: new Map(),
    bootToken: null,
  });
}

/** A machine before its scenario's set-up: all actors live, one region that all have. */
export class Stage {
  readonly words: Words;
  readonly tables: TableSizes;
  /** Services by thread, for the set-up alone. */
  readonly services: readonly Services[];
  readonly region: number;

  /** `devices`: threads that are devices. */
  constructor(words: Words, tables: TableSizes, devices: readonly number[]) {
    this.words = words;
    this.tables = tables;
    words.i32.fill(0);
    format(words, tables, { clock: 'manual' }, layoutOf(tables, []));
    const port = deadPort();
    const services: Services[] = [];
    for (let thread = 0; thread < CONTROL_THREADS; thread++) {
      const made = stageServices(words, actorOf(thread), threadSeam, tables, port);
      if (thread === 0) JobTable.format(made.kernel);
      const role = devices.includes(thread) ? ROLE.DEVICE : ROLE.PROCESS;
      if (reserveActor(made, `actor${thread}`, role) !== actorOf(thread)) {
        throw new Error('actor ids are not in order');
      }
      words.store(made.kernel.actor + ACTOR.STATE, ACTOR_STATE.LIVE);
      services.push(made);
    }
    this.services = services;
    words.store(HEADER.STATE, MACHINE.RUNNING);
    const first = this.of(0);
    this.region = first.regions.adopt(REGION_KIND.POOL, threadMem.makeRegion(4096));
    for (const { kernel } of services) markImporter(kernel, this.region, kernel.self);
  }

  of(thread: number): Services {
    const services = this.services[thread];
    if (services === undefined) throw new RangeError(`the stage has no thread ${thread}`);
    return services;
  }

  /** Gives what the set-up holds in JavaScript alone back to the tables. */
  settle(): void {
    for (const { jobs } of this.services) jobs.table.flush();
  }

  /** A dma-buf of one page with an fd of a thread's; its pointer and the fd. */
  buffer(thread: number): { pointer: number; fd: number; queue: number } {
    const { buffers, fds } = this.of(thread);
    const pointer = buffers.export(oneOf(this.region));
    const fd = fds.install((1 << 28) | pointer, 3, 'export');
    return { pointer, fd, queue: buffers.record(pointer).queue };
  }
}

/** A buffer of one page in a region. */
export function oneOf(region: number): ExportInfo {
  return { region, offset: 0, size: 4096, exporter: 0, flags: 0, name: 'b', priv: [] };
}
