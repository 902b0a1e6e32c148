/**
 * What an fd can name, and how each kind counts its references. dma-bufs, sync files and timelines
 * are all fds: closing, passing and leaving treat them alike.
 */
import { OBJECT } from '../memory/layout.js';
import { kindOf, pointerOf } from './fd-table.js';

/** Reference counting of one kind of object. */
export interface ObjectKind {
  ref(pointer: number): void;
  unref(pointer: number): void;
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

  /** One more reference on the object of an fd's word. */
  ref(object: number): void {
    this.#kinds.get(kindOf(object))?.ref(pointerOf(object));
  }

  unref(object: number): void {
    this.#kinds.get(kindOf(object))?.unref(pointerOf(object));
  }
}
