/**
 * Waiting for vblanks, as a thread of an application does (drm_wait_vblank_ioctl).
 *
 * A request is a job in a line of this Display's own; a line signals in order, so requests whose vblanks
 * do not ascend take another line.
 */
import { type Context, DmaBufError, type Fence } from '@dmabuf/core';
import type { DisplayPorts } from './display-ports.js';
import type { Presented } from './flip-records.js';
import { VblankTimes } from './vblank-times.js';

/** `sequence` is the number of a vblank. */
export const DRM_VBLANK_ABSOLUTE = 0x0;
/** `sequence` is counted from the newest vblank: 0 asks what that was, 1 waits for the next. */
export const DRM_VBLANK_RELATIVE = 0x1;
/** Do not wait: an event comes when it has happened. */
export const DRM_VBLANK_EVENT = 0x0400_0000;
/** If the vblank has passed, the next one is meant. */
export const DRM_VBLANK_NEXTONMISS = 0x1000_0000;
/** The second CRTC: there is none. */
export const DRM_VBLANK_SECONDARY = 0x2000_0000;
const DRM_VBLANK_HIGH_CRTC_MASK = 0x3e;

/** Longest blocking wait, ms. */
const LIMIT_MS = 3000;
/** Lines of one Display. */
const MAX_LINES = 8;

/** A vblank that is waited for. */
export interface VblankRequest {
  /** `DRM_VBLANK_*`. Default: DRM_VBLANK_RELATIVE. */
  readonly type?: number;
  /** Default 0: with DRM_VBLANK_RELATIVE, which was the newest vblank. */
  readonly sequence?: number;
  /** What comes back with the event of DRM_VBLANK_EVENT. */
  readonly userData?: unknown;
}

export class Vblanks {
  readonly #ports: DisplayPorts;
  readonly #times: VblankTimes;
  readonly #lines: { readonly context: Context; last: number }[] = [];

  constructor(ports: DisplayPorts) {
    this.#ports = ports;
    this.#times = new VblankTimes(ports.door.words, ports.door.base);
  }

  /** See {@link Display.waitVblank}. */
  wait({ type = DRM_VBLANK_RELATIVE, sequence = 0, userData }: VblankRequest): Presented {
    checkType(type);
    if (!Number.isSafeInteger(sequence)) {
      const detail = `sequence ${sequence} is no whole number`;
      throw new DmaBufError('EINVAL', 'wait_vblank', detail);
    }
    this.#mustRun();
    const { newest } = this.#times;
    let target = (type & DRM_VBLANK_RELATIVE) === 0 ? sequence : newest + sequence;
    if (target <= newest) target = (type & DRM_VBLANK_NEXTONMISS) === 0 ? newest : newest + 1;
    if ((type & DRM_VBLANK_EVENT) !== 0) return this.#event(target, userData);
    if (target > newest) this.#block(target);
    return this.#times.reached(target) ?? { sequence: newest, timestamp: NaN };
  }

  /** Ends the lines whose requests are through; others go with the process. */
  close(): void {
    for (const { context } of this.#lines.splice(0)) {
      if (context.submitted === context.completed) context.close();
    }
  }

  /** Asks for an event; the answer says which vblank is meant, and has no time yet. */
  #event(target: number, userData: unknown): Presented {
    const { events } = this.#ports;
    events.reserve('wait_vblank');
    const fence = this.#submit(target);
    const happened = (): Presented | undefined => this.#times.reached(target);
    events.add({ type: 'vblank', userData, fence, happened });
    return { sequence: target, timestamp: this.#times.find(target)?.timestamp ?? NaN };
  }

  #block(target: number): void {
    try {
      this.#submit(target).wait(LIMIT_MS);
    } catch (error) {
      if (!(error instanceof DmaBufError) || error.code !== 'ETIME') throw error;
      const detail = `vblank ${target} has not come within ${LIMIT_MS} ms; ask for an event instead`;
      throw new DmaBufError('EBUSY', 'wait_vblank', detail);
    }
  }

  #submit(target: number): Fence {
    const line = this.#lineFor(target);
    const fence = line.context.submit({ payload: target });
    line.last = target;
    return fence;
  }

  /** The line whose last vblank is nearest before this one. */
  #lineFor(target: number): { readonly context: Context; last: number } {
    let best: { readonly context: Context; last: number } | undefined;
    for (const line of this.#lines) {
      if (line.last <= target && line.last >= (best?.last ?? -Infinity)) best = line;
    }
    best ??= this.#lines.find(({ context }) => context.submitted === context.completed);
    if (best !== undefined) return best;
    if (this.#lines.length >= MAX_LINES) {
      const detail = `vblanks in descending order are waited for in ${MAX_LINES} lines already; ask for the earlier ones first`;
      throw new DmaBufError('ENOMEM', 'wait_vblank', detail);
    }
    const { machine, crtc, path } = this.#ports;
    const line = { context: machine.createContext(crtc.target, `${path} vblank`), last: -Infinity };
    this.#lines.push(line);
    return line;
  }

  #mustRun(): void {
    const { settings, path } = this.#ports;
    if (settings.speed === 'max') {
      const detail = `${path} runs at speed 'max', which has no vblanks; boot with kms({ speed: 'realtime' })`;
      throw new DmaBufError('EOPNOTSUPP', 'wait_vblank', detail);
    }
    if (this.#ports.isActive) return;
    const detail = `${path} is off, so there are no vblanks; turn it on with setMode or queueFlip`;
    throw new DmaBufError('EINVAL', 'wait_vblank', detail);
  }
}

function checkType(type: number): void {
  const known =
    DRM_VBLANK_RELATIVE |
    DRM_VBLANK_EVENT |
    DRM_VBLANK_NEXTONMISS |
    DRM_VBLANK_SECONDARY |
    DRM_VBLANK_HIGH_CRTC_MASK;
  if (!Number.isInteger(type) || (type & ~known) !== 0) {
    const detail = `type 0x${type.toString(16)} has bits beside DRM_VBLANK_RELATIVE, _EVENT and _NEXTONMISS`;
    throw new DmaBufError('EINVAL', 'wait_vblank', detail);
  }
  if ((type & (DRM_VBLANK_SECONDARY | DRM_VBLANK_HIGH_CRTC_MASK)) === 0) return;
  const detail = `type 0x${type.toString(16)} asks for another CRTC than the first, which is the only one`;
  throw new DmaBufError('EINVAL', 'wait_vblank', detail);
}
