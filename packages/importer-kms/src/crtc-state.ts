/**
 * What a CRTC must know again after its worker has died: mode, vblank timeline, epoch of present times.
 *
 * Written by the CRTC worker alone. A death may fall between any two stores, so a state is written as a
 * whole into the one of two records that is not in force, and one store of TIMING_SLOT puts it in force:
 * the next life reads the old state or the new one, never a mix. The count of vblanks is no part of it
 * (it changes at every one): of it 32 bits are kept in SEQUENCE, and the timeline tells the rest.
 * Framebuffer on screen, commands taken back and starts not yet made are words of their own.
 */
import type { Words } from '@dmabuf/core/driver';
import { REG, TIMING } from './registers.js';

export interface CrtcTiming {
  readonly hdisplay: number;
  readonly vdisplay: number;
  /** mHz. */
  readonly vrefresh: number;
  /** Whether something is scanned out. */
  readonly active: boolean;
  /** Whether the refresh rate varies, as VRR_ENABLED says. */
  readonly vrr: boolean;
  /** ms: when vblank `base` was, while vblanks run. */
  readonly epoch: number;
  /** While vblanks run: the vblank that `epoch` is the time of; else the newest there was. */
  readonly base: number;
  /** ms that present times count from; undefined until a sequence has begun. */
  readonly presentEpoch: number | undefined;
}

/** Bits of TIMING.ACTIVE. */
const ACTIVE = 1;
const VRR = 2;

export class CrtcState {
  readonly #words: Words;
  readonly #base: number;

  /** Over the registers at `base`. */
  constructor(words: Words, base: number) {
    this.#words = words;
    this.#base = base;
  }

  /** The state in force; undefined before the first {@link save}, in a CRTC's first life. */
  load(): CrtcTiming | undefined {
    const slot = this.#words.load(this.#base + REG.TIMING_SLOT);
    if (slot === 0) return undefined;
    const at = this.#at(slot);
    const words = this.#words;
    const present = words.getDouble(at + TIMING.PRESENT_EPOCH);
    return {
      hdisplay: words.get(at + TIMING.HDISPLAY),
      vdisplay: words.get(at + TIMING.VDISPLAY),
      vrefresh: words.get(at + TIMING.VREFRESH),
      active: (words.get(at + TIMING.ACTIVE) & ACTIVE) !== 0,
      vrr: (words.get(at + TIMING.ACTIVE) & VRR) !== 0,
      epoch: words.getDouble(at + TIMING.EPOCH),
      base: words.getDouble(at + TIMING.BASE),
      presentEpoch: Number.isNaN(present) ? undefined : present,
    };
  }

  /** Puts a state in force. */
  save(timing: CrtcTiming): void {
    const words = this.#words;
    const slot = words.load(this.#base + REG.TIMING_SLOT) === 1 ? 2 : 1;
    const at = this.#at(slot);
    words.set(at + TIMING.HDISPLAY, timing.hdisplay);
    words.set(at + TIMING.VDISPLAY, timing.vdisplay);
    words.set(at + TIMING.VREFRESH, timing.vrefresh);
    words.set(at + TIMING.ACTIVE, (timing.active ? ACTIVE : 0) | (timing.vrr ? VRR : 0));
    words.setDouble(at + TIMING.EPOCH, timing.epoch);
    words.setDouble(at + TIMING.BASE, timing.base);
    words.setDouble(at + TIMING.PRESENT_EPOCH, timing.presentEpoch ?? Number.NaN);
    words.store(this.#base + REG.TIMING_SLOT, slot);
  }

  #at(slot: number): number {
    return this.#base + REG.TIMING + (slot - 1) * TIMING.WORDS;
  }
}
