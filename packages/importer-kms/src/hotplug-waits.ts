/**
 * Those who wait for a hotplug, on the CRTC's side: jobs that end when the connector has changed since the epoch
 * that they have seen. Owned by the CRTC's device half; who makes a change rings it. A job that was deferred comes
 * again after the worker's death, and is looked at anew.
 */
import type { ConnectorRecords } from './connector.js';

/** What is needed of a job; core's Job is one. */
export interface HotplugJob {
  defer(options?: { readonly again?: boolean }): void;
  waitUntil(ms: number): void;
  finish(error?: number): void;
}

export const HOTPLUG_TAG = 'hotplug';

/** The epoch that a request has seen; undefined: the payload is that of no such request. */
export function seenEpoch(payload: unknown): number | undefined {
  const fields: readonly unknown[] = Array.isArray(payload) ? payload : [];
  const [tag, seen] = fields;
  return tag === HOTPLUG_TAG && typeof seen === 'number' ? seen : undefined;
}

export class HotplugWaits {
  readonly #records: ConnectorRecords;
  #waiting: { readonly job: HotplugJob; readonly seen: number }[] = [];

  constructor(records: ConnectorRecords) {
    this.#records = records;
  }

  add(job: HotplugJob, seen: number): void {
    if (this.#records.epoch !== seen) return; // the job ends with this
    job.defer({ again: true });
    job.waitUntil(Infinity);
    this.#waiting.push({ job, seen });
  }

  /** Ends those that have something to see. */
  look(): void {
    if (this.#waiting.length === 0) return;
    const { epoch } = this.#records;
    const due = this.#waiting.filter(({ seen }) => seen !== epoch);
    if (due.length === 0) return;
    this.#waiting = this.#waiting.filter(({ seen }) => seen === epoch);
    for (const { job } of due) job.finish();
  }
}
