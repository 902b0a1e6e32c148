/**
 * Events of a display, as one thread that has it open reads them (drm_file.c, drm_read).
 *
 * An event is asked for with a flip, a commit or a vblank request, and is there once that has happened: each
 * exactly once, whatever became of it. They are of the Display that asked, and end with it; nothing of
 * them is in kernel memory but the fences and the records of what was shown.
 */
import { DmaBufError, errnoName, type Fence, type Machine } from '@dmabuf/core';
import type { Presented } from './flip-records.js';

/** Events that may be unread: what Linux' 4096 bytes a file have room for. */
export const MAX_EVENTS = 128;

/** An event (`struct drm_event_vblank`). */
export interface DrmEvent {
  /** DRM_EVENT_FLIP_COMPLETE or DRM_EVENT_VBLANK. */
  readonly type: 'flip' | 'vblank';
  /** What was given with the request. */
  readonly userData: unknown;
  /** Object id of the CRTC. */
  readonly crtc: number;
  /** Number of the vblank, undefined for what was never shown. */
  readonly sequence: number | undefined;
  /** ms of the machine's clock: of that vblank, or of the failure. */
  readonly timestamp: number;
  /** Why it was not shown: `'ECANCELED'`, the errno of the render, …; undefined for success. */
  readonly error: string | undefined;
}

/** An event that has been asked for. */
interface Asked {
  readonly type: DrmEvent['type'];
  readonly userData: unknown;
  readonly fence: Fence;
  /** When it happened, once its fence has signalled. */
  happened(): Presented | undefined;
}

export class Events {
  readonly #machine: Machine;
  readonly #crtc: number;
  #asked: Asked[] = [];
  readonly #ready: DrmEvent[] = [];

  /** `crtc`: object id. */
  constructor(machine: Machine, crtc: number) {
    this.#machine = machine;
    this.#crtc = crtc;
  }

  /** ENOMEM when there is no room for another event. Before what it is of is queued. */
  reserve(syscall: string): void {
    this.#gather();
    if (this.#asked.length + this.#ready.length < MAX_EVENTS) return;
    const detail = `${MAX_EVENTS} events are unread or still to come; read them first`;
    throw new DmaBufError('ENOMEM', syscall, detail);
  }

  add(asked: Asked): void {
    this.#asked.push(asked);
  }

  /** See {@link Display.readEvent}. */
  read(timeout: number): DrmEvent {
    const until = this.#machine.now() + timeout;
    for (;;) {
      this.#gather();
      const event = this.#ready.shift();
      if (event !== undefined) return event;
      const left = until - this.#machine.now();
      if (this.#asked.length === 0 || left <= 0) this.#nothing(timeout);
      this.#sleep(left);
    }
  }

  /** See {@link Display.nextEvent}. */
  async next(): Promise<DrmEvent> {
    for (;;) {
      this.#gather();
      const event = this.#ready.shift();
      if (event !== undefined) return event;
      if (this.#asked.length === 0) this.#nothing(0);
      await Promise.race(this.#asked.map(({ fence }) => fence.settled()));
    }
  }

  /** Until one of them happens, or time has run out, which {@link read} sees by itself. */
  #sleep(ms: number): void {
    try {
      this.#machine.waitAny(
        this.#asked.map(({ fence }) => fence),
        ms,
      );
    } catch (error) {
      if (!(error instanceof DmaBufError) || error.code !== 'ETIME') throw error;
    }
  }

  #nothing(timeout: number): never {
    if (this.#asked.length === 0) {
      throw new DmaBufError('EAGAIN', 'read', 'there is no event, and none has been asked for');
    }
    const [code, when] =
      timeout > 0 ? (['ETIME', `within ${timeout} ms`] as const) : (['EAGAIN', 'yet'] as const);
    const detail = `there is no event ${when}; ${this.#asked.length} are still to come`;
    throw new DmaBufError(code, 'read', detail);
  }

  /** Moves what has happened to the events that can be read, in the order in which it did. */
  #gather(): void {
    const now: DrmEvent[] = [];
    const later: Asked[] = [];
    for (const asked of this.#asked) {
      if (asked.fence.status === 0) later.push(asked);
      else now.push(this.#eventOf(asked));
    }
    if (now.length === 0) return;
    this.#asked = later;
    this.#ready.push(...now.sort((a, b) => a.timestamp - b.timestamp));
  }

  #eventOf({ type, userData, fence, happened }: Asked): DrmEvent {
    const { status } = fence;
    const presented = status > 0 ? happened() : undefined;
    return {
      type,
      userData,
      crtc: this.#crtc,
      sequence: presented?.sequence,
      timestamp: presented?.timestamp ?? fence.times()?.done ?? this.#machine.now(),
      error: status < 0 ? errnoName(status) : undefined,
    };
  }
}
