/**
 * CoderCall: calls of a coder, one at a time. Some coders answer at once, some with a promise; while one is
 * awaited the session codes nothing else.
 */
import { DmaBufError } from '@dmabuf/core';

export class CoderCall {
  readonly #wake: () => void;
  #busy: Promise<void> | undefined;

  /** `wake` is called when what was awaited is over. */
  constructor(wake: () => void) {
    this.#wake = wake;
  }

  /** Whether an answer is awaited. */
  get busy(): boolean {
    return this.#busy !== undefined;
  }

  /** Resolves when nothing is awaited any more. */
  async idle(): Promise<void> {
    while (this.#busy !== undefined) await this.#busy;
  }

  /** `done` gets the answer, `failed` the DmaBufError instead of one. Any other exception is a bug of ours. */
  run<V>(
    call: () => V | Promise<V>,
    done: (value: V) => void,
    failed: (why: string) => void,
  ): void {
    const over = (error: unknown): void => {
      if (!(error instanceof DmaBufError)) throw error;
      failed(error.detail);
    };
    let value: V | Promise<V>;
    try {
      value = call();
    } catch (error) {
      over(error);
      return;
    }
    if (value instanceof Promise) this.#busy = this.#answered(value, done, over);
    else done(value);
  }

  async #answered<V>(
    coming: Promise<V>,
    done: (value: V) => void,
    over: (error: unknown) => void,
  ): Promise<void> {
    try {
      const answer = await settled(coming);
      if ('value' in answer) done(answer.value);
      else over(answer.error);
    } finally {
      this.#busy = undefined;
    }
    this.#wake();
  }
}

async function settled<V>(coming: Promise<V>): Promise<{ value: V } | { error: unknown }> {
  try {
    return { value: await coming };
  } catch (error) {
    return { error };
  }
}
