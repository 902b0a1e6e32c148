/**
 * What an fd can name. dma-bufs, sync files and timelines are all fds: closing, passing and leaving treat
 * them alike; what is due when the last reference of one has gone is its kind's.
 */
import { OBJECT } from '../memory/layout.js';
import { kindOf, pointerOf } from './object-word.js';

/** One kind of object. */
export interface ObjectKind {
  /** The last reference of one is gone. Can be done twice, by the recoverer of whoever died in it. */
  last(pointer: number): void;
  /** Actor id of its maker. */
  makerOf(pointer: number): number;
}

export class Objects {
  readonly #kinds: ReadonlyMap<number, ObjectKind>;

  constructor(kinds: { dmabuf: ObjectKind; syncFile: ObjectKind; timeline: ObjectKind }) {
    this.#kinds = new Map([
      [OBJECT.DMABUF, kinds.dmabuf],
      [OBJECT.SYNC_FILE, kinds.syncFile],
      [OBJECT.TIMELINE, kinds.timeline],
    ]);
  }

  last(object: number): void {
    this.#kinds.get(kindOf(object))?.last(pointerOf(object));
  }

  makerOf(object: number): number {
    return this.#kinds.get(kindOf(object))?.makerOf(pointerOf(object)) ?? 0;
  }
}
