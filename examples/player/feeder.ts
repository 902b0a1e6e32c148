/**
 * The feeder: a process of the machine, in a worker of its own, that queues what the job table could
 * not take at once, or what `--depth` holds back. It blocks where it waits, and so needs no event
 * loop and no main thread.
 *
 * It serves one job: "feed". That job's fence signals when the last frame has been shown, and is
 * what the main thread waits for in place of the last frame's. This is the main thread's side of
 * it; feeder-main.ts runs in the worker.
 */
import {
  type Context,
  DmaBufError,
  type Fence,
  type FencePoint,
  type Machine,
  type Peer,
} from '@dmabuf/core';
import type { Pipeline, PipelineHandle } from './pipeline.js';
import { type ProcessTask, startProcess } from './process.js';

const NAME = 'feeder';
const ENTRY = new URL('./feeder-main.js', import.meta.url);
/** Fences that the payload of one job carries. */
const CHUNK = 10;

/** What the worker is started with. */
export interface FeederTask extends ProcessTask {
  readonly handle: PipelineHandle;
  readonly depth: number;
  /** Frames that are queued already when it is told to feed. */
  readonly from: number;
}

/** The request that the worker serves: take so many fds. */
export const FEEDER_ATTACH = 'attach';

/** Payload of the job that feeds. Any other is a list of fences of frames ahead (see {@link packAhead}). */
export const FEED = 0;

export class Feeder {
  readonly #context: Context;

  private constructor(machine: Machine, peer: Peer) {
    this.#context = machine.createContext(peer, NAME);
  }

  /** Starts it, and hands it the buffers. Resolves when it is ready. It ends with the machine. */
  static async start(machine: Machine, pipeline: Pipeline, depth: number): Promise<Feeder> {
    const { handle, fds } = pipeline;
    const task: Omit<FeederTask, 'token'> = { handle, depth, from: depth };
    const peer = await startProcess(machine, NAME, ENTRY, task);
    for (const { fd } of fds) machine.passFd(peer, fd);
    machine.ioctl(peer, FEEDER_ATTACH, fds.length);
    return new Feeder(machine, peer);
  }

  /**
   * Tells it to go on after the frames whose fences are `ahead`, oldest first: by jobs, so that this
   * thread waits for nothing. The fence signals when all frames are through.
   */
  feed(ahead: readonly Fence[]): Fence {
    for (let i = 0; i < ahead.length; i += CHUNK) {
      this.#context.submit({ payload: packAhead(ahead.slice(i, i + CHUNK)) });
    }
    return this.#context.submit({ payload: FEED });
  }

  /** Throws why feeding ended with `status`: where a device has died, that, by its name. */
  fail(status: number): never {
    // Says nothing to the feeder; a machine that has lost a device refuses it with the reason.
    this.#context.submit({ payload: packAhead([]) });
    throw DmaBufError.of(status, 'feed', 'the feeder could not queue the rest of the clip');
  }
}

/** Fences of one context as numbers: the context, then slot, generation and seqno of each. */
function packAhead(fences: readonly FencePoint[]): number[] {
  const points = fences.flatMap(({ slot, generation, seqno }) => [slot, generation, seqno]);
  return [fences[0]?.context ?? 0, ...points];
}

/** The fences again. */
export function unpackAhead(payload: unknown): FencePoint[] {
  const numbers: unknown[] = Array.isArray(payload) ? payload : [];
  const [context = 0, ...rest] = numbers.map(Number);
  const points: FencePoint[] = [];
  for (let i = 0; i + 2 < rest.length; i += 3) {
    const [slot = 0, generation = 0, seqno = 0] = rest.slice(i, i + 3);
    points.push({ slot, generation, context, seqno });
  }
  return points;
}
