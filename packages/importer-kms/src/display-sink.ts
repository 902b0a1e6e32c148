/**
 * A sink of a display's writeback, as the process that opened it sees it.
 */
import type { Context, Machine } from '@dmabuf/core';
import { checkReport, type SinkReport, throwFailure } from './sink-request.js';
import { BARRIER } from './writeback-job.js';

/** Longest time, ms, that opening and closing may take: a close encodes what is left. */
export const SINK_LIMIT_MS = 60_000;

export class WritebackSink {
  readonly #machine: Machine;
  readonly #context: Context;
  readonly #id: number;

  /** By Display alone. */
  constructor(machine: Machine, context: Context, id: number) {
    this.#machine = machine;
    this.#context = context;
    this.#id = id;
  }

  /**
   * Waits for all writebacks that are queued, writes what is left and completes the output: only now
   * a file has its name. Blocks, for as long as a flip that is recorded has not been shown or dropped.
   * ENOENT: closed already; OutputError: it could not be written (then what was whole is kept). A
   * machine that is shut down closes its sinks by itself.
   */
  close(): SinkReport {
    this.#context.submit({ payload: BARRIER }).wait();
    const reply = this.#machine.ioctl(this.#context.target, 'CLOSE_SINK', this.#id, SINK_LIMIT_MS);
    return checkReport(throwFailure(reply));
  }
}
