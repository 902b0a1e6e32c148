/**
 * The reporter: a process of the machine, in a worker of its own, that prints the status line. It
 * reads counters and writes to the terminal by itself (`fs.writeSync`), so that a blocked main thread
 * silences nobody.
 *
 * This is the main thread's side of it; reporter-main.ts runs in the worker.
 */
import type { Machine, Peer } from '@dmabuf/core';
import type { GpuHandle } from '@dmabuf/importer-gpu';
import type { DisplayHandle } from '@dmabuf/importer-kms';
import type { VideoHandle } from '@dmabuf/importer-v4l2';
import type { Pipeline } from './pipeline.js';
import type { Kill } from './options.js';
import { type ProcessTask, startProcess } from './process.js';

const NAME = 'reporter';
const ENTRY = new URL('./reporter-main.js', import.meta.url);

/** What the worker is started with. */
export interface ReporterTask extends ProcessTask {
  readonly video: VideoHandle;
  readonly gpu: GpuHandle;
  readonly display: DisplayHandle;
  readonly frames: number;
  readonly style: StatusStyle;
  /** Deaths that were asked for: a blocked main thread could not see to them. */
  readonly kills: readonly Kill[];
}

/** How the status line is printed. */
export interface StatusStyle {
  /** It is redrawn in place; else there is a line a second. */
  readonly inPlace: boolean;
  /** Screen row to redraw it in, from 1, below a view; undefined: where the cursor is. */
  readonly row: number | undefined;
}

export const REPORTER_IOCTL = { FINISH: 'finish' } as const;

export class Reporter {
  readonly #machine: Machine;
  readonly #peer: Peer;

  private constructor(machine: Machine, peer: Peer) {
    this.#machine = machine;
    this.#peer = peer;
  }

  /** Starts it; resolves when it prints. It ends with the machine. */
  static async start(
    machine: Machine,
    pipeline: Pipeline,
    style: StatusStyle,
    kills: readonly Kill[] = [],
  ): Promise<Reporter> {
    const { video, gpu, display } = pipeline.handle;
    const { frames } = pipeline;
    const task: Omit<ReporterTask, 'token'> = { video, gpu, display, frames, style, kills };
    return new Reporter(machine, await startProcess(machine, NAME, ENTRY, task));
  }

  /** Has it print where things stand for the last time, and be silent. Blocks until it has. */
  finish(): void {
    this.#machine.ioctl(this.#peer, REPORTER_IOCTL.FINISH);
  }
}
