/**
 * How large the tables are, and so where each of them starts.
 */
import { ACTOR, FD_WORDS, MAIL, MAIL_SLOT, TRACE } from './actors.js';
import { BUFFER, HOLDER, REGION } from './buffers.js';
import { SYNC_FILE, TIMELINE } from './fences.js';
import { HEADER } from './header.js';
import { CONTEXT, JOB, QUEUE } from './jobs.js';

/** How large the tables of a machine are; every field has a default ({@link DEFAULT_TABLES}). */
export interface TableSizes {
  /** Threads that can be joined at one time, devices, broker and two reapers included. At most 63. */
  readonly actors: number;
  /** Jobs (and their fences) in flight, a multiple of 32. 256 B each, plus `payloadBytes`. */
  readonly jobs: number;
  /** Bytes of msgpack that a job can carry. */
  readonly payloadBytes: number;
  /** dma-bufs alive at one time. */
  readonly buffers: number;
  /** Queues, those of the buffers included. */
  readonly queues: number;
  /** Regions of memory alive at one time: one for each system-heap buffer, one for the pool. */
  readonly regions: number;
  /** Contexts: ordered lines of jobs. */
  readonly contexts: number;
  /** Software timelines alive at one time. */
  readonly timelines: number;
  /** Sync files alive at one time, each of up to eight fences (a larger one counts several times). */
  readonly syncFiles: number;
  /** Attachments and CPU mappings open at one time. */
  readonly holders: number;
  /** File descriptors per process. */
  readonly fds: number;
  /** Messages in a mailbox before its senders wait; a power of two. */
  readonly mailSlots: number;
  /** Bytes of a mailbox slot; a longer message takes several. */
  readonly mailBytes: number;
  /** Trace records kept per actor, a power of two; the oldest are overwritten. */
  readonly traceRecords: number;
}

export const DEFAULT_TABLES: TableSizes = {
  actors: 17,
  jobs: 4096,
  payloadBytes: 256,
  buffers: 512,
  queues: 640,
  regions: 512,
  contexts: 64,
  timelines: 64,
  syncFiles: 256,
  holders: 1024,
  fds: 256,
  mailSlots: 64,
  mailBytes: 512,
  traceRecords: 16384,
};

/** Where each table starts (word offsets), from its sizes. */
export interface Layout {
  readonly offsets: Readonly<Record<TableName, number>>;
  readonly readyWords: number;
  readonly mailWords: number;
  readonly slotWords: number;
  readonly payloadWords: number;
  readonly driverOffsets: readonly number[];
  readonly totalWords: number;
}
type TableName =
  | 'actors'
  | 'contexts'
  | 'timelines'
  | 'syncFiles'
  | 'holders'
  | 'regions'
  | 'buffers'
  | 'queues'
  | 'jobs'
  | 'payloads'
  | 'fds'
  | 'ready'
  | 'mail'
  | 'trace';

const align = (words: number): number => (words + 63) & ~63;

/** Words of one actor's ready set: summary words, then a leaf bit for every job. */
export function readyWordsFor(jobs: number): number {
  const leaves = Math.ceil(jobs / 32);
  return align(Math.ceil(leaves / 32) + leaves);
}

/** Lays the tables out one after the other; a table's slot 0 is never used, so that 0 is "none". */
export function layoutOf(sizes: TableSizes, driverWords: readonly number[]): Layout {
  let at: number = HEADER.WORDS;
  const take = (words: number): number => {
    const offset = at;
    at += align(words);
    return offset;
  };
  const readyWords = readyWordsFor(sizes.jobs);
  const slotWords = MAIL_SLOT.BODY + align(sizes.mailBytes / 4);
  const mailWords = align(MAIL.SLOTS + sizes.mailSlots * slotWords);
  const payloadWords = align(sizes.payloadBytes / 4);
  const actors = sizes.actors + 1;
  const offsets: Record<TableName, number> = {
    actors: take(actors * ACTOR.WORDS),
    contexts: take(sizes.contexts * CONTEXT.WORDS),
    timelines: take(sizes.timelines * TIMELINE.WORDS),
    syncFiles: take(sizes.syncFiles * SYNC_FILE.WORDS),
    holders: take(sizes.holders * HOLDER.WORDS),
    regions: take((sizes.regions + 1) * REGION.WORDS),
    buffers: take(sizes.buffers * BUFFER.WORDS),
    queues: take(sizes.queues * QUEUE.WORDS),
    jobs: take(sizes.jobs * JOB.WORDS),
    payloads: take(sizes.jobs * payloadWords),
    fds: take(actors * (sizes.fds + sizes.mailSlots) * FD_WORDS),
    ready: take(actors * readyWords),
    mail: take(actors * mailWords),
    trace: take(actors * sizes.traceRecords * TRACE.WORDS),
  };
  const driverOffsets = driverWords.map((words) => take(words));
  return {
    offsets,
    readyWords,
    mailWords,
    slotWords,
    payloadWords,
    driverOffsets,
    totalWords: align(at),
  };
}
