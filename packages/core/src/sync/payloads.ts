/**
 * Payload slots: one for each job of the table, in a table of their own, so that the job record
 * stays small. Written by the adder before the job is published, read by its target.
 */
import type { Kernel } from '../kernel.js';
import { HEADER, JOB, JOB_FLAG } from '../memory/layout.js';

const NO_BYTES = new Uint8Array(0);

export class Payloads {
  readonly #k: Kernel;
  readonly #base: number;
  readonly #stride: number;

  constructor(kernel: Kernel) {
    this.#k = kernel;
    this.#base = kernel.words.get(HEADER.PAYLOADS);
    this.#stride = kernel.words.get(HEADER.PAYLOAD_WORDS);
  }

  /** Bytes that a job can carry. */
  get room(): number {
    return this.#stride * 4;
  }

  /** Stores an integer into the job itself, bytes into its slot; sets JOB.FLAGS. */
  write(job: number, payload: number | Uint8Array, flags: number): void {
    const { words } = this.#k;
    if (typeof payload === 'number') {
      words.set(job + JOB.COOKIE, payload);
      words.set(job + JOB.FLAGS, flags | JOB_FLAG.INT_PAYLOAD);
      return;
    }
    words.set(job + JOB.FLAGS, flags);
    words.set(job + JOB.PAYLOAD, payload.byteLength);
    if (payload.byteLength === 0) return;
    words.bytes(this.#slot(job), payload.byteLength).set(payload);
  }

  /** The integer, or a private copy of the bytes. */
  read(job: number): number | Uint8Array {
    const { words } = this.#k;
    const integer = (words.get(job + JOB.FLAGS) & JOB_FLAG.INT_PAYLOAD) !== 0;
    if (integer) return words.get(job + JOB.COOKIE);
    const length = words.get(job + JOB.PAYLOAD);
    return length === 0 ? NO_BYTES : words.bytes(this.#slot(job), length).slice();
  }

  #slot(job: number): number {
    return this.#base + this.#k.jobs.indexOf(job) * this.#stride;
  }
}
