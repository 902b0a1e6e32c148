/** Puts together what a run came to, from the devices' counters. */
import type { Machine } from '@dmabuf/core';
import type { SinkReport } from '@dmabuf/importer-kms';
import type { Clip } from './clip.js';
import { readProgress } from './counters.js';
import type { PlayerOptions } from './options.js';
import type { Pipeline } from './pipeline.js';
import type { Outcome } from './summary.js';
import type { Needed } from './witness.js';

/** What the counters do not say. */
export interface RunFacts {
  readonly options: PlayerOptions;
  readonly clip: Clip;
  readonly depth: number;
  readonly needed: Needed;
  /** The recording's own; undefined when the shutdown closed it. */
  readonly report: SinkReport | undefined;
  readonly interrupted: boolean;
}

/** The outcome of a run. Reads kernel memory alone, so it may come after the shutdown. */
export function outcomeOf(machine: Machine, pipeline: Pipeline, facts: RunFacts): Outcome {
  const { options, clip, depth, needed, report, interrupted } = facts;
  const { video, gpu, display } = pipeline.devices;
  const { missedVblanks, lateness, firstFlip, lastFlip } = display.stats();
  const { recorded, notRecorded } = display.writebackStats();
  const copiedBy = (actor: number): number => machine.actorStats(actor).bytesCopied;
  return {
    ...readProgress(pipeline.devices),
    name: clip.name,
    codec: clip.codec,
    size: `${clip.width}x${clip.height}`,
    mode: options.mode,
    speed: options.speed,
    frames: clip.frames,
    interrupted,
    missedVblanks,
    lateness: options.speed === 'realtime' ? lateness : undefined,
    firstFlip: firstFlip ?? 0,
    lastFlip: lastFlip ?? 0,
    bytesFromDecoder: video.stats().bytesCopied,
    bytesBetween: copiedBy(machine.device(gpu.path).actor) + copiedBy(display.actor),
    needed,
    relay: options.relay,
    depth,
    recording:
      options.out === undefined
        ? undefined
        : {
            file: options.out,
            taken: report?.recorded ?? recorded,
            missed: report?.notRecorded ?? notRecorded,
          },
  };
}
