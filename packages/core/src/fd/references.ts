/**
 * References: what keeps a dma-buf, a sync file or a timeline alive, and the only code that counts it.
 *
 * A reference is always that of a record: an fd's entry, a parked fd's, a mailbox slot in flight, a holder.
 * Record and count change together under BUFFER_LOCK, so whenever that lock is free, REFS is the
 * number of records; should a thread die between the two, the recoverer, who then holds the lock, counts
 * anew ({@link recount}). Of a new object REFS is 0 until its first record is there: it is then its maker's.
 * Whoever drops the last reference leaves REFS = −actor and does what is due ({@link onLast}), which can be
 * done again by its recoverer. Jobs take no references (see Buffers).
 */
import type { Kernel } from '../kernel.js';
import { FD_WORDS, HEADER, HOLDER, MAIL, MAIL_SLOT, OBJECT } from '../memory/layout.js';
import type { Table } from '../memory/tables.js';
import { kindOf, objectWord, pointerOf } from './object-word.js';

/** BUFFER.REFS, SYNC_FILE.REFS, TIMELINE.REFS. */
const REFS = 1;

export class References {
  readonly #k: Kernel;
  /** Does what is due when an object's last reference is gone: set when the thread's services are wired. */
  onLast: (object: number) => void = () => {};

  constructor(kernel: Kernel) {
    this.#k = kernel;
  }

  /** Runs `change` with the lock, under which {@link add} and {@link drop} and their records change. */
  locked<T>(change: () => T): T {
    const { locks } = this.#k;
    locks.lock(HEADER.BUFFER_LOCK);
    try {
      return change();
    } finally {
      locks.unlock(HEADER.BUFFER_LOCK);
    }
  }

  /** One more record. The lock is held. */
  add(object: number): void {
    const { words } = this.#k;
    const index = pointerOf(object) + REFS;
    words.store(index, words.get(index) + 1);
  }

  /** One record less; true when it was the last: call {@link onLast} without the lock. The lock is held. */
  drop(object: number): boolean {
    const { words, self } = this.#k;
    const index = pointerOf(object) + REFS;
    const left = words.get(index) - 1;
    words.store(index, left > 0 ? left : -self);
    return left <= 0;
  }

  /** Gives up an object that its maker has not been able to install. */
  abandon(object: number): void {
    this.#k.words.store(pointerOf(object) + REFS, -this.#k.self);
    this.onLast(object);
  }

  /** References that an object has, 0 when it is going. */
  count(object: number): number {
    return Math.max(0, this.#k.words.load(pointerOf(object) + REFS));
  }

  /** Objects that a dead actor was about to install, or to end: {@link onLast} is due for them. */
  *leftBy(dead: number, makerOf: (object: number) => number): Generator<number> {
    const { words } = this.#k;
    for (const [kind, table] of this.#tables()) {
      for (const pointer of [...table.live()]) {
        const object = objectWord(kind, pointer);
        const refs = words.load(pointer + REFS);
        if (refs !== -dead && !(refs === 0 && makerOf(object) === dead)) continue;
        words.store(pointer + REFS, -this.#k.self);
        yield object;
      }
    }
  }

  /** Counts all records anew. The lock is held, taken over from `dead`. */
  recount(dead: number): void {
    const { words } = this.#k;
    const counted = new Map<number, number>();
    const count = (object: number): void =>
      void counted.set(object, (counted.get(object) ?? 0) + 1);
    this.#eachFd(count);
    this.#eachMail(count);
    for (const holder of this.#k.holders.live()) {
      count(objectWord(OBJECT.DMABUF, words.get(holder + HOLDER.BUFFER)));
    }
    for (const [kind, table] of this.#tables()) {
      for (const pointer of table.live()) {
        const refs = counted.get(objectWord(kind, pointer)) ?? 0;
        // Without a record it is its maker's still (0), or somebody's who ends it (negative); if it had
        // one, the dead dropped the last.
        if (refs > 0 || words.load(pointer + REFS) > 0) {
          words.store(pointer + REFS, refs > 0 ? refs : -dead);
        }
      }
    }
  }

  *#tables(): Generator<[number, Table]> {
    yield [OBJECT.DMABUF, this.#k.buffers];
    yield [OBJECT.SYNC_FILE, this.#k.syncFiles];
    yield [OBJECT.TIMELINE, this.#k.timelines];
  }

  #eachFd(count: (object: number) => void): void {
    const { words, actors } = this.#k;
    const entries = words.get(HEADER.FD_COUNT) + words.get(HEADER.FD_PARKED);
    for (let i = 0; i < actors.count * entries; i++) {
      const object = words.load(words.get(HEADER.FDS) + i * FD_WORDS);
      if (kindOf(object) !== OBJECT.NONE) count(object);
    }
  }

  /** Slots between HEAD and TAIL; a message's further slots hold text and are stepped over. */
  #eachMail(count: (object: number) => void): void {
    const { words, actors } = this.#k;
    const stride = words.get(HEADER.MAIL_WORDS);
    const slots = words.get(HEADER.FD_PARKED);
    const slotWords = words.get(HEADER.MAIL_SLOT_WORDS);
    const slotBytes = (slotWords - MAIL_SLOT.BODY) * 4;
    for (let actor = 0; actor < actors.count; actor++) {
      const box = words.get(HEADER.MAIL) + actor * stride;
      const tail = words.load(box + MAIL.TAIL);
      for (let at = words.load(box + MAIL.HEAD); ((tail - at) | 0) > 0;) {
        const slot = box + MAIL.SLOTS + ((at >>> 0) % slots) * slotWords;
        const object = words.get(slot + MAIL_SLOT.OBJECT);
        if (object !== 0) count(object);
        at = (at + Math.max(1, Math.ceil(words.get(slot + MAIL_SLOT.LENGTH) / slotBytes))) | 0;
      }
    }
  }
}
