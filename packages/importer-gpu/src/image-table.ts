/**
 * The image table in the GPU's shared words: what an image id means, for every thread and for the
 * device. Each thread has its own ImageTable over the same words.
 *
 * A record lives while REFS is above 0: a handle holds one reference, a job in flight one for each
 * image that it names. So an image may be closed while jobs that use it are still queued. Whoever
 * takes the last reference frees the record; ids carry a generation, so a stale one is ENOENT.
 */
import { DmaBufError } from '@dmabuf/core';
import type { DriverDoor } from '@dmabuf/core/driver';
import type { FourCC, PlaneLayout } from './fourcc.js';
import type { ColorSpec } from './kernels/color.js';
import { GPU, IMAGE, IMAGE_BITS, imagesIn } from './layout.js';

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

export class ImageTable {
  readonly #door: DriverDoor;
  readonly #count: number;

  constructor(door: DriverDoor) {
    this.#door = door;
    this.#count = imagesIn(door.spec.words ?? 0);
  }

  /** Adds an image with one reference, which the caller owns; returns its id. ENOSPC when full. */
  add(info: ImageInfo): number {
    const color = colorIndex(info.color);
    const { words, locks, base } = this.#door;
    locks.lock(base + GPU.LOCK);
    const index = this.#findFree();
    if (index < 0) {
      locks.unlock(base + GPU.LOCK);
      throw new DmaBufError(
        'ENOSPC',
        'import_image',
        `all ${this.#count} images of the GPU are in use; close some, or boot with gpu({ images: n })`,
      );
    }
    const at = this.#at(index);
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
    words.set(at + IMAGE.OWNER, this.#door.self);
    words.store(at + IMAGE.REFS, 1);
    words.store(at + IMAGE.STATE, gen);
    locks.unlock(base + GPU.LOCK);
    words.add(base + GPU.LIVE, 1);
    return (gen << IMAGE_BITS) | index;
  }

  /** Takes a reference. ENOENT when the image is gone. */
  ref(id: number): void {
    const { words } = this.#door;
    const at = this.#find(id);
    for (let refs = words.load(at + IMAGE.REFS); refs > 0; refs = words.load(at + IMAGE.REFS)) {
      if (!words.cas(at + IMAGE.REFS, refs, refs + 1)) continue;
      if (words.load(at + IMAGE.STATE) === id >>> IMAGE_BITS) return;
      // The record was recycled between the look and the reference, which is another image's.
      this.#drop(at);
      break;
    }
    throw gone(id);
  }

  /** Drops a reference; the last one frees the record. True if it did; false for a stale id. */
  unref(id: number): boolean {
    return this.has(id) && this.#drop(this.#at(id & ((1 << IMAGE_BITS) - 1)));
  }

  /** {@link unref} of a handle: that of the process that made the image is not its recoverer's any more. */
  close(id: number): boolean {
    if (this.has(id)) this.#disown(this.#at(id & ((1 << IMAGE_BITS) - 1)), this.#door.self);
    return this.unref(id);
  }

  /** Drops the references of the handles by which a dead process had made images. By its recoverer. */
  died(dead: number): void {
    const { base } = this.#door;
    for (let index = 0; index < this.#count; index++) {
      const at = this.#at(index);
      if (this.#door.words.load(at + IMAGE.STATE) !== 0 && this.#disown(at, dead)) this.#drop(at);
    }
    this.#door.freeLockOf(dead, base + GPU.LOCK); // a record is there when its STATE is
  }

  #disown(at: number, owner: number): boolean {
    return this.#door.words.cas(at + IMAGE.OWNER, owner, 0);
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
    const index = id & ((1 << IMAGE_BITS) - 1);
    if (id <= 0 || index >= this.#count) return false;
    return this.#door.words.load(this.#at(index) + IMAGE.STATE) === id >>> IMAGE_BITS;
  }

  #at(index: number): number {
    return this.#door.base + GPU.IMAGES + index * IMAGE.WORDS;
  }

  #find(id: number): number {
    if (!this.has(id)) throw gone(id);
    return this.#at(id & ((1 << IMAGE_BITS) - 1));
  }

  #findFree(): number {
    for (let index = 0; index < this.#count; index++) {
      if (this.#door.words.load(this.#at(index) + IMAGE.STATE) === 0) return index;
    }
    return -1;
  }

  #drop(at: number): boolean {
    const { words, base } = this.#door;
    if (words.add(at + IMAGE.REFS, -1) !== 1) return false;
    words.store(at + IMAGE.STATE, 0);
    words.add(base + GPU.LIVE, -1);
    words.add(base + GPU.FREED, 1);
    return true;
  }
}

function gone(id: number): DmaBufError {
  return new DmaBufError('ENOENT', 'image', `no image ${id}; it may have been closed`);
}
