/**
 * Doorbells: how an actor sleeps until there is something for it, and how it is woken.
 *
 * ACTOR.WAITING is ASLEEP while its owner sleeps, or is about to. The owner stores ASLEEP, *then*
 * looks for work, then waits on the word. A ringer publishes the work, *then* loads the word, and
 * only if it reads ASLEEP exchanges it for 0 and notifies: one of the two sees the other, and nobody
 * pays for waking an actor that is awake. Never ring under a queue lock.
 */
import type { Kernel } from '../kernel.js';
import { WAIT_BOUND_MS } from '../kernel.js';
import { ACTOR, ASLEEP, HEADER } from '../memory/layout.js';

/**
 * What the bound of a blocking sleep grows to, ms, while nobody rings. One wake-up in 100 ms costs
 * 0.16 % of a core: seven idle actors would burn more than 1 %. A stop and a recovery ring whom they
 * concern, so the bound is for what nobody foresaw; the broker's silence is believed after 2 s.
 */
const IDLE_BOUND_MS = 4 * WAIT_BOUND_MS;

export class Doorbell {
  readonly #k: Kernel;
  readonly #waiting: number;
  /** Asynchronous sleeps under way: a blocking sleep between them leaves the word ASLEEP. */
  #armed = 0;
  /** Of the next blocking sleep: doubled by each that nothing ended, up to {@link IDLE_BOUND_MS}. */
  #bound = WAIT_BOUND_MS;

  constructor(kernel: Kernel) {
    this.#k = kernel;
    this.#waiting = kernel.actor + ACTOR.WAITING;
  }

  /** Wakes an actor if it sleeps. By anybody, after publishing work for it. */
  ring(actor: number): void {
    const words = this.#k.words;
    const index = this.#k.actors.at(actor) + ACTOR.WAITING;
    if (words.load(index) === ASLEEP && words.exchange(index, 0) === ASLEEP) {
      this.#k.seam.notify(words.i32, index, 0x7fffffff);
    }
  }

  /**
   * Blocks the owner until it is rung, `idle()` is false, or `until` (ms of the machine's clock)
   * is reached; at most one bound. `idle` is evaluated after the word says ASLEEP, and before, while this thread
   * spins.
   */
  sleep(idle: () => boolean, until: number): void {
    const { words, seam, spin } = this.#k;
    const bound = this.#bound;
    this.#bound = WAIT_BOUND_MS;
    if (spin.until(() => !idle(), until)) return;
    this.#arm(until);
    if (idle()) {
      const timeout = this.#timeout(until, bound);
      const result = seam.wait(words.i32, this.#waiting, ASLEEP, timeout);
      if (result === 'woken') this.#k.countWakeup();
      if (result === 'timeout' && timeout === bound) {
        this.#bound = Math.min(2 * bound, IDLE_BOUND_MS);
      }
    }
    words.store(this.#waiting, this.#armed > 0 ? ASLEEP : 0);
  }

  /** {@link sleep} for actors that live in an event loop; keeps the process alive meanwhile. */
  async sleepAsync(idle: () => boolean, until: number): Promise<void> {
    const { words, seam, keepAlive, clock } = this.#k;
    if (until <= clock.now()) {
      // No sleep at all, for a timer takes 1 ms at least: one turn of the event loop.
      await new Promise<void>((resolve) => {
        setImmediate(resolve);
      });
      return;
    }
    this.#arm(until);
    if (idle()) {
      keepAlive.acquire();
      const unwatch = this.#k.watchBroker();
      this.#armed++;
      const timer = this.#timer(until);
      try {
        const result = await seam.waitAsync(words.i32, this.#waiting, ASLEEP);
        if (result === 'woken') this.#k.countWakeup();
      } finally {
        clearTimeout(timer);
        unwatch();
        this.#armed--;
        keepAlive.release();
      }
    }
    words.store(this.#waiting, this.#armed > 0 ? ASLEEP : 0);
  }

  #arm(until: number): void {
    const { words, actor, clock } = this.#k;
    if (clock.manual) words.add(HEADER.MANUAL_EPOCH, 1); // before it says ASLEEP: see advance.ts
    words.setDouble(actor + ACTOR.DEADLINE, until);
    words.store(this.#waiting, ASLEEP);
  }

  #timeout(until: number, bound: number): number {
    if (this.#k.clock.manual) return WAIT_BOUND_MS;
    return Math.max(0, Math.min(bound, until - this.#k.clock.now()));
  }

  /** Rings this actor itself at a deadline: waitAsync has no timeout of its own here. */
  #timer(until: number): NodeJS.Timeout | undefined {
    if (until === Infinity || this.#k.clock.manual) return undefined;
    const ms = Math.max(0, until - this.#k.clock.now());
    return setTimeout(() => this.ring(this.#k.self), Math.ceil(ms));
  }
}
