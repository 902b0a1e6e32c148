/**
 * bufinfo: every live buffer, who holds it, its queue and fences, as a list and as the text that debugfs
 * prints (drivers/dma-buf/dma-buf.c: dma_buf_debug_show; drivers/dma-buf/dma-resv.c: dma_resv_describe).
 *
 * A snapshot, buffer by buffer: each is kept alive while it is looked at, and what is dying is left out.
 */
import { kindOf, openFds as fdsOf, pointerOf } from '../fd/fd-table.js';
import type { Kernel } from '../kernel.js';
import {
  BUFFER,
  HOLDER,
  HOLDER_FLAG,
  HOLDER_KIND,
  JOB,
  JOB_STATE,
  JOB_STATE_MASK,
  LINK,
  LINK_FLAG,
  OBJECT,
  QUEUE,
} from '../memory/layout.js';
import type { Contexts } from '../sync/contexts.js';
import { isFurther } from '../sync/job-links.js';
import { isGranted, jobOfLink } from '../sync/queue.js';
import type { Buffers } from './buffers.js';
import type { Holders } from './holders.js';
import { DIRECTIONS, type Importers } from './importers.js';
import type { Direction } from './ops.js';

/** A claim in a buffer's queue. */
export interface BufferFence {
  /** `write`: exclusive, `read`: shared, `bookkeep`: of a job that synchronises explicitly. */
  readonly usage: 'write' | 'read' | 'bookkeep';
  /** Name of the actor that runs the job. */
  readonly driver: string;
  /** Name of its context. */
  readonly timeline: string;
  readonly seqno: number;
  readonly signalled: boolean;
  /** Whether the claim is granted: its job may run, runs, or has run. */
  readonly granted: boolean;
}

export interface BufferAttachment {
  /** Name of the importing actor. */
  readonly device: string;
  /** Name of the process that attached it. */
  readonly owner: string;
  readonly dynamic: boolean;
  /** What it is mapped for, if it is. */
  readonly mapped: Direction | undefined;
  readonly pins: number;
}

export interface BufferMapping {
  readonly owner: string;
  readonly kind: 'mmap' | 'vmap';
  readonly offset: number;
  readonly length: number;
}

/** What was ever done with a buffer. */
export interface BufferCounters {
  /** prepareAccess and finishAccess calls, of any kind. */
  readonly prepares: number;
  readonly finishes: number;
  /** CPU mappings ever made. */
  readonly mmaps: number;
  /** Calls of the exporter's ops that succeeded. */
  readonly opCalls: number;
  /** 64-byte cache lines that brackets invalidated or wrote back. */
  readonly cacheLines: number;
  /** Brackets that wrote cache lines back. */
  readonly flushes: number;
}

export interface BufferInfo {
  readonly size: number;
  /** File flags and mode, as of every dma-buf: O_RDWR, FMODE_READ | FMODE_WRITE. */
  readonly flags: number;
  readonly mode: number;
  /** References: fds, attachments, mappings, messages in flight, armed polls. */
  readonly count: number;
  /** Name of the exporter. */
  readonly expName: string;
  readonly ino: number;
  readonly name: string;
  /** BUFFER_FLAG.* */
  readonly bufferFlags: number;
  /** 0 while it has no memory yet. */
  readonly region: number;
  readonly offset: number;
  readonly pins: number;
  readonly fds: readonly { readonly process: string; readonly fd: number }[];
  readonly attachments: readonly BufferAttachment[];
  readonly mappings: readonly BufferMapping[];
  readonly fences: readonly BufferFence[];
  /**
   * Name of a process that was evicted from the buffer and may still write to it; undefined once the buffer has
   * been overwritten since.
   */
  readonly taintedBy: string | undefined;
  readonly counters: BufferCounters;
}

/** All of it; `String(info)` is what debugfs prints. */
export class BufInfo {
  readonly buffers: readonly BufferInfo[];

  constructor(buffers: readonly BufferInfo[]) {
    this.buffers = buffers;
  }

  /** Bytes of all buffers. */
  get bytes(): number {
    return this.buffers.reduce((sum, { size }) => sum + size, 0);
  }

  toString(): string {
    const head = [
      '',
      'Dma-buf Objects:',
      'size    \tflags   \tmode    \tcount   \texp_name\tino     \tname',
    ];
    const total = `\nTotal ${this.buffers.length} objects, ${this.bytes} bytes\n`;
    return [...head, ...this.buffers.map(textOf), total].join('\n');
  }
}

function textOf(info: BufferInfo): string {
  const dec = (n: number): string => String(n).padStart(8, '0');
  const hex = (n: number): string => n.toString(16).padStart(8, '0');
  const { counters } = info;
  const lines = [
    [
      dec(info.size),
      hex(info.flags),
      hex(info.mode),
      dec(info.count),
      info.expName,
      dec(info.ino),
      info.name || '<none>',
    ].join('\t'),
    ...(info.taintedBy === undefined ? [] : [`\ttainted by '${info.taintedBy}'`]),
    ...info.fences.map(
      (f) =>
        `\t${f.usage} fence:${f.driver} ${f.timeline} seq ${f.seqno} ${f.signalled ? '' : 'un'}signalled`,
    ),
    '\tAttached Devices:',
    ...info.attachments.map(({ device }) => `\t${device}`),
    `Total ${info.attachments.length} devices attached`,
    `\tCPU access: ${counters.prepares} prepares, ${counters.finishes} finishes, ${counters.mmaps} mmaps, ${counters.opCalls} op calls, ${counters.cacheLines} cache lines, ${counters.flushes} flushes`,
    '',
  ];
  return lines.join('\n');
}

/** What a look at all buffers needs. */
export interface BufInfoServices {
  readonly kernel: Kernel;
  readonly buffers: Buffers;
  readonly holders: Holders;
  readonly importers: Importers;
  readonly contexts: Contexts;
  /** Name of the exporter with this index. */
  readonly expName: (index: number) => string;
}

const O_RDWR = 2;
const FMODE_RDWR = 3;

export function bufinfo(s: BufInfoServices): BufInfo {
  const { kernel, holders } = s;
  const infos: BufferInfo[] = [];
  const fds = openFds(kernel);
  for (const buffer of kernel.buffers.live()) {
    const pin = holders.pin(buffer);
    if (pin === 0) {
      const orphan = orphanOf(s, buffer);
      if (orphan !== undefined) infos.push(orphan);
      continue;
    }
    try {
      infos.push(infoOf(s, buffer, fds));
    } finally {
      holders.drop(pin);
    }
  }
  return new BufInfo(infos);
}

interface OpenFd {
  readonly process: string;
  readonly fd: number;
  readonly buffer: number;
}

function openFds(kernel: Kernel): OpenFd[] {
  return [...kernel.actors.live()].flatMap((pointer) => {
    const actor = kernel.actors.indexOf(pointer);
    const open = [...fdsOf(kernel, actor)].filter(({ object }) => kindOf(object) === OBJECT.DMABUF);
    return open.map(({ fd, object }) => ({
      process: kernel.nameOf(actor),
      fd,
      buffer: pointerOf(object),
    }));
  });
}

/** A buffer that is held by the caller's pin. */
function infoOf(s: BufInfoServices, buffer: number, fds: readonly OpenFd[]): BufferInfo {
  const { record, holders } = s.importers.locked(buffer, () => ({
    record: recordOf(s, buffer),
    holders: [...s.holders.of(buffer)]
      .filter((holder) => s.kernel.words.load(holder + HOLDER.KIND) !== HOLDER_KIND.PIN)
      .map((holder) => holderOf(s.kernel, holder)),
  }));
  const { locks, words } = s.kernel;
  const queue = words.get(buffer + BUFFER.QUEUE);
  locks.lock(queue + QUEUE.LOCK);
  const fences = fencesOf(s, queue);
  locks.unlock(queue + QUEUE.LOCK);
  return {
    ...record,
    count: record.count - 1, // without ours
    fds: fds.filter((open) => open.buffer === buffer).map(({ process, fd }) => ({ process, fd })),
    attachments: holders.flatMap((holder) => ('device' in holder ? [holder] : [])),
    mappings: holders.flatMap((holder) => ('device' in holder ? [] : [holder])),
    fences,
  };
}

/** A buffer that cannot be pinned: without references it lives as long as there are jobs in its queue. */
function orphanOf(s: BufInfoServices, buffer: number): BufferInfo | undefined {
  const { words, locks, queues } = s.kernel;
  const queue = words.get(buffer + BUFFER.QUEUE);
  if (!queues.owns(queue)) return undefined;
  locks.lock(queue + QUEUE.LOCK);
  const its = words.get(queue + QUEUE.BUFFER) === buffer && words.get(queue + QUEUE.HEAD) !== 0;
  const info = its
    ? { ...recordOf(s, buffer), fds: [], attachments: [], mappings: [], fences: fencesOf(s, queue) }
    : undefined;
  locks.unlock(queue + QUEUE.LOCK);
  return info;
}

type OfRecord = Omit<BufferInfo, 'fds' | 'attachments' | 'mappings' | 'fences'>;

function recordOf(s: BufInfoServices, buffer: number): OfRecord {
  const { words } = s.kernel;
  const record = s.buffers.record(buffer);
  const get = (field: number): number => words.load(buffer + field);
  const tainter = words.load(get(BUFFER.QUEUE) + QUEUE.TAINTED);
  return {
    size: record.size,
    flags: O_RDWR,
    mode: FMODE_RDWR,
    count: Math.max(0, get(BUFFER.REFS)),
    expName: s.expName(record.exporter),
    ino: record.ino,
    name: record.name,
    bufferFlags: record.flags,
    region: record.region,
    offset: record.offset,
    pins: get(BUFFER.PINS),
    taintedBy: tainter === 0 ? undefined : s.kernel.nameOf(tainter),
    counters: {
      prepares: get(BUFFER.PREPARES),
      finishes: get(BUFFER.FINISHES),
      mmaps: get(BUFFER.MMAPS),
      opCalls: get(BUFFER.OP_CALLS),
      cacheLines: words.getDouble(buffer + BUFFER.CACHE_LINES),
      flushes: get(BUFFER.FLUSHES),
    },
  };
}

function holderOf(kernel: Kernel, holder: number): BufferAttachment | BufferMapping {
  const { words } = kernel;
  const get = (field: number): number => words.load(holder + field);
  const owner = kernel.nameOf(get(HOLDER.OWNER));
  const kind = get(HOLDER.KIND);
  if (kind === HOLDER_KIND.ATTACHMENT) {
    return {
      device: kernel.nameOf(get(HOLDER.IMPORTER)),
      owner,
      dynamic: (get(HOLDER.FLAGS) & HOLDER_FLAG.DYNAMIC) !== 0,
      mapped: get(HOLDER.MAPS) > 0 ? DIRECTIONS[get(HOLDER.DIRECTION)] : undefined,
      pins: get(HOLDER.PINS),
    };
  }
  return {
    owner,
    kind: kind === HOLDER_KIND.MAPPING ? 'mmap' : 'vmap',
    offset: words.getDouble(holder + HOLDER.OFFSET),
    length: words.getDouble(holder + HOLDER.LENGTH),
  };
}

/** The queue's LOCK is held. */
function fencesOf(s: BufInfoServices, queue: number): BufferFence[] {
  const { words } = s.kernel;
  const fences: BufferFence[] = [];
  for (let link = words.get(queue + QUEUE.HEAD); link !== 0; link = words.get(link + LINK.NEXT)) {
    fences.push(fenceOf(s, link));
  }
  return fences;
}

function usageOf(target: number): BufferFence['usage'] {
  if ((target & LINK_FLAG.BOOKKEEP) !== 0) return 'bookkeep';
  return (target & LINK_FLAG.EXCLUSIVE) !== 0 ? 'write' : 'read';
}

function fenceOf({ kernel, contexts }: BufInfoServices, link: number): BufferFence {
  const { words } = kernel;
  let job = jobOfLink(link);
  const granted = isGranted(words, link);
  while (isFurther(kernel, job)) job = words.get(job + JOB.CONTEXT);
  const state = words.load(job + JOB.STATE) & JOB_STATE_MASK;
  return {
    usage: usageOf(words.get(link + LINK.TARGET)),
    driver: kernel.nameOf(words.get(job + JOB.TARGET)),
    timeline: contexts.nameOf(words.get(job + JOB.CONTEXT)),
    seqno: words.getDouble(job + JOB.SEQNO),
    signalled: state === JOB_STATE.DONE || state === JOB_STATE.RELEASED,
    granted,
  };
}
