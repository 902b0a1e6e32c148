/**
 * Where records are: pointers from indexes and back, and allocation of the slow tables.
 *
 * Records of buffers, queues, regions, contexts and actors come and go a few times a second: each
 * allocation takes its table's lock and looks for a free slot from where the last one was
 * found. A record is free while its STATE word is 0; STATE = generation publishes it, as
 * the last store of its construction, so a death before that leaves it free.
 */
import { HEADER, type Layout } from './layout.js';
import type { Words } from './words.js';

/** One table of fixed-size records. */
export class Table {
  readonly #words: Words;
  readonly base: number;
  readonly count: number;
  readonly size: number;
  /** First index that may be used: 1 where index 0 means "none". */
  readonly first: number;
  readonly #stateOffset: number;
  #hint: number;

  constructor(
    words: Words,
    base: number,
    count: number,
    size: number,
    stateOffset: number,
    first: number,
  ) {
    this.#words = words;
    this.base = base;
    this.count = count;
    this.size = size;
    this.first = first;
    this.#stateOffset = stateOffset;
    this.#hint = first;
  }

  at(index: number): number {
    return this.base + index * this.size;
  }

  indexOf(pointer: number): number {
    return (pointer - this.base) / this.size;
  }

  /** Whether a word offset is the start of a record of this table. */
  owns(pointer: number): boolean {
    const index = this.indexOf(pointer);
    return Number.isInteger(index) && index >= this.first && index < this.count;
  }

  /**
   * Pointer of a free record, 0 when the table is full; one whose word at `also` is 0, too, if that is said. Under the
   * table's lock.
   */
  findFree(also: number = this.#stateOffset): number {
    const span = this.count - this.first;
    for (let i = 0; i < span; i++) {
      const index = this.first + ((this.#hint - this.first + i) % span);
      const pointer = this.at(index);
      if (this.#words.get(pointer + this.#stateOffset) !== 0) continue;
      if (this.#words.load(pointer + also) !== 0) continue;
      this.#hint = index + 1 < this.count ? index + 1 : this.first;
      return pointer;
    }
    return 0;
  }

  /** Pointers of all records that are not free, for walks (bufinfo, recovery). */
  *live(): Generator<number> {
    for (let index = this.first; index < this.count; index++) {
      const pointer = this.at(index);
      if (this.#words.load(pointer + this.#stateOffset) !== 0) yield pointer;
    }
  }
}

/** Writes a NUL-padded UTF-8 string of at most `words × 4 − 1` bytes; longer ones are cut. */
export function writeName(words: Words, index: number, count: number, name: string): void {
  const bytes = new TextEncoder().encode(name).subarray(0, count * 4 - 1);
  const target = words.bytes(index, count * 4);
  target.fill(0);
  target.set(bytes);
}

export function readName(words: Words, index: number, count: number): string {
  const bytes = words.bytes(index, count * 4).slice();
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

/** Stores the layout into the header of fresh kernel memory. Boot only. */
export function writeHeader(
  words: Words,
  layout: Layout,
  values: ReadonlyMap<number, number>,
): void {
  const o = layout.offsets;
  words.set(HEADER.ACTORS, o.actors);
  words.set(HEADER.CONTEXTS, o.contexts);
  words.set(HEADER.TIMELINES, o.timelines);
  words.set(HEADER.SYNC_FILES, o.syncFiles);
  words.set(HEADER.HOLDERS, o.holders);
  words.set(HEADER.REGIONS, o.regions);
  words.set(HEADER.BUFFERS, o.buffers);
  words.set(HEADER.QUEUES, o.queues);
  words.set(HEADER.JOBS, o.jobs);
  words.set(HEADER.PAYLOADS, o.payloads);
  words.set(HEADER.FDS, o.fds);
  words.set(HEADER.READY, o.ready);
  words.set(HEADER.MAIL, o.mail);
  words.set(HEADER.TRACE, o.trace);
  words.set(HEADER.READY_WORDS, layout.readyWords);
  words.set(HEADER.MAIL_WORDS, layout.mailWords);
  words.set(HEADER.MAIL_SLOT_WORDS, layout.slotWords);
  words.set(HEADER.PAYLOAD_WORDS, layout.payloadWords);
  layout.driverOffsets.forEach((offset, i) => words.set(HEADER.DRIVERS + i, offset));
  for (const [index, value] of values) words.set(index, value);
}
