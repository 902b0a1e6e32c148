/**
 * Random numbers from a seed that is printed, and can be given as SEED in the environment. A thread
 * that is handed its seed prints nothing.
 */
export class Random {
  readonly seed: number;
  #state: number;

  constructor(seed?: number) {
    this.seed = seed ?? Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
    this.#state = this.seed | 0;
    if (seed === undefined) console.log(`# seed ${this.seed}`);
  }

  /** An integer from 0 to `limit` − 1 (mulberry32). */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * limit);
  }

  /** The items in another order. */
  shuffled<T>(items: readonly T[]): T[] {
    const out = [...items];
    for (let i = out.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [out[i], out[j]] = [out[j] as T, out[i] as T];
    }
    return out;
  }
}
