/**
 * The fd table of one process: small integers, lowest free first (fs/file.c; design D5).
 *
 * Only the process's own thread writes it, so it takes no lock; the broker reads it (to see whether
 * an import is rightful) and closes what is left when the process has died. An entry is
 * published by storing its object word last, and taken back by clearing that word first; the
 * reference that it stands for is taken before and dropped after.
 */
import { DmaBufError } from '../errno.js';
import type { Kernel } from '../kernel.js';
import { FD_FLAG, FD_WORDS, HEADER, OBJECT } from '../memory/layout.js';
import { Handles } from './handles.js';

const KIND_SHIFT = 28;
const POINTER_MASK = (1 << KIND_SHIFT) - 1;
const KIND_NAME = ['nothing', 'a dma-buf', 'a sync file', 'a timeline'] as const;

/** An fd's object word. */
export function objectWord(kind: number, pointer: number): number {
  return (kind << KIND_SHIFT) | pointer;
}
export function kindOf(object: number): number {
  return object >>> KIND_SHIFT;
}
export function pointerOf(object: number): number {
  return object & POINTER_MASK;
}

/** What an fd may be used for; FD_FLAG.READ | WRITE by default. */
export const FD_RDWR: number = FD_FLAG.READ | FD_FLAG.WRITE;

export class FdTable {
  /** Watches the handles of this thread's fds, and others. */
  readonly handles: Handles;
  readonly #k: Kernel;
  readonly #base: number;
  readonly #count: number;

  constructor(kernel: Kernel, actor: number = kernel.self) {
    this.#k = kernel;
    this.handles = new Handles(kernel, this);
    this.#count = kernel.words.get(HEADER.FD_COUNT);
    this.#base = kernel.words.get(HEADER.FDS) + actor * this.#count * FD_WORDS;
  }

  /** Installs an object whose reference the caller has taken. EMFILE leaves that to the caller. */
  install(object: number, flags: number, syscall: string): number {
    const { words } = this.#k;
    for (let fd = 0; fd < this.#count; fd++) {
      const entry = this.#base + fd * FD_WORDS;
      if (words.get(entry) !== 0) continue;
      words.set(entry + 1, flags);
      words.store(entry, object);
      return fd;
    }
    throw new DmaBufError(
      'EMFILE',
      syscall,
      `all ${this.#count} fds of this process are open; close some, or boot with a larger tables.fds`,
    );
  }

  /** Pointer of the object that an fd names. EBADF: not open; EINVAL: of another kind. */
  get(fd: number, kind: number, syscall: string): number {
    const object = this.#object(fd, syscall);
    if (kindOf(object) === kind) return pointerOf(object);
    throw new DmaBufError(
      'EINVAL',
      syscall,
      `fd ${fd} is ${KIND_NAME[kindOf(object)]}, not ${KIND_NAME[kind]}`,
    );
  }

  /** Whether an fd is open and names this very object word. */
  names(fd: number, object: number): boolean {
    return this.#k.words.get(this.#base + fd * FD_WORDS) === object;
  }

  /** The whole object word and flags of an open fd. EBADF. */
  entry(fd: number, syscall: string): { object: number; flags: number } {
    const object = this.#object(fd, syscall);
    return { object, flags: this.#k.words.get(this.#base + fd * FD_WORDS + 1) };
  }

  /** Clears an entry and returns its object, whose reference the caller now drops. EBADF. */
  remove(fd: number, syscall: string): number {
    const object = this.#object(fd, syscall);
    this.#k.words.store(this.#base + fd * FD_WORDS, 0);
    return object;
  }

  /** All open fds with their objects. */
  *open(): Generator<{ fd: number; object: number }> {
    for (let fd = 0; fd < this.#count; fd++) {
      const object = this.#k.words.load(this.#base + fd * FD_WORDS);
      if (object !== OBJECT.NONE) yield { fd, object };
    }
  }

  #object(fd: number, syscall: string): number {
    if (!Number.isInteger(fd)) throw new TypeError(`${syscall}: fd must be an integer, not ${fd}`);
    const inside = fd >= 0 && fd < this.#count;
    const object = inside ? this.#k.words.load(this.#base + fd * FD_WORDS) : 0;
    if (object !== 0) return object;
    throw new DmaBufError('EBADF', syscall, `fd ${fd} is not open in this process`);
  }
}
