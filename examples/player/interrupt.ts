/**
 * Ctrl-C: SIGINT (and SIGTERM) as a promise, while somebody listens. The first one is asked to be
 * clean about it; a second one ends the process at once, as if nobody listened.
 */

const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;
type Signal = keyof typeof EXIT_CODES;

export class Interrupt {
  /** Resolves with the exit code of the signal. */
  readonly signalled: Promise<number>;
  /** The same once it has come. */
  code: number | undefined;
  #resolve: (code: number) => void = () => {};
  readonly #listener = (signal: Signal): void => {
    this.code = EXIT_CODES[signal];
    this.#resolve(this.code);
    this.ignore();
  };

  constructor() {
    this.signalled = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  /** Starts to listen. Not for a thread that is going to block: nothing would then end it. */
  listen(): void {
    process.on('SIGINT', this.#listener);
    process.on('SIGTERM', this.#listener);
  }

  /** Stops to listen. */
  ignore(): void {
    process.off('SIGINT', this.#listener);
    process.off('SIGTERM', this.#listener);
  }
}
