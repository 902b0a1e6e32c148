/**
 * The fd table of one process: small integers, lowest free first (fs/file.c; design D5).
 *
 * Only the process's own thread writes it, or its recoverer; the broker reads it (to see whether an import
 * is rightful). An entry is published by storing its object word last, and the reference that it stands for
 * changes with it, under BUFFER_LOCK (see References). Behind the numbers stand parked entries: fds that
 * have arrived in the mailbox and that nobody has received yet.
 */
import { DmaBufError } from '../errno.js';
import type { Kernel } from '../kernel.js';
import { FD_FLAG, FD_WORDS, HEADER, OBJECT } from '../memory/layout.js';
import { Handles } from './handles.js';
import { kindOf, pointerOf } from './object-word.js';
import type { References } from './references.js';

export { kindOf, objectWord, pointerOf } from './object-word.js';

const KIND_NAME = ['nothing', 'a dma-buf', 'a sync file', 'a timeline'] as const;

/** What an fd may be used for; FD_FLAG.READ | WRITE by default. */
export const FD_RDWR: number = FD_FLAG.READ | FD_FLAG.WRITE;

function baseOf(kernel: Kernel, actor: number): number {
  const { words } = kernel;
  const entries = words.get(HEADER.FD_COUNT) + words.get(HEADER.FD_PARKED);
  return words.get(HEADER.FDS) + actor * entries * FD_WORDS;
}

/** The open fds of any process with their objects, for those who only look. */
export function* openFds(
  kernel: Kernel,
  actor: number,
): Generator<{ readonly fd: number; readonly object: number }> {
  const base = baseOf(kernel, actor);
  const count = kernel.words.get(HEADER.FD_COUNT);
  for (let fd = 0; fd < count; fd++) {
    const object = kernel.words.load(base + fd * FD_WORDS);
    if (object !== OBJECT.NONE) yield { fd, object };
  }
}

export class FdTable {
  /** Watches the handles of this thread's fds, and others. */
  readonly handles: Handles;
  readonly #k: Kernel;
  readonly #references: References;
  readonly #actor: number;
  readonly #base: number;
  readonly #count: number;
  /** Entries, the parked ones included. */
  readonly #all: number;

  constructor(kernel: Kernel, references: References, actor: number = kernel.self) {
    this.#k = kernel;
    this.#references = references;
    this.#actor = actor;
    this.handles = new Handles(kernel, this);
    this.#count = kernel.words.get(HEADER.FD_COUNT);
    this.#all = this.#count + kernel.words.get(HEADER.FD_PARKED);
    this.#base = baseOf(kernel, actor);
  }

  /** Installs an object: one more reference on it. EMFILE. */
  install(object: number, flags: number, syscall: string): number {
    return this.#references.locked(() => {
      const fd = this.#free(0, this.#count);
      if (fd < 0) throw this.#full(syscall);
      this.#put(fd, object, flags);
      this.#references.add(object);
      return fd;
    });
  }

  /**
   * Takes over the reference of a message that has arrived; `taken` is called with the lock held, when it is
   * here. The parked entry's number, or −1: no room.
   */
  park(object: number, flags: number, taken: () => void): number {
    return this.#references.locked(() => {
      const parked = this.#free(this.#count, this.#all);
      if (parked < 0) return parked;
      this.#put(parked, object, flags);
      taken();
      return parked;
    });
  }

  /** Gives what is parked an fd. EMFILE: it stays parked. */
  unpark(parked: number, syscall: string): number {
    const { words } = this.#k;
    return this.#references.locked(() => {
      const fd = this.#free(0, this.#count);
      if (fd < 0) throw this.#full(syscall);
      const entry = this.#entry(parked);
      this.#put(fd, words.get(entry), words.get(entry + 1));
      words.store(entry, 0);
      return fd;
    });
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
    return this.#k.words.get(this.#entry(fd)) === object;
  }

  /** The whole object word and flags of an open fd. EBADF. */
  entry(fd: number, syscall: string): { object: number; flags: number } {
    const object = this.#object(fd, syscall);
    return { object, flags: this.#k.words.get(this.#entry(fd) + 1) };
  }

  /** FD_FLAG.* of an fd that is known to be open. */
  flagsOf(fd: number): number {
    return this.#k.words.get(this.#entry(fd) + 1);
  }

  /** Clears an entry and drops its reference. EBADF. */
  remove(fd: number, syscall: string): void {
    this.#drop(fd, this.#object(fd, syscall));
  }

  /** Drops the reference of a parked entry that nobody will receive. */
  removeParked(parked: number): void {
    this.#drop(parked, this.#object(parked, 'receive_fd', this.#all));
  }

  #drop(fd: number, object: number): void {
    const last = this.#references.locked(() => {
      this.#k.words.store(this.#entry(fd), 0);
      return this.#references.drop(object);
    });
    if (last) this.#references.onLast(object);
  }

  /** All open fds with their objects. */
  *open(): Generator<{ fd: number; object: number }> {
    yield* openFds(this.#k, this.#actor);
  }

  /** Clears all entries, parked ones too: for a process that leaves or has died. */
  removeAll(): void {
    for (let fd = 0; fd < this.#all; fd++) {
      const object = this.#k.words.load(this.#entry(fd));
      if (object !== OBJECT.NONE) this.#drop(fd, object);
    }
  }

  #free(from: number, end: number): number {
    for (let fd = from; fd < end; fd++) if (this.#k.words.get(this.#entry(fd)) === 0) return fd;
    return -1;
  }

  #put(fd: number, object: number, flags: number): void {
    const entry = this.#entry(fd);
    this.#k.words.set(entry + 1, flags);
    this.#k.words.store(entry, object);
  }

  #entry(fd: number): number {
    return this.#base + fd * FD_WORDS;
  }

  #full(syscall: string): DmaBufError {
    return new DmaBufError(
      'EMFILE',
      syscall,
      `all ${this.#count} fds of this process are open; close some, or boot with a larger tables.fds`,
    );
  }

  #object(fd: number, syscall: string, end: number = this.#count): number {
    if (!Number.isInteger(fd)) throw new TypeError(`${syscall}: fd must be an integer, not ${fd}`);
    const inside = fd >= 0 && fd < end;
    const object = inside ? this.#k.words.load(this.#entry(fd)) : 0;
    if (object !== 0) return object;
    throw new DmaBufError('EBADF', syscall, `fd ${fd} is not open in this process`);
  }
}
