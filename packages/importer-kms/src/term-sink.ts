/**
 * The terminal as a sink: each frame drawn as half blocks by a {@link TermView}, written to an fd.
 *
 * Owned by the writeback worker. A terminal that takes no bytes for the moment (EAGAIN, as pipes and
 * terminals of Node's may say) keeps the rest of the frame for later; frames that come meanwhile are
 * skipped, for a view is no recording.
 */
import * as fs from 'node:fs';
import { outputError } from './output-file.js';
import type { ScanoutFrame } from './scanout-frame.js';
import type { FrameSink } from './sink.js';
import { TermView, type TermViewOptions } from './term-view.js';

/** How often EAGAIN is answered by another try before the rest is left for later. */
const TRIES = 64;

/** Writes bytes to the terminal as `fs.writeSync` does; how many it took. */
export type TermWrite = (bytes: Uint8Array) => number;

export class TermSink implements FrameSink {
  readonly #view: TermView;
  readonly #write: TermWrite;
  readonly #name: string;
  #rest: Uint8Array = new Uint8Array(0);
  #frames = 0;
  #bytes = 0;
  #open = true;

  /** Clears the view's part of the screen. `write` is for tests; default: to `fd`. */
  constructor(view: TermViewOptions, fd: number, write?: TermWrite) {
    this.#view = new TermView(view);
    this.#write = write ?? ((bytes) => fs.writeSync(fd, bytes));
    this.#name = `fd ${fd}`;
    this.#send(this.#view.begin());
  }

  get frames(): number {
    return this.#frames;
  }

  get bytes(): number {
    return this.#bytes;
  }

  frame(frame: ScanoutFrame): void {
    if (!this.#flush()) return;
    this.#send(this.#view.frame(frame));
    this.#frames++;
  }

  /** Shows the cursor again, below the view. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#flush();
    this.#send(this.#view.end());
  }

  abort(): void {
    this.close();
  }

  /** Appends to what is still unsent, and sends what the terminal takes. The view's buffer is reused. */
  #send(bytes: Uint8Array): void {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    if (!this.#flush()) this.#rest = this.#rest.slice();
  }

  /** Whether all is sent. */
  #flush(): boolean {
    for (let tries = 0; this.#rest.length > 0 && tries < TRIES;) {
      const taken = this.#attempt();
      if (taken === 0) tries++;
      this.#bytes += taken;
      this.#rest = this.#rest.subarray(taken);
    }
    return this.#rest.length === 0;
  }

  #attempt(): number {
    try {
      return this.#write(this.#rest);
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return 0;
      throw outputError(error, 'write', this.#name);
    }
  }
}
