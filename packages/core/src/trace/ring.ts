/**
 * Trace rings: what happened when, per actor (design D12).
 *
 * Each actor has a ring of fixed records in kernel memory that its own thread alone writes; the
 * count of records ever written is stored last and names the newest. Readers (the Perfetto export)
 * take a ring as it is: when it has lapped, the oldest records are missing, and they say how many.
 * Tracing costs nothing but one comparison when it is off.
 */
import type { Clock } from '../clock.js';
import { ACTOR, HEADER, MACHINE_FLAG, TRACE } from '../memory/layout.js';
import type { Words } from '../memory/words.js';

export const TRACE_KIND = {
  QUEUE: 1, // job added; A = context id, B = target actor
  GRANT: 2, // job became ready; by whoever made it so
  START: 3, // its target's handler begins; A = context id
  END: 4, // that handler returned; the job may be deferred; A = context id
  DONE: 5, // the fence signalled; A = context id, B = −errno or 0
  FLIP: 6, // a framebuffer came on screen; SEQNO = vblank sequence, A = context id, B = flip
  VBLANK: 7, // SEQNO = sequence, A = missed since the one before
  WAKE: 8, // this thread was woken from a kernel wait by somebody else
  MARK: 9, // of the user's; A and B as they like
} as const;

export class TraceRing {
  readonly enabled: boolean;
  readonly #words: Words;
  readonly #clock: Clock;
  readonly #base: number;
  readonly #size: number;
  readonly #counter: number;
  #count = 0;

  constructor(words: Words, self: number, actor: number, clock: Clock) {
    this.#words = words;
    this.#clock = clock;
    this.#size = words.get(HEADER.TRACE_RECORDS);
    this.#base = words.get(HEADER.TRACE) + self * this.#size * TRACE.WORDS;
    this.#counter = actor + ACTOR.TRACED;
    this.#count = words.get(this.#counter);
    this.enabled = (words.get(HEADER.FLAGS) & MACHINE_FLAG.TRACE) !== 0;
  }

  /** Records an event, if tracing is on. JOB, SEQNO, A and B as TRACE_KIND says; 0 where unused. */
  emit(kind: number, job: number, seqno: number, a: number, b: number): void {
    if (this.enabled) this.#write(kind, job, seqno, a, b);
  }

  #write(kind: number, job: number, seqno: number, a: number, b: number): void {
    const words = this.#words;
    const at = this.#base + ((this.#count >>> 0) % this.#size) * TRACE.WORDS;
    words.setDouble(at + TRACE.TIME, this.#clock.now());
    words.set(at + TRACE.KIND, kind);
    words.set(at + TRACE.JOB, job);
    words.setDouble(at + TRACE.SEQNO, seqno);
    words.set(at + TRACE.A, a);
    words.set(at + TRACE.B, b);
    this.#count = (this.#count + 1) | 0;
    words.store(this.#counter, this.#count);
  }
}
