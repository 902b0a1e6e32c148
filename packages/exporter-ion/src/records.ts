/**
 * Records: which buffer holds what, of which heap, for which client (what debugfs prints).
 *
 * A record is claimed by a CAS of its STATE, so allocating threads never meet here. It is freed by
 * whoever releases the buffer, under the heap's lock.
 */
import { DmaBufError } from '@dmabuf/core';
import type { Words } from '@dmabuf/core/driver';
import type { Ion } from './ion.js';
import {
  RECORD,
  RECORD_STATE,
  recordActor,
  recordGeneration,
  recordState,
  recordWord,
} from './layout.js';
import { readName, writeName } from './names.js';

/** A record read out, for tables and messages. */
export interface RecordInfo {
  readonly heap: number;
  readonly ino: number;
  /** Bytes taken from the heap. */
  readonly bytes: number;
  /** Bytes asked for. */
  readonly size: number;
  readonly flags: number;
  readonly client: number;
  readonly clientGeneration: number;
  /** Name of the client, as it was at allocation. */
  readonly clientName: string;
  readonly actor: number;
}

/** The client of buffers that were allocated without one, by the dma-heap face. */
export const NO_CLIENT = -1;

/** What is known before the memory is found. */
export interface RecordOwner {
  readonly heap: number;
  /** Index of the client, or NO_CLIENT. */
  readonly client: number;
  readonly clientGeneration: number;
  readonly clientName: string;
  readonly actor: number;
  readonly size: number;
  readonly flags: number;
}

export class Records {
  readonly #ion: Ion;
  readonly #words: Words;
  #hint = 0;

  constructor(ion: Ion) {
    this.#ion = ion;
    this.#words = ion.words;
  }

  /** Claims a free record, BUILDING. ENOSPC: the table is full. */
  claim(owner: RecordOwner): number {
    const words = this.#words;
    const { buffers } = this.#ion.config;
    for (let i = 0; i < buffers; i++) {
      const index = (this.#hint + i) % buffers;
      const record = this.#ion.recordAt(index);
      const old = words.load(record + RECORD.STATE);
      if (recordState(old) !== RECORD_STATE.FREE) continue;
      const next = recordWord(recordGeneration(old) + 1, owner.actor, RECORD_STATE.BUILDING);
      if (!words.cas(record + RECORD.STATE, old, next)) continue;
      this.#hint = index + 1;
      this.#fill(record, owner);
      return record;
    }
    const detail = `all ${buffers} buffer records of ION are in use; free buffers, or give ion() a larger \`buffers\``;
    throw new DmaBufError('ENOSPC', 'ion_alloc', detail);
  }

  /** A buffer stands for it now. */
  publish(record: number, ino: number): void {
    const word = this.#words.load(record + RECORD.STATE);
    this.#words.set(record + RECORD.INO, ino);
    const next = recordWord(recordGeneration(word), recordActor(word), RECORD_STATE.LIVE);
    this.#words.store(record + RECORD.STATE, next);
  }

  generation(record: number): number {
    return recordGeneration(this.#words.load(record + RECORD.STATE));
  }

  /** Whether a record still is the one that a buffer was given. */
  holds(record: number, generation: number): boolean {
    const word = this.#words.load(record + RECORD.STATE);
    return recordGeneration(word) === generation && recordState(word) !== RECORD_STATE.FREE;
  }

  /** Word offsets of all records that are not free. */
  *live(): Generator<number> {
    for (let i = 0; i < this.#ion.config.buffers; i++) {
      const record = this.#ion.recordAt(i);
      if (recordState(this.#words.load(record + RECORD.STATE)) !== RECORD_STATE.FREE) yield record;
    }
  }

  /** Bytes that a client holds. */
  bytesOf(client: number, generation: number): number {
    const words = this.#words;
    let bytes = 0;
    for (const record of this.live()) {
      if (words.get(record + RECORD.CLIENT) !== client) continue;
      if (words.get(record + RECORD.CLIENT_GEN) !== generation) continue;
      bytes += words.getDouble(record + RECORD.BYTES);
    }
    return bytes;
  }

  read(record: number): RecordInfo {
    const words = this.#words;
    return {
      heap: words.get(record + RECORD.HEAP),
      ino: words.get(record + RECORD.INO),
      bytes: words.getDouble(record + RECORD.BYTES),
      size: words.getDouble(record + RECORD.SIZE),
      flags: words.get(record + RECORD.FLAGS) >>> 0,
      client: words.get(record + RECORD.CLIENT),
      clientGeneration: words.get(record + RECORD.CLIENT_GEN),
      clientName: readName(words, record + RECORD.NAME),
      actor: recordActor(words.load(record + RECORD.STATE)),
    };
  }

  #fill(record: number, owner: RecordOwner): void {
    const words = this.#words;
    words.set(record + RECORD.HEAP, owner.heap);
    words.set(record + RECORD.CLIENT, owner.client);
    words.set(record + RECORD.CLIENT_GEN, owner.clientGeneration);
    words.set(record + RECORD.INO, 0);
    words.set(record + RECORD.FLAGS, owner.flags);
    words.setDouble(record + RECORD.SIZE, owner.size);
    writeName(words, record + RECORD.NAME, owner.clientName);
  }
}
