/** What a GpuContext is told: when it is opened, and with each job. */
import type { DmaBuf, Priority, SubmitOptions } from '@dmabuf/core';
import type { Command } from './command.js';

export interface GpuContextOptions {
  /** Path of the GPU; default `'/dev/dri/renderD128'`. */
  readonly path?: string;
  /** For traces; at most 31 bytes. Default `'gpu'`. */
  readonly name?: string;
  /**
   * A buffer in the pool that the GPU may write to at any time while the context is open, for
   * scaling in wasm ({@link scratchBytes} says how large). The device uses the largest that
   * any context has given it; without one, it scales in TypeScript, some ten times slower, with the
   * same result. The caller may close its handle.
   */
  readonly scratch?: DmaBuf;
  /**
   * Whose ready jobs the GPU starts first (EGL_IMG_context_priority); default `'normal'`. Strict, between the contexts
   * of one GPU: `'low'` waits for as long as others have jobs that are ready. A job that runs is not interrupted, and a
   * context's own jobs stay in order.
   */
  readonly priority?: Priority;
  /**
   * Jobs are handed to the GPU as they are submitted, with the words to wait on, and it waits for their turn by itself,
   * as hardware with semaphores does: no dispatch between a job and the one that waits for it, of the same GPU or of another
   * device. One that waits holds up its own context alone. Default false.
   */
  readonly semaphores?: boolean;
}

/** What another thread needs to go on with a context: `GpuContext.fromHandle`. Plain data. */
export interface GpuHandle {
  readonly path: string;
  readonly context: number;
}

export interface GpuSubmitOptions {
  /** Run one after the other. */
  readonly commands: readonly Command[];
  /**
   * `implicit` (default): it waits for what the buffers' queues say, and others for it. `explicit`: it waits for `inFences`
   * alone and nobody for it, unless sync files tell them: that no two jobs meet in one
   * buffer's memory is then the caller's business.
   */
  readonly sync?: 'implicit' | 'explicit';
  /** Fences to wait for beside what the buffers' queues say. */
  readonly inFences?: NonNullable<SubmitOptions['inFences']>;
  /** What a failed dependency does: `cancel` (default) fails the job with its errno, `run` runs it. */
  readonly onError?: 'cancel' | 'run';
}
