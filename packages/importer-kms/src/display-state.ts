/**
 * State of the display in kernel memory: what has been committed, and what is shown.
 *
 * *Committed* is what the commits, flips and modesets that have been queued so far lead to; checks and
 * property reads go by it, as by `drm_atomic_state`. Whoever submits writes it, under FLIP_LOCK, as one
 * store after its jobs are in the line. *Shown* is what the CRTC worker has on screen. They differ while
 * commits are queued, and where a render failed: then its plane goes on showing what it showed.
 */
import type { Words } from '@dmabuf/core/driver';
import { ConnectorRecords } from './connector.js';
import { ModeBlobs } from './mode-blobs.js';
import type { DisplayMode } from './mode.js';
import { planeOff, type PlaneState, type PlaneUpdate } from './plane-state.js';
import { PlaneTable } from './plane-table.js';
import { CRTC, MAX_PLANES, REG } from './registers.js';

/** CRTC and connector. */
export interface CommittedCrtc {
  readonly active: boolean;
  /** What MODE_ID is; 0: the CRTC is not enabled. */
  readonly blob: number;
  /** Pixels, and mHz. */
  readonly hdisplay: number;
  readonly vdisplay: number;
  readonly vrefresh: number;
  /** Whether the connector is fed by the CRTC. */
  readonly connected: boolean;
  /** Whether link-status is BAD: set by the hardware's side (ConnectorPort.failLink), cleared by a modeset. */
  readonly linkBad: boolean;
  /** Whether the writeback connector is. */
  readonly writeback: boolean;
  /** VRR_ENABLED. */
  readonly vrr: boolean;
}

/** Bits of CRTC.LINK. */
const CONNECTED = 1;
const LINK_BAD = 2;

/** The bit of COMMITTED_SLOTS that is the CRTC's. */
const CRTC_BIT = 1 << 31;

/** What is shown on each plane. */
export function shownPlanes(words: Words, base: number): PlaneTable {
  return new PlaneTable(words, base + REG.SHOWN_SLOTS, base + REG.SHOWN_PLANES);
}

/** The state at boot: enabled with the mode, off. By the CRTC worker, before anybody else is there. */
export function initialise(words: Words, base: number, mode: DisplayMode): void {
  const planes: PlaneUpdate[] = [];
  for (let plane = 0; plane < MAX_PLANES; plane++) planes.push({ plane, state: planeOff(plane) });
  shownPlanes(words, base).put(planes);
  const blob = new ModeBlobs(words, base).own(mode);
  const { hdisplay, vdisplay, vrefresh } = mode;
  const crtc = {
    active: false,
    blob,
    hdisplay,
    vdisplay,
    vrefresh,
    connected: true,
    linkBad: false,
    writeback: false,
    vrr: false,
  };
  new CommittedState(words, base).put(planes, crtc);
  new ConnectorRecords(words, base).put('connected', [mode], 0);
}

/** Reads: anybody, under FLIP_LOCK if it must hold together. Writes: under FLIP_LOCK. */
export class CommittedState {
  readonly planes: PlaneTable;
  readonly #words: Words;
  readonly #base: number;

  /** Over the registers at `base`. */
  constructor(words: Words, base: number) {
    this.#words = words;
    this.#base = base;
    this.planes = new PlaneTable(words, base + REG.COMMITTED_SLOTS, base + REG.COMMITTED);
  }

  plane(plane: number): PlaneState {
    return this.planes.get(plane);
  }

  get crtc(): CommittedCrtc {
    const words = this.#words;
    const at = this.#crtcAt(words.load(this.#base + REG.COMMITTED_SLOTS));
    const link = words.get(at + CRTC.LINK);
    return {
      active: words.get(at + CRTC.ACTIVE) !== 0,
      blob: words.get(at + CRTC.MODE_BLOB),
      hdisplay: words.get(at + CRTC.HDISPLAY),
      vdisplay: words.get(at + CRTC.VDISPLAY),
      vrefresh: words.get(at + CRTC.VREFRESH),
      connected: (link & CONNECTED) !== 0,
      linkBad: (link & LINK_BAD) !== 0,
      writeback: words.get(at + CRTC.WRITEBACK) !== 0,
      vrr: words.get(at + CRTC.VRR) !== 0,
    };
  }

  /** Puts a new state in force, all at once. */
  put(updates: readonly PlaneUpdate[], crtc?: CommittedCrtc): void {
    const words = this.#words;
    let slots = this.planes.prepare(updates);
    if (crtc !== undefined) {
      slots ^= CRTC_BIT;
      const at = this.#crtcAt(slots);
      words.set(at + CRTC.ACTIVE, crtc.active ? 1 : 0);
      words.set(at + CRTC.MODE_BLOB, crtc.blob);
      words.set(at + CRTC.HDISPLAY, crtc.hdisplay);
      words.set(at + CRTC.VDISPLAY, crtc.vdisplay);
      words.set(at + CRTC.VREFRESH, crtc.vrefresh);
      const link = (crtc.connected ? CONNECTED : 0) | (crtc.linkBad ? LINK_BAD : 0);
      words.set(at + CRTC.LINK, link);
      words.set(at + CRTC.WRITEBACK, crtc.writeback ? 1 : 0);
      words.set(at + CRTC.VRR, crtc.vrr ? 1 : 0);
    }
    words.store(this.#base + REG.COMMITTED_SLOTS, slots);
  }

  #crtcAt(slots: number): number {
    return this.#base + REG.CRTC_STATE + (slots < 0 ? CRTC.WORDS : 0);
  }
}
