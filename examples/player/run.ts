/**
 * The run itself, on the main thread: queue everything, then wait for the last fence and do nothing
 * else. Or, for comparison, relay every hand-off.
 */
import { setImmediate as turn } from 'node:timers/promises';
import type { Fence, Machine } from '@dmabuf/core';
import { Feeder } from './feeder.js';
import type { Interrupt } from './interrupt.js';
import type { PlayerOptions } from './options.js';
import type { Pipeline } from './pipeline.js';
import { relay, relayDepth } from './relay.js';
import { type Needed, Witness } from './witness.js';

export interface RunReport {
  /** How often this thread was needed. */
  readonly needed: Needed;
  /** Frames that were queued ahead, or under way at one time. */
  readonly depth: number;
}

/**
 * Plays all frames of a pipeline, `depth` of them queued ahead. Resolves at the end, or once it is
 * interrupted. A device that dies on the way costs frames, not the run.
 */
export async function run(
  machine: Machine,
  pipeline: Pipeline,
  options: PlayerOptions,
  depth: number,
  interrupt: Interrupt,
): Promise<RunReport> {
  const play = options.relay ? relayed : queued;
  return play(machine, pipeline, options, depth, interrupt);
}

async function queued(
  machine: Machine,
  pipeline: Pipeline,
  options: PlayerOptions,
  depth: number,
  interrupt: Interrupt,
): Promise<RunReport> {
  const feeder = depth < pipeline.frames ? await Feeder.start(machine, pipeline, depth) : undefined;
  await settle();
  const witness = new Witness(machine);
  const ahead: Fence[] = [];
  while (ahead.length < depth) ahead.push(pipeline.queue(ahead.length));
  const last = feeder === undefined ? ahead.at(-1) : feeder.feed(ahead);
  const ended = options.blockMain
    ? last?.wait()
    : await Promise.race([last?.settled(), interrupt.signalled]);
  // The last frame may be a damaged one, which is counted like any other; but not the feeder.
  if (ended !== undefined && ended < 0) feeder?.fail(ended);
  return { needed: stop(witness, pipeline), depth };
}

async function relayed(
  machine: Machine,
  pipeline: Pipeline,
  _options: PlayerOptions,
  depth: number,
  interrupt: Interrupt,
): Promise<RunReport> {
  const underWay = relayDepth(pipeline, depth);
  await settle();
  const witness = new Witness(machine);
  const stopped = (): boolean => interrupt.code !== undefined;
  const all = relay(pipeline, underWay, stopped, () => witness.firstFlip());
  await Promise.race([all, interrupt.signalled]);
  return { needed: stop(witness, pipeline), depth: underWay };
}

/** What is left of starting up (messages of workers that have come on line) is dealt with first. */
async function settle(): Promise<void> {
  await turn();
  await turn();
}

function stop(witness: Witness, pipeline: Pipeline): Needed {
  const { firstFlip = Infinity, lastFlip = 0 } = pipeline.devices.display.stats();
  return witness.stop(firstFlip, lastFlip);
}
