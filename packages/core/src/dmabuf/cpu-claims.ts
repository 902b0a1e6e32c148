/**
 * CpuClaims: the claims that this thread's brackets have on queues.
 *
 * A second read bracket on a buffer shares the claim of the first: a claim of its own could stand behind a
 * waiting writer, which waits for this thread. Any other second bracket would wait for this thread
 * itself: EDEADLK if it would wait for ever, else it takes its chance and gets ETIME. The time limit of a
 * claim is its first bracket's.
 */
import { DmaBufError } from '../errno.js';
import { LINK_FLAG } from '../memory/layout.js';
import type { Hold, Holds } from '../sync/holds.js';

/** A hold that several brackets may share. */
export interface CpuClaim {
  readonly hold: Hold;
  readonly queues: readonly number[];
  readonly exclusive: boolean;
  users: number;
}

export class CpuClaims {
  readonly #holds: Holds;
  readonly #open: Map<number, CpuClaim> = new Map();

  constructor(holds: Holds) {
    this.#holds = holds;
  }

  /**
   * Claims queues (pointer | LINK_FLAG.*), each named once, all at once, and blocks until they are
   * granted. What it returns is given to {@link release}, each once. ETIME, EDEADLK.
   */
  take(
    claims: readonly number[],
    timeout: number,
    syscall: string,
    what: string,
    limit: number = 0,
  ): CpuClaim[] {
    const taken = new Set<CpuClaim>();
    const fresh: number[] = [];
    for (const claim of claims) {
      const held = this.#open.get(claim & LINK_FLAG.TARGET_MASK);
      const wantsAlone = (claim & LINK_FLAG.EXCLUSIVE) !== 0;
      if (held === undefined) fresh.push(claim);
      else if (!held.exclusive && !wantsAlone) taken.add(held);
      else if (timeout === Infinity) throw deadlock(syscall, what, held.exclusive);
      else fresh.push(claim);
    }
    if (fresh.length > 0) taken.add(this.#claim(fresh, timeout, syscall, what, limit));
    for (const claim of taken) claim.users++;
    return [...taken];
  }

  /** Lets go of all; the last bracket's ends the claim. ETIMEDOUT: one has been evicted, see {@link Hold.release}. */
  release(claims: readonly CpuClaim[]): void {
    let failure: { readonly error: unknown } | undefined;
    for (const claim of claims) {
      if (--claim.users > 0) continue;
      for (const queue of claim.queues) {
        if (this.#open.get(queue) === claim) this.#open.delete(queue);
      }
      try {
        claim.hold.release();
      } catch (error) {
        failure ??= { error };
      }
    }
    if (failure !== undefined) throw failure.error;
  }

  #claim(
    claims: readonly number[],
    timeout: number,
    syscall: string,
    what: string,
    limit: number,
  ): CpuClaim {
    const hold = this.#holds.wait(claims, timeout, syscall, what, limit);
    const exclusive = claims.some((claim) => (claim & LINK_FLAG.EXCLUSIVE) !== 0);
    const queues = claims.map((claim) => claim & LINK_FLAG.TARGET_MASK);
    const made: CpuClaim = { hold, queues, exclusive, users: 0 };
    for (const queue of queues) this.#open.set(queue, made);
    return made;
  }
}

function deadlock(syscall: string, what: string, exclusive: boolean): DmaBufError {
  const held = exclusive ? 'a write bracket' : 'a read bracket';
  const detail = `this thread has ${held} open on ${what} and would wait for itself; finish it first`;
  return new DmaBufError('EDEADLK', syscall, detail);
}
