/**
 * RecordTable: records in the GPU's shared words that several processes and queued jobs hold on to (images,
 * kernels). Each thread has its own over the same words.
 *
 * A record lives while REFS is not 0: a handle holds one of its bits, a job in flight one count for
 * each time that it names the record. So a handle may be closed while jobs that need the record are still
 * queued. Whoever takes the last reference frees it; ids carry a generation, so a stale one is ENOENT.
 *
 * A handle is a *slot* of its record: first the slot is taken (OWNERS, from 0 to the actor), then its bit is
 * set in REFS; given back in the opposite order. So of a process that died between any two stores one can
 * see what it had: a bit under its slot, or nothing. Who leaves REFS at 0 frees the record by a CAS of
 * STATE; the recoverer does it for whoever died before that.
 */
import { DmaBufError } from '@dmabuf/core';
import type { DriverDoor } from '@dmabuf/core/driver';
import { GPU, HANDLES, INDEX_BITS, JOB_REFS, RECORD } from './layout.js';

/** What the tables need of a thread's door. */
export type TableDoor = Pick<
  DriverDoor,
  'spec' | 'base' | 'words' | 'locks' | 'self' | 'freeLockOf'
>;

/** One process's hold on a record. */
export interface RecordHandle {
  readonly id: number;
  /** Which of the record's handles it is. */
  readonly slot: number;
}

/** What a table is of. */
export interface TableShape {
  /** For messages: `'image'`. */
  readonly what: string;
  /** Offset of the first record from the driver's base. */
  readonly at: number;
  /** Words of a record. */
  readonly words: number;
  readonly count: number;
}

/** The part of an id that says where the record is. */
const INDEX = (1 << INDEX_BITS) - 1;

export class RecordTable {
  readonly #door: TableDoor;
  readonly #shape: TableShape;

  constructor(door: TableDoor, shape: TableShape) {
    this.#door = door;
    this.#shape = shape;
  }

  /** Adds a record, which `write` fills in, with one handle, which the caller owns. ENOSPC when full. */
  add(call: string, write: (at: number) => void): RecordHandle {
    const { words, locks, base } = this.#door;
    locks.lock(base + GPU.LOCK);
    const index = this.#findFree();
    const at = this.#place(index);
    const slot = index < 0 ? -1 : this.#takeSlot(at);
    if (slot < 0) {
      locks.unlock(base + GPU.LOCK);
      const { what, count } = this.#shape;
      const detail = `all ${count} ${what}s of the GPU are in use; close some, or boot with gpu({ ${what}s: n })`;
      throw new DmaBufError('ENOSPC', call, detail);
    }
    const gen = (words.get(at + RECORD.GEN) + 1) & 0x7ffff || 1;
    words.set(at + RECORD.GEN, gen);
    write(at);
    words.store(at + RECORD.REFS, bitOf(slot));
    words.store(at + RECORD.STATE, gen);
    locks.unlock(base + GPU.LOCK);
    return { id: (gen << INDEX_BITS) | index, slot };
  }

  /** Another handle of a live record, which the caller owns. ENOENT: it is gone; ENFILE: it has as many as it can. */
  open(id: number): RecordHandle {
    const at = this.find(id);
    const slot = this.#takeSlot(at);
    if (slot < 0) {
      const detail = `${this.#shape.what} ${id} has ${HANDLES} handles, which is all that it can have; close some`;
      throw new DmaBufError('ENFILE', this.#shape.what, detail);
    }
    if (this.#raise(at, (refs) => refs | bitOf(slot)) && this.has(id)) return { id, slot };
    this.#giveBack(at, slot); // recycled since the look: the bit, if it was set, is another record's
    throw this.#gone(id);
  }

  /** Gives a handle back. True if it was the last reference. */
  close({ id, slot }: RecordHandle): boolean {
    return this.has(id) && this.#giveBack(this.#place(id & INDEX), slot);
  }

  /** Takes a reference for a job. ENOENT when the record is gone; ENOSPC: 65,535 jobs have one. */
  ref(id: number): void {
    const at = this.find(id);
    if ((this.#door.words.load(at + RECORD.REFS) & JOB_REFS) === JOB_REFS) {
      const detail = `${JOB_REFS} jobs in flight use ${this.#shape.what} ${id}`;
      throw new DmaBufError('ENOSPC', 'submit', detail);
    }
    const raised = this.#raise(at, (refs) => refs + 1);
    if (raised && this.has(id)) return;
    if (raised) this.#drop(at, (refs) => refs - 1); // as in open
    throw this.#gone(id);
  }

  /** Drops a job's reference; the last one frees the record. True if it did; false for a stale id. */
  unref(id: number): boolean {
    return this.has(id) && this.#drop(this.#place(id & INDEX), (refs) => refs - 1);
  }

  /** Gives back the handles of a dead process, and frees what it was about to free. By its recoverer. */
  died(dead: number): void {
    const { words } = this.#door;
    for (let index = 0; index < this.#shape.count; index++) {
      const at = this.#place(index);
      for (let slot = 0; slot < HANDLES; slot++) {
        if (words.load(at + RECORD.OWNERS + slot) === dead) this.#giveBack(at, slot);
      }
      const gen = words.load(at + RECORD.STATE);
      if (gen !== 0 && words.load(at + RECORD.REFS) === 0) this.#free(at, gen);
    }
  }

  /** Whether an id names a live record. */
  has(id: number): boolean {
    const index = id & INDEX;
    if (id <= 0 || index >= this.#shape.count) return false;
    return this.#door.words.load(this.#place(index) + RECORD.STATE) === id >>> INDEX_BITS;
  }

  /** Where a live record is. ENOENT when it is gone. */
  find(id: number): number {
    if (!this.has(id)) throw this.#gone(id);
    return this.#place(id & INDEX);
  }

  /** Live records. */
  get live(): number {
    let live = 0;
    for (let index = 0; index < this.#shape.count; index++) {
      if (this.#door.words.load(this.#place(index) + RECORD.STATE) !== 0) live++;
    }
    return live;
  }

  #place(index: number): number {
    return this.#door.base + this.#shape.at + index * this.#shape.words;
  }

  #findFree(): number {
    for (let index = 0; index < this.#shape.count; index++) {
      if (this.#door.words.load(this.#place(index) + RECORD.STATE) === 0) return index;
    }
    return -1;
  }

  /** The first free slot of a record, now this thread's; −1: none. */
  #takeSlot(at: number): number {
    const { words, self } = this.#door;
    for (let slot = 0; slot < HANDLES; slot++) {
      if (words.cas(at + RECORD.OWNERS + slot, 0, self)) return slot;
    }
    return -1;
  }

  #giveBack(at: number, slot: number): boolean {
    const { words } = this.#door;
    const last = this.#drop(at, (refs) => refs & ~bitOf(slot));
    words.store(at + RECORD.OWNERS + slot, 0);
    return last;
  }

  /** Adds a reference to what is not dying; false if it is. */
  #raise(at: number, next: (refs: number) => number): boolean {
    const { words } = this.#door;
    for (let refs = words.load(at + RECORD.REFS); refs > 0; refs = words.load(at + RECORD.REFS)) {
      if (words.cas(at + RECORD.REFS, refs, next(refs))) return true;
    }
    return false;
  }

  /** Takes a reference away. True if it was the last one, and the record is free now. */
  #drop(at: number, next: (refs: number) => number): boolean {
    const { words } = this.#door;
    const gen = words.load(at + RECORD.STATE); // before the drop: the record cannot be recycled until then
    for (;;) {
      const refs = words.load(at + RECORD.REFS);
      const rest = next(refs);
      if (rest === refs) return false;
      if (!words.cas(at + RECORD.REFS, refs, rest)) continue;
      return rest === 0 && this.#free(at, gen);
    }
  }

  #free(at: number, gen: number): boolean {
    const { words, base } = this.#door;
    if (gen === 0 || !words.cas(at + RECORD.STATE, gen, 0)) return false;
    words.add(base + GPU.FREED, 1);
    return true;
  }

  #gone(id: number): DmaBufError {
    const { what } = this.#shape;
    return new DmaBufError('ENOENT', what, `no ${what} ${id}; it may have been closed`);
  }
}

function bitOf(slot: number): number {
  return 0x10000 << slot;
}
