/**
 * Scanout: what each plane shows, and which job holds it (design D7, the KDS flip patches).
 *
 * Owned by the CRTC. A plane's job holds its framebuffer (shared) until another is on that plane. A
 * commit behind it that failed ends the hold too: as with panel self-refresh, the picture stays and its
 * memory is free, else a run of failed frames as long as there are framebuffers would wait for itself:
 * the next render into this one for a successor that is rendered later.
 *
 * What is shown is in kernel memory and outlives the worker; holds do not, core has ended them.
 */
import type { ScanoutJob } from './crtc-job.js';
import type { PlaneState, PlaneUpdate } from './plane-state.js';
import type { PlaneTable } from './plane-table.js';
import { MAX_PLANES } from './registers.js';

/** A plane, what it is to show, and the job that holds it; none for a change that holds nothing new. */
export interface PlaneChange extends PlaneUpdate {
  readonly job: ScanoutJob | undefined;
}

interface Holder {
  readonly job: ScanoutJob;
  /** Whether it still holds the framebuffer. */
  holding: boolean;
}

export class Scanout {
  readonly #table: PlaneTable;
  readonly #holders: (Holder | undefined)[] = [];
  /** seqno of the newest commit to each plane that failed. */
  readonly #failed: number[] = Array.from({ length: MAX_PLANES }, () => 0);

  constructor(table: PlaneTable) {
    this.#table = table;
  }

  /** Id of the framebuffer on a plane, 0 for none. */
  fb(plane: number): number {
    return this.#table.fb(plane);
  }

  /** Ids of the framebuffers that are on planes. */
  shown(): number[] {
    const fbs = Array.from({ length: MAX_PLANES }, (_, plane) => this.fb(plane));
    return [...new Set(fbs)].filter((fb) => fb !== 0);
  }

  state(plane: number): PlaneState {
    return this.#table.get(plane);
  }

  /**
   * From here on these planes show what the changes say. Returns what must be called once the fences of
   * the new ones have signalled: it lets go of what was there before.
   */
  show(changes: readonly PlaneChange[]): () => void {
    const [only] = changes;
    if (changes.length === 1 && only !== undefined && this.#isFlip(only)) {
      this.#table.setFb(only.plane, only.state.fb);
    } else {
      this.#table.put(changes);
    }
    const replaced: ScanoutJob[] = [];
    for (const { plane, state, job } of changes) {
      if (job === undefined && state.fb !== 0) continue; // moved: it holds what it held
      const before = this.#holders[plane];
      if (before?.holding === true) replaced.push(before.job);
      this.#holders[plane] = job === undefined ? undefined : { job, holding: true };
    }
    return () => {
      for (const job of replaced) job.release();
      for (const { plane } of changes) this.#selfRefresh(plane);
    };
  }

  /** A commit to this plane has failed. */
  failed(plane: number, seqno: number): void {
    this.#failed[plane] = Math.max(this.#failed[plane] ?? 0, seqno);
    this.#selfRefresh(plane);
  }

  /** All planes off, at once; what they held is let go by the function returned. */
  clear(): () => void {
    const changes: PlaneChange[] = [];
    for (let plane = 0; plane < MAX_PLANES; plane++) {
      const state = this.#table.get(plane);
      if (state.fb === 0) continue;
      changes.push({ plane, state: { ...state, fb: 0 }, job: undefined });
    }
    return changes.length === 0 ? () => {} : this.show(changes);
  }

  /** The planes that show a framebuffer, as changes that turn them off. */
  without(fb: number): PlaneChange[] {
    const changes: PlaneChange[] = [];
    for (let plane = 0; plane < MAX_PLANES; plane++) {
      if (this.#table.fb(plane) !== fb) continue;
      changes.push({ plane, state: { ...this.#table.get(plane), fb: 0 }, job: undefined });
    }
    return changes;
  }

  /** Whether nothing but the framebuffer changes. */
  #isFlip({ plane, state }: PlaneChange): boolean {
    const old = this.#table.get(plane);
    return (Object.keys(old) as (keyof PlaneState)[]).every(
      (field) => field === 'fb' || old[field] === state[field],
    );
  }

  #selfRefresh(plane: number): void {
    const holder = this.#holders[plane];
    if (holder === undefined || !holder.holding) return;
    if (holder.job.seqno > (this.#failed[plane] ?? 0)) return;
    holder.holding = false;
    holder.job.release();
  }
}
