/**
 * Moves: an exporter puts a buffer's memory elsewhere (dma_buf_move_notify).
 *
 * The mover claims the buffer exclusively, like any writer: when it is granted, every job that was queued
 * before has ended, so the old place is used by nobody; jobs queued later find the new one. Jobs that synchronise
 * explicitly wait for no claim: while they use a buffer it stays (EBUSY), and once QUEUE.MOVING is set they wait as
 * all others. Pinned and CPU-mapped buffers stay too (EBUSY). Dynamic importers are told: HOLDER.MOVES grows, and then
 * their thread's ACTOR.MOVES, on which an event loop sleeps and which blocking threads look at when they pump.
 *
 * A device whose running job has the buffer to itself moves it without a claim of its own, and without its content
 * ({@link Moves.relocate}): what was written elsewhere becomes the buffer's.
 *
 * Who submits a job reads REGION, then sees to it that the job's device has that region; who moves stores REGION, then looks
 * who has the old one. One of the two sees the other, so no job meets a region that its device has not got.
 */
import type { Doorbell } from '../actor/doorbell.js';
import { countCopied } from '../actor/job.js';
import { DmaBufError } from '../errno.js';
import type { Kernel } from '../kernel.js';
import {
  ACTOR,
  BUFFER,
  HOLDER,
  HOLDER_KIND,
  LINK_FLAG,
  REGION,
  REGION_KIND,
} from '../memory/layout.js';
import type { Regions } from '../memory/regions.js';
import { startMove } from '../sync/queue.js';
import type { Buffers } from './buffers.js';
import type { CpuClaims } from './cpu-claims.js';
import type { Holders } from './holders.js';
import type { Importers } from './importers.js';
import type { BufferRecord, Importer } from './ops.js';

/** Where a buffer lies. */
export interface Place {
  readonly region: number;
  /** Bytes from the start of the region. */
  readonly offset: number;
}

interface Watched {
  seen: number;
  readonly notify: () => void;
}

export class Moves {
  readonly #k: Kernel;
  readonly #bell: Doorbell;
  readonly #regions: Regions;
  readonly #buffers: Buffers;
  readonly #holders: Holders;
  readonly #importers: Importers;
  readonly #claims: CpuClaims;
  readonly #watched: Map<number, Watched> = new Map();
  #seen = 0;
  #watching = false;

  constructor(
    kernel: Kernel,
    bell: Doorbell,
    parts: {
      regions: Regions;
      buffers: Buffers;
      holders: Holders;
      importers: Importers;
      claims: CpuClaims;
    },
  ) {
    this.#k = kernel;
    this.#bell = bell;
    this.#regions = parts.regions;
    this.#buffers = parts.buffers;
    this.#holders = parts.holders;
    this.#importers = parts.importers;
    this.#claims = parts.claims;
  }

  /**
   * Moves a buffer with its content; returns its old place, which is the exporter's to reuse (a region of
   * its own is given up with it). Blocks until the jobs queued before have ended. EBUSY: pinned, mapped
   * by a CPU, or used by jobs that synchronise explicitly; ETIME; EDEADLK: this thread has a bracket open on it;
   * EINVAL: the new place does not hold it.
   */
  move(record: BufferRecord, to: Place, timeout: number): Place {
    this.#checkPlace(record, to);
    this.#mustBeMovable(record);
    const what = `buffer ${record.ino}`;
    const claims = this.#claims.take(
      [record.queue | LINK_FLAG.EXCLUSIVE],
      timeout,
      'dma_buf_move',
      what,
    );
    try {
      this.#keepOut(record);
      const source = this.#regions.view(record.region, record.offset, record.size);
      this.#regions.view(to.region, to.offset, record.size).set(source);
      const from = this.#put(record, to);
      countCopied(this.#k, record.size);
      return from;
    } finally {
      this.#claims.release(claims);
    }
  }

  /**
   * Points a buffer at memory that has its new content already; returns its old place. By the device whose running job
   * claims it exclusively, so nobody else uses it, and nothing is copied. Blocks only while an actor is handed
   * the region for the first time. EBUSY and EINVAL as of {@link move}: the buffer is then where it was.
   */
  relocate(record: BufferRecord, to: Place): Place {
    this.#checkPlace(record, to);
    this.#mustBeMovable(record);
    this.#keepOut(record);
    return this.#put(record, to);
  }

  /** No explicit job from here on, until the mover's claim goes. EBUSY: there is one already. */
  #keepOut({ queue, ino }: BufferRecord): void {
    if (startMove(this.#k, queue)) return;
    const detail = `buffer ${ino} is used by a job that synchronises explicitly; wait for its fence`;
    throw new DmaBufError('EBUSY', 'dma_buf_move', detail);
  }

  /** Makes a place a buffer's, which is claimed and whose content is there. */
  #put(record: BufferRecord, to: Place): Place {
    const from = { region: record.region, offset: record.offset };
    if (from.region !== to.region) this.#deliver(from.region, to.region);
    const told = this.#importers.locked(record.pointer, () => {
      this.#mustBeMovable(record);
      this.#buffers.rebase(record, to.region, to.offset);
      return this.#noteMoves(record);
    });
    // Those that were given the old region meanwhile: see above.
    if (from.region !== to.region) this.#deliver(from.region, to.region);
    for (const actor of told) this.#tell(actor);
    return from;
  }

  /** Hands a region to all that have another one. */
  #deliver(old: number, region: number): void {
    for (const actor of this.#importersOf(old)) this.#regions.deliver(region, actor);
  }

  /** Calls `notify` in this thread after each move under an attachment of its. */
  watch(holder: number, notify: () => void): void {
    const { words } = this.#k;
    this.#watched.set(holder, { seen: words.load(holder + HOLDER.MOVES), notify });
    void this.#watchLoop();
  }

  forget(holder: number): void {
    this.#watched.delete(holder);
  }

  /** Whether {@link run} has something to do. */
  get pending(): boolean {
    if (this.#watched.size === 0) return false;
    return this.#k.words.load(this.#k.actor + ACTOR.MOVES) !== this.#seen;
  }

  /** Calls the notifies that are due. */
  run(): void {
    if (!this.pending) return;
    const { words, actor } = this.#k;
    this.#seen = words.load(actor + ACTOR.MOVES);
    for (const [holder, watched] of [...this.#watched]) {
      const moves = words.load(holder + HOLDER.MOVES);
      if (moves === watched.seen) continue;
      watched.seen = moves;
      watched.notify();
    }
  }

  /** In an event loop, hears of moves without being pumped; keeps no process alive. */
  async #watchLoop(): Promise<void> {
    if (this.#watching) return;
    this.#watching = true;
    const { words, seam, actor } = this.#k;
    try {
      while (this.#watched.size > 0 && !this.#k.over) {
        this.run();
        const result = await seam.waitAsync(words.i32, actor + ACTOR.MOVES, this.#seen);
        if (result === 'timeout') return;
      }
    } finally {
      this.#watching = false;
    }
  }

  /** Counts the move in the dynamic attachments; the actors to tell. LOCK is held. */
  #noteMoves(record: BufferRecord): Set<number> {
    const { words } = this.#k;
    const told = new Set<number>();
    for (const holder of this.#holders.of(record.pointer)) {
      if (!this.#importers.isDynamic(holder)) continue;
      words.add(holder + HOLDER.MOVES, 1);
      told.add(words.get(holder + HOLDER.OWNER));
    }
    return told;
  }

  #tell(actor: number): void {
    const { words, seam, actors } = this.#k;
    const index = actors.at(actor) + ACTOR.MOVES;
    words.add(index, 1);
    seam.notify(words.i32, index, 0x7fffffff);
    this.#bell.ring(actor);
  }

  /** Actors that have a region: the new one is handed to them before their jobs go on. */
  #importersOf(region: number): number[] {
    const { words, actors, self } = this.#k;
    const live = [...actors.live()].map((pointer) => actors.indexOf(pointer));
    return live.filter((actor) => {
      const bits = words.load(region + REGION.IMPORTERS + (actor >> 5));
      return actor !== self && (bits & (1 << (actor & 31))) !== 0;
    });
  }

  #checkPlace(record: BufferRecord, to: Place): void {
    const { region, offset } = to;
    const { words, regions } = this.#k;
    const known = Number.isInteger(region) && regions.owns(region);
    const bytes =
      known && words.load(region + REGION.STATE) !== 0 ? words.getDouble(region + REGION.BYTES) : 0;
    if (!(Number.isInteger(offset) && offset >= 0 && offset + record.size <= bytes)) {
      const detail = `bytes ${offset} to ${offset + record.size} are not inside region ${region}`;
      throw new DmaBufError('EINVAL', 'dma_buf_move', detail);
    }
    for (const importer of this.#importersAt(record)) mustReach(this.#k, record, importer, to);
  }

  /** Those that have attached, as they said what they reach, and all actors that may get jobs for it. */
  *#importersAt(record: BufferRecord): Generator<Importer> {
    const { words } = this.#k;
    for (const holder of this.#holders.of(record.pointer)) {
      const attached = words.get(holder + HOLDER.KIND) === HOLDER_KIND.ATTACHMENT;
      if (attached) yield this.#importers.importerOf(holder);
    }
    if (record.region === 0) return; // it is refused for that
    for (const actor of this.#importersOf(record.region)) {
      yield this.#importers.devices.importer(actor);
    }
  }

  #mustBeMovable(record: BufferRecord): void {
    const { words } = this.#k;
    const count = (field: number): number => words.load(record.pointer + field);
    const why =
      record.region === 0
        ? 'has no memory yet'
        : record.scattered
          ? 'is in pieces'
          : count(BUFFER.PINS) > 0
            ? `is pinned (${count(BUFFER.PINS)} times)`
            : count(BUFFER.MAPPINGS) + count(BUFFER.VMAPS) > 0
              ? `has ${count(BUFFER.MAPPINGS) + count(BUFFER.VMAPS)} CPU mappings`
              : '';
    if (why === '') return;
    throw new DmaBufError(
      'EBUSY',
      'dma_buf_move',
      `buffer ${record.ino} ${why} and stays where it is`,
    );
  }
}

/** EINVAL: an importer would not get at the buffer there any more. */
function mustReach(
  { words }: Kernel,
  { ino }: BufferRecord,
  { reach, name }: Importer,
  { region, offset }: Place,
): void {
  const { pool = false, align = 1 } = reach;
  const inPool = words.get(region + REGION.KIND) === REGION_KIND.POOL;
  if ((inPool || !pool) && (align === 0 || offset % align === 0)) return;
  const detail = `${name} reaches buffer ${ino} where it is, and would not at offset ${offset} of region ${region}`;
  throw new DmaBufError('EINVAL', 'dma_buf_move', detail);
}
