/**
 * Requests for vblanks, on the CRTC's side: jobs without buffers that end when their vblank has come.
 *
 * Owned by the CRTC's device half. A job's payload is the number of the vblank; a job that was deferred comes
 * again after the worker's death. When vblanks stop, all of them end (drm_crtc_vblank_off): nobody waits for
 * what will not come.
 */
import { DmaBufError } from '@dmabuf/core';

/** What is needed of a job; core's Job is one. */
export interface VblankJob {
  readonly payload: unknown;
  defer(options?: { readonly again?: boolean }): void;
  waitUntil(ms: number): void;
  finish(error?: number): void;
}

export class VblankWaits {
  readonly #waiting: { readonly job: VblankJob; readonly sequence: number }[] = [];

  /**
   * Takes a request. `newest`: the number of the newest vblank; undefined: there are none now. `timeOf`: when
   * one comes, ms. EINVAL.
   */
  add(job: VblankJob, newest: number | undefined, timeOf: (sequence: number) => number): void {
    const { payload } = job;
    if (typeof payload !== 'number' || !Number.isSafeInteger(payload)) {
      throw new DmaBufError('EINVAL', 'wait_vblank', 'the payload is no number of a vblank');
    }
    if (newest === undefined || payload <= newest) return; // the job ends with this
    job.defer({ again: true });
    job.waitUntil(timeOf(payload));
    let place = this.#waiting.length;
    while (place > 0 && (this.#waiting[place - 1]?.sequence ?? 0) > payload) place--;
    this.#waiting.splice(place, 0, { job, sequence: payload });
  }

  /** A vblank has come: all requests up to it end, in the order of their numbers. */
  reached(sequence: number): void {
    let [first] = this.#waiting;
    while (first !== undefined && first.sequence <= sequence) {
      this.#waiting.shift();
      first.job.finish();
      [first] = this.#waiting;
    }
  }
}
