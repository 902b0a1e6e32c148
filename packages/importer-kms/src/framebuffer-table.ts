/**
 * The table of framebuffers (DRM's mode objects): id → geometry, in kernel memory, so that every
 * thread and both devices see the same ones.
 *
 * Whoever adds one owns it until removal; the CRTC worker frees the record, in the order of the
 * flips. Those of a dead owner the reaper marks, and the CRTC worker removes. An id is never given twice: it holds the generation of its slot, so a stale one is `ENOENT`.
 */
import { DmaBufError } from '@dmabuf/core';
import type { Words } from '@dmabuf/core/driver';
import { FB, REG } from './registers.js';

/** Framebuffers that one table can hold: eight bits of an id name the slot. */
export const MAX_FRAMEBUFFERS = 255;

/** OWNER of a framebuffer whose owner has died. */
const ORPHAN = -1;

/** What the display knows of a framebuffer. Pixels and bytes. */
export interface FramebufferInfo {
  readonly id: number;
  /** Inode number of its buffer. */
  readonly ino: number;
  /** Pointer of its buffer's record. */
  readonly pointer: number;
  readonly width: number;
  readonly height: number;
  readonly fourcc: number;
  /** One entry per plane of the format, as are `offsets`. */
  readonly pitches: readonly number[];
  readonly offsets: readonly number[];
}

/** The part of core's owner locks that the table needs. */
export interface TableLocks {
  lock(index: number): void;
  unlock(index: number): void;
}

export class FramebufferTable {
  readonly #words: Words;
  readonly #base: number;
  readonly #count: number;
  readonly #locks: TableLocks;

  /** Over the registers at `base`, with room for `count` framebuffers. */
  constructor(words: Words, base: number, count: number, locks: TableLocks) {
    this.#words = words;
    this.#base = base;
    this.#count = count;
    this.#locks = locks;
  }

  /** Adds one of an actor's and returns its id. ENOSPC when the table is full. */
  add(info: Omit<FramebufferInfo, 'id'>, owner: number = 0): number {
    const words = this.#words;
    const lock = this.#base + REG.FB_LOCK;
    this.#locks.lock(lock);
    try {
      for (let slot = 0; slot < this.#count; slot++) {
        const at = this.#at(slot);
        if (words.load(at + FB.STATE) !== 0) continue;
        const id = words.get(at + FB.GEN) * 256 + slot + 1;
        this.#write(at, info);
        words.set(at + FB.OWNER, owner);
        words.store(at + FB.STATE, id);
        return id;
      }
    } finally {
      this.#locks.unlock(lock);
    }
    const detail = `all ${this.#count} framebuffers of the display are taken; remove one, or boot with kms({ framebuffers: … })`;
    throw new DmaBufError('ENOSPC', 'addfb2', detail);
  }

  /** What is known of a live one; undefined for an id that is stale or was never given. */
  find(id: number): FramebufferInfo | undefined {
    const words = this.#words;
    const at = this.#pointer(id);
    if (at === 0) return undefined;
    const get = (field: number): number => words.get(at + field);
    const info = {
      id,
      ino: get(FB.INO),
      pointer: get(FB.POINTER),
      width: get(FB.WIDTH),
      height: get(FB.HEIGHT),
      fourcc: get(FB.FOURCC),
      pitches: [get(FB.PITCHES), get(FB.PITCHES + 1), get(FB.PITCHES + 2)].filter((n) => n > 0),
      offsets: [get(FB.OFFSETS), get(FB.OFFSETS + 1), get(FB.OFFSETS + 2)],
    };
    info.offsets.length = info.pitches.length;
    return words.load(at + FB.STATE) === id ? info : undefined;
  }

  /** {@link find}, or ENOENT. */
  get(id: number, syscall: string): FramebufferInfo {
    const info = this.find(id);
    if (info !== undefined) return info;
    const detail = `no framebuffer ${id}; it was removed, or never added to this display`;
    throw new DmaBufError('ENOENT', syscall, detail);
  }

  /** Frees one; false if there is none of that id. By the CRTC worker. */
  remove(id: number): boolean {
    const words = this.#words;
    const lock = this.#base + REG.FB_LOCK;
    this.#locks.lock(lock);
    const at = this.#pointer(id);
    if (at !== 0) {
      // Kept below 2^22, so that ids stay positive 32-bit integers.
      words.set(at + FB.GEN, (words.get(at + FB.GEN) + 1) & 0x3fffff);
      words.store(at + FB.STATE, 0);
    }
    this.#locks.unlock(lock);
    return at !== 0;
  }

  /** Marks all of a dead actor's; whether there are any. By the reaper. */
  disown(dead: number): boolean {
    const words = this.#words;
    let found = false;
    for (let slot = 0; slot < this.#count; slot++) {
      const at = this.#at(slot);
      if (words.load(at + FB.STATE) === 0 || words.get(at + FB.OWNER) !== dead) continue;
      words.store(at + FB.OWNER, ORPHAN);
      found = true;
    }
    return found;
  }

  /** Ids of those whose owners have died. */
  orphans(): number[] {
    const words = this.#words;
    const ids: number[] = [];
    for (let slot = 0; slot < this.#count; slot++) {
      const at = this.#at(slot);
      const id = words.load(at + FB.STATE);
      if (id !== 0 && words.load(at + FB.OWNER) === ORPHAN) ids.push(id);
    }
    return ids;
  }

  #write(at: number, info: Omit<FramebufferInfo, 'id'>): void {
    const words = this.#words;
    words.set(at + FB.INO, info.ino);
    words.set(at + FB.POINTER, info.pointer);
    words.set(at + FB.WIDTH, info.width);
    words.set(at + FB.HEIGHT, info.height);
    words.set(at + FB.FOURCC, info.fourcc);
    for (let plane = 0; plane < 3; plane++) {
      words.set(at + FB.PITCHES + plane, info.pitches[plane] ?? 0);
      words.set(at + FB.OFFSETS + plane, info.offsets[plane] ?? 0);
    }
  }

  /** Pointer of a live record, or 0. */
  #pointer(id: number): number {
    const slot = (id & 0xff) - 1;
    if (!Number.isInteger(id) || id < 1 || slot < 0 || slot >= this.#count) return 0;
    const at = this.#at(slot);
    return this.#words.load(at + FB.STATE) === id ? at : 0;
  }

  #at(slot: number): number {
    return this.#base + REG.FRAMEBUFFERS + slot * FB.WORDS;
  }
}
