/**
 * Mode blobs (`drm_property_blob` of a `drm_mode_modeinfo`): what the MODE_ID property names.
 *
 * A small table in kernel memory; under FLIP_LOCK. A blob outlives the process that made it, until it is
 * destroyed. An id is never given twice: it holds the generation of its slot. A CRTC whose MODE_ID was
 * destroyed keeps its mode.
 */
import { DmaBufError } from '@dmabuf/core';
import type { Words } from '@dmabuf/core/driver';
import { type DisplayMode, makeMode, sameMode } from './mode.js';
import { BLOB, MODE_BLOBS, REG } from './registers.js';

/** The slot of the mode that was set last without a blob. */
const OWN = 0;
/** Blob ids are above all other ids of objects; the low byte is 0, as in all but framebuffers' ids. */
const FIRST_ID = 0x8000;

export class ModeBlobs {
  readonly #words: Words;
  readonly #base: number;

  /** Over the registers at `base`. */
  constructor(words: Words, base: number) {
    this.#words = words;
    this.#base = base + REG.BLOBS;
  }

  /** CREATEPROPBLOB. ENOSPC when the table is full. */
  create(mode: DisplayMode): number {
    for (let slot = OWN + 1; slot < MODE_BLOBS; slot++) {
      const at = this.#base + slot * BLOB.WORDS;
      if (this.#words.load(at + BLOB.STATE) === 0) return this.#write(slot, mode);
    }
    const detail = `all ${MODE_BLOBS} mode blobs exist; destroy one that is no longer used`;
    throw new DmaBufError('ENOSPC', 'create_blob', detail);
  }

  /** The blob of a mode that is set without one (SETCRTC): the display's own, of which there is one at a time. */
  own(mode: DisplayMode): number {
    const id = this.#words.load(this.#base + OWN * BLOB.WORDS + BLOB.STATE);
    const old = this.find(id);
    if (old !== undefined && sameMode(old, mode)) return id;
    if (old !== undefined) this.#free(id);
    return this.#write(OWN, mode);
  }

  /** A blob's mode; undefined for an id that is none, or was destroyed. */
  find(id: number): DisplayMode | undefined {
    const at = this.#at(id);
    if (at === 0) return undefined;
    const get = (field: number): number => this.#words.get(at + field);
    return makeMode(get(BLOB.HDISPLAY), get(BLOB.VDISPLAY), get(BLOB.VREFRESH));
  }

  /** DESTROYPROPBLOB. ENOENT; EPERM: the display's own. */
  destroy(id: number): void {
    const at = this.#at(id);
    if (at === 0) throw new DmaBufError('ENOENT', 'destroy_blob', `no mode blob ${id}`);
    if (at !== this.#base + OWN * BLOB.WORDS) this.#free(id);
    else throw new DmaBufError('EPERM', 'destroy_blob', `blob ${id} is the display's own`);
  }

  #write(slot: number, mode: DisplayMode): number {
    const words = this.#words;
    const at = this.#base + slot * BLOB.WORDS;
    const id = (FIRST_ID + words.get(at + BLOB.GEN) * MODE_BLOBS + slot) << 8;
    words.set(at + BLOB.HDISPLAY, mode.hdisplay);
    words.set(at + BLOB.VDISPLAY, mode.vdisplay);
    words.set(at + BLOB.VREFRESH, mode.vrefresh);
    words.store(at + BLOB.STATE, id);
    return id;
  }

  #free(id: number): void {
    const at = this.#at(id);
    this.#words.set(at + BLOB.GEN, (this.#words.get(at + BLOB.GEN) + 1) & 0x3ffff);
    this.#words.store(at + BLOB.STATE, 0);
  }

  #at(id: number): number {
    if (!Number.isInteger(id) || id <= 0 || (id & 0xff) !== 0) return 0;
    const slot = (id >>> 8) & (MODE_BLOBS - 1);
    const at = this.#base + slot * BLOB.WORDS;
    return this.#words.load(at + BLOB.STATE) === id ? at : 0;
  }
}
