/**
 * Seam, first of the three substrate interfaces (design D2): how a waiter sleeps and is woken.
 *
 * Worker threads on SharedArrayBuffer are the first substrate: `Atomics.wait/notify`, and
 * `Atomics.waitAsync` as the doorbell of actors that live in an event loop. A later one (processes
 * on memfd with futexes) implements the same interface.
 */

/** How a wait ended. `mismatch`: the word did not hold the value, nothing was slept. */
export type WaitResult = 'woken' | 'timeout' | 'mismatch';

export interface Seam {
  /**
   * Blocks the calling thread while `words[index] === value`, for `ms` at most. Callers bound every
   * wait (100 ms, an idle actor 400 ms) and re-read the machine's state after it, so that nothing sleeps through a
   * shutdown or the loss of a peer.
   */
  wait(words: Int32Array<ArrayBufferLike>, index: number, value: number, ms: number): WaitResult;
  /** Wakes at most `count` waiters of the word; returns how many. Look at a waiter-present word first. */
  notify(words: Int32Array<ArrayBufferLike>, index: number, count: number): number;
  /**
   * Resolves when the word is notified, at once if it does not hold `value`. Not timed: a timed
   * waitAsync that was satisfied leaks until its timeout. Keeps no process alive: see `KeepAlive`.
   */
  waitAsync(words: Int32Array<ArrayBufferLike>, index: number, value: number): Promise<WaitResult>;
}

export const threadSeam: Seam = {
  wait(words, index, value, ms) {
    const result = Atomics.wait(words, index, value, ms);
    return result === 'ok' ? 'woken' : result === 'timed-out' ? 'timeout' : 'mismatch';
  },
  notify(words, index, count) {
    return Atomics.notify(words, index, count);
  },
  async waitAsync(words, index, value) {
    const result = Atomics.waitAsync(words, index, value);
    if (!result.async) return 'mismatch';
    await result.value;
    return 'woken';
  },
};

/**
 * Holds the process alive while somebody awaits kernel memory, which `Atomics.waitAsync` alone
 * does not in any version of Node. One timer of the longest period that Node takes (25 days)
 * serves all pending awaits of a thread.
 */
export class KeepAlive {
  #count = 0;
  #timer: NodeJS.Timeout | undefined;

  acquire(): void {
    this.#count++;
    this.#timer ??= setInterval(() => {}, 0x7fffffff);
  }

  release(): void {
    if (--this.#count > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
