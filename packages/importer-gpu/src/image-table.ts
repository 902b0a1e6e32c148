/**
 * The image table in the GPU's shared words: what an image id means, for every thread and for the
 * device. Each thread has its own ImageTable over the same words.
 *
 * A record lives while REFS is not 0: a handle holds one of its bits, a job in flight one count for
 * each image that it names. So an image may be closed while jobs that use it are still queued. Whoever
 * takes the last reference frees the record; ids carry a generation, so a stale one is ENOENT.
 *
 * A handle is a *slot* of its image: first the slot is taken (OWNERS, from 0 to the actor), then its bit is
 * set in REFS; given back in the opposite order. So of a process that died between any two stores one can
 * see what it had: a bit under its slot, or nothing. Who leaves REFS at 0 frees the record by a CAS of
 * STATE; the recoverer does it for whoever died before that.
 */
import { DmaBufError } from '@dmabuf/core';
import type { DriverDoor } from '@dmabuf/core/driver';
import type { FourCC, PlaneLayout } from './fourcc.js';
import type { ColorSpec } from './kernels/color.js';
import { GPU, HANDLES, IMAGE, IMAGE_BITS, imagesIn, JOB_REFS } from './layout.js';

/** The colour spaces that COLOR indexes. */
const COLORS: readonly ColorSpec[] = [
  { encoding: 'bt709', range: 'limited' },
  { encoding: 'bt709', range: 'full' },
  { encoding: 'bt601', range: 'limited' },
  { encoding: 'bt601', range: 'full' },
];
const MAX_PLANES = 3;

/** What an image is. */
export interface ImageInfo {
  /** Pointer and inode number of its buffer. */
  readonly buffer: number;
  readonly ino: number;
  /** Geometry comes from the buffer's metadata; the fields below then say how large at most. */
  readonly frame: boolean;
  readonly fourcc: FourCC;
  readonly width: number;
  readonly height: number;
  readonly planes: readonly PlaneLayout[];
  readonly color: ColorSpec;
}

/** The index of a colour space; TypeError for a name that is none. */
export function colorIndex(color: ColorSpec): number {
  const { encoding, range } = color;
  const found = COLORS.findIndex((c) => c.encoding === encoding && c.range === range);
  if (found >= 0) return found;
  throw new TypeError(
    `color must be {encoding: 'bt601' | 'bt709', range: 'limited' | 'full'}, got ` +
      `{encoding: ${String(encoding)}, range: ${String(range)}}`,
  );
}

/** One process's hold on an image. */
export interface ImageHandle {
  readonly id: number;
  /** Which of the image's handles it is. */
  readonly slot: number;
}

/** The part of an id that says where the record is. */
const INDEX = (1 << IMAGE_BITS) - 1;

/** What the table needs of a thread's door. */
export type TableDoor = Pick<
  DriverDoor,
  'spec' | 'base' | 'words' | 'locks' | 'self' | 'freeLockOf'
>;

export class ImageTable {
  readonly #door: TableDoor;
  readonly #count: number;

  constructor(door: TableDoor) {
    this.#door = door;
    this.#count = imagesIn(door.spec.words ?? 0);
  }

  /** Adds an image with one handle, which the caller owns. ENOSPC when full. */
  add(info: ImageInfo): ImageHandle {
    const color = colorIndex(info.color);
    const { words, locks, base } = this.#door;
    locks.lock(base + GPU.LOCK);
    const index = this.#findFree();
    const at = this.#at(index);
    const slot = index < 0 ? -1 : this.#takeSlot(at);
    if (slot < 0) {
      locks.unlock(base + GPU.LOCK);
      throw new DmaBufError(
        'ENOSPC',
        'import_image',
        `all ${this.#count} images of the GPU are in use; close some, or boot with gpu({ images: n })`,
      );
    }
    const gen = (words.get(at + IMAGE.GEN) + 1) & 0x7ffff || 1;
    words.set(at + IMAGE.GEN, gen);
    words.set(at + IMAGE.BUFFER, info.buffer);
    words.set(at + IMAGE.INO, info.ino);
    words.set(at + IMAGE.FRAME, info.frame ? 1 : 0);
    words.set(at + IMAGE.FOURCC, info.fourcc);
    words.set(at + IMAGE.WIDTH, info.width);
    words.set(at + IMAGE.HEIGHT, info.height);
    words.set(at + IMAGE.COLOR, color);
    for (let i = 0; i < MAX_PLANES; i++) {
      words.set(at + IMAGE.PITCHES + i, info.planes[i]?.pitch ?? 0);
      words.set(at + IMAGE.OFFSETS + i, info.planes[i]?.offset ?? 0);
    }
    words.store(at + IMAGE.REFS, bitOf(slot));
    words.store(at + IMAGE.STATE, gen);
    locks.unlock(base + GPU.LOCK);
    return { id: (gen << IMAGE_BITS) | index, slot };
  }

  /** Another handle of a live image, which the caller owns. ENOENT: it is gone; ENFILE: it has as many as it can. */
  open(id: number): ImageHandle {
    const at = this.#find(id);
    const slot = this.#takeSlot(at);
    if (slot < 0) {
      const detail = `image ${id} has ${HANDLES} handles, which is all that it can have; close some`;
      throw new DmaBufError('ENFILE', 'import_image', detail);
    }
    if (this.#raise(at, (refs) => refs | bitOf(slot)) && this.has(id)) return { id, slot };
    this.#giveBack(at, slot); // recycled since the look: the bit, if it was set, is another image's
    throw gone(id);
  }

  /** Gives a handle back. True if it was the last reference. */
  close({ id, slot }: ImageHandle): boolean {
    return this.has(id) && this.#giveBack(this.#at(id & INDEX), slot);
  }

  /** Takes a reference for a job. ENOENT when the image is gone; ENOSPC: 65,535 jobs have one. */
  ref(id: number): void {
    const at = this.#find(id);
    if ((this.#door.words.load(at + IMAGE.REFS) & JOB_REFS) === JOB_REFS) {
      throw new DmaBufError('ENOSPC', 'submit', `${JOB_REFS} jobs in flight use image ${id}`);
    }
    const raised = this.#raise(at, (refs) => refs + 1);
    if (raised && this.has(id)) return;
    if (raised) this.#drop(at, (refs) => refs - 1); // as in open
    throw gone(id);
  }

  /** Drops a job's reference; the last one frees the record. True if it did; false for a stale id. */
  unref(id: number): boolean {
    return this.has(id) && this.#drop(this.#at(id & INDEX), (refs) => refs - 1);
  }

  /** Gives back the handles of a dead process, and frees what it was about to free. By its recoverer. */
  died(dead: number): void {
    const { base, words } = this.#door;
    for (let index = 0; index < this.#count; index++) {
      const at = this.#at(index);
      for (let slot = 0; slot < HANDLES; slot++) {
        if (words.load(at + IMAGE.OWNERS + slot) === dead) this.#giveBack(at, slot);
      }
      const gen = words.load(at + IMAGE.STATE);
      if (gen !== 0 && words.load(at + IMAGE.REFS) === 0) this.#free(at, gen);
    }
    this.#door.freeLockOf(dead, base + GPU.LOCK); // a record is there when its STATE is
  }

  /** What a live image is. ENOENT when it is gone. */
  info(id: number): ImageInfo {
    const { words } = this.#door;
    const at = this.#find(id);
    const planes: PlaneLayout[] = [];
    for (let i = 0; i < MAX_PLANES && words.get(at + IMAGE.PITCHES + i) > 0; i++) {
      const offset = words.get(at + IMAGE.OFFSETS + i) >>> 0;
      planes.push({ offset, pitch: words.get(at + IMAGE.PITCHES + i) });
    }
    const color = COLORS[words.get(at + IMAGE.COLOR)];
    if (color === undefined) throw gone(id);
    return {
      buffer: words.get(at + IMAGE.BUFFER),
      ino: words.get(at + IMAGE.INO),
      frame: words.get(at + IMAGE.FRAME) === 1,
      fourcc: words.get(at + IMAGE.FOURCC) >>> 0,
      width: words.get(at + IMAGE.WIDTH),
      height: words.get(at + IMAGE.HEIGHT),
      planes,
      color,
    };
  }

  /** Whether an id names a live image. */
  has(id: number): boolean {
    const index = id & INDEX;
    if (id <= 0 || index >= this.#count) return false;
    return this.#door.words.load(this.#at(index) + IMAGE.STATE) === id >>> IMAGE_BITS;
  }

  /** Live images. */
  get live(): number {
    let live = 0;
    for (let index = 0; index < this.#count; index++) {
      if (this.#door.words.load(this.#at(index) + IMAGE.STATE) !== 0) live++;
    }
    return live;
  }

  #at(index: number): number {
    return this.#door.base + GPU.IMAGES + index * IMAGE.WORDS;
  }

  #find(id: number): number {
    if (!this.has(id)) throw gone(id);
    return this.#at(id & INDEX);
  }

  #findFree(): number {
    for (let index = 0; index < this.#count; index++) {
      if (this.#door.words.load(this.#at(index) + IMAGE.STATE) === 0) return index;
    }
    return -1;
  }

  /** The first free slot of a record, now this thread's; −1: none. */
  #takeSlot(at: number): number {
    const { words, self } = this.#door;
    for (let slot = 0; slot < HANDLES; slot++) {
      if (words.cas(at + IMAGE.OWNERS + slot, 0, self)) return slot;
    }
    return -1;
  }

  #giveBack(at: number, slot: number): boolean {
    const { words } = this.#door;
    const last = this.#drop(at, (refs) => refs & ~bitOf(slot));
    words.store(at + IMAGE.OWNERS + slot, 0);
    return last;
  }

  /** Adds a reference to what is not dying; false if it is. */
  #raise(at: number, next: (refs: number) => number): boolean {
    const { words } = this.#door;
    for (let refs = words.load(at + IMAGE.REFS); refs > 0; refs = words.load(at + IMAGE.REFS)) {
      if (words.cas(at + IMAGE.REFS, refs, next(refs))) return true;
    }
    return false;
  }

  /** Takes a reference away. True if it was the last one, and the record is free now. */
  #drop(at: number, next: (refs: number) => number): boolean {
    const { words } = this.#door;
    const gen = words.load(at + IMAGE.STATE); // before the drop: the record cannot be recycled until then
    for (;;) {
      const refs = words.load(at + IMAGE.REFS);
      const rest = next(refs);
      if (rest === refs) return false;
      if (!words.cas(at + IMAGE.REFS, refs, rest)) continue;
      return rest === 0 && this.#free(at, gen);
    }
  }

  #free(at: number, gen: number): boolean {
    const { words, base } = this.#door;
    if (gen === 0 || !words.cas(at + IMAGE.STATE, gen, 0)) return false;
    words.add(base + GPU.FREED, 1);
    return true;
  }
}

function bitOf(slot: number): number {
  return 0x10000 << slot;
}

function gone(id: number): DmaBufError {
  return new DmaBufError('ENOENT', 'image', `no image ${id}; it may have been closed`);
}
