/**
 * A run of the player: boots the machine, queues the clip, waits for its end, and says how it went.
 */
import { accessSync, constants, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { isatty } from 'node:tty';
import { boot, type DriverSpec, type Machine } from '@dmabuf/core';
import { ion } from '@dmabuf/exporter-ion';
import { gpu } from '@dmabuf/importer-gpu';
import { kms, type SinkReport } from '@dmabuf/importer-kms';
import { v4l2 } from '@dmabuf/importer-v4l2';
import { BadInput, codeOf } from './bad-input.js';
import { buildPipeline, poolBytes } from './build.js';
import { type Clip, readClip } from './clip.js';
import { chooseDepth, type Depth } from './depth.js';
import type { Interrupt } from './interrupt.js';
import type { PlayerOptions } from './options.js';
import { outcomeOf } from './outcome.js';
import { Reporter } from './reporter.js';
import { run } from './run.js';
import { openRecording, openView } from './sinks.js';
import type { Outcome } from './summary.js';

/** The drivers of a machine that plays `options`. */
export function playerDrivers(options: PlayerOptions): readonly DriverSpec[] {
  const { mode, speed } = options;
  // Many containers keep whole milliseconds: a frame may be that much early, or it would wait for
  // the next vblank every third time.
  return [ion(), v4l2(), gpu({ poolOnly: true }), kms({ mode, speed, tolerance: 1 })];
}

/**
 * Plays a clip. Rejects with BadInput before anything runs; with EOWNERDEAD when a device cannot be
 * started again.
 * `drivers` are those of {@link playerDrivers} or stand-ins with their names.
 */
export async function play(
  options: PlayerOptions,
  interrupt: Interrupt,
  drivers: readonly DriverSpec[] = playerDrivers(options),
): Promise<Outcome> {
  const clip = await readClip(options.input, options.frames);
  if (options.trace !== undefined) checkWritable(options.trace);
  const recorded = options.out !== undefined || options.view !== undefined;
  const depth = chooseDepth(clip.frames, jobsPerFrame(clip, recorded), options.depth);
  const machine = await boot({
    drivers,
    pool: poolBytes(options, clip),
    trace: options.trace !== undefined,
    tables: { jobs: depth.jobs, traceRecords: traceRecords(clip.frames) },
  });
  try {
    return await playOn(machine, options, clip, depth, recorded, interrupt);
  } finally {
    await machine.shutdown();
  }
}

/** Packet, capture, render, flip, recording; and the packets of hidden frames, if there are any. */
function jobsPerFrame(clip: Clip, recorded: boolean): number {
  const hidden = Math.ceil((clip.packets.length - clip.frames) / clip.frames);
  return 4 + (recorded ? 1 : 0) + 2 * hidden;
}

/** Records that a trace of a clip needs in its busiest ring, a power of two. */
function traceRecords(frames: number): number {
  return Math.min(2 ** 17, Math.max(2 ** 14, 2 ** Math.ceil(Math.log2(frames * 32))));
}

async function playOn(
  machine: Machine,
  options: PlayerOptions,
  clip: Clip,
  depth: Depth,
  recorded: boolean,
  interrupt: Interrupt,
): Promise<Outcome> {
  const pipeline = buildPipeline(machine, options, clip, recorded);
  const { display } = pipeline.devices;
  const recording = openRecording(display, options, clip);
  const view = openView(display, options);
  const style = { inPlace: isatty(1), row: view?.statusRow };
  const reporter = await Reporter.start(machine, pipeline, style, options.kills);
  const { needed, depth: ahead } = await run(machine, pipeline, options, depth.depth, interrupt);
  const interrupted = interrupt.code !== undefined;
  // Whoever interrupts does not want to wait for the rest: the shutdown completes what is whole.
  const report: SinkReport | undefined = interrupted ? undefined : recording?.close();
  if (!interrupted) view?.sink.close();
  if (options.trace !== undefined) writeFileSync(options.trace, JSON.stringify(machine.trace()));
  reporter.finish();
  if (interrupted) await machine.shutdown();
  return outcomeOf(machine, pipeline, {
    options,
    clip,
    depth: ahead,
    needed,
    report,
    interrupted,
  });
}

function checkWritable(file: string): void {
  try {
    if (statSync(file, { throwIfNoEntry: false }) === undefined) {
      accessSync(dirname(file), constants.W_OK);
    } else {
      accessSync(file, constants.W_OK);
      if (statSync(file).isDirectory()) throw new BadInput(`--trace ${file}: it is a folder`);
    }
  } catch (error) {
    if (error instanceof BadInput) throw error;
    throw new BadInput(
      `--trace ${file}: it cannot be written (${codeOf(error)}); choose another folder`,
    );
  }
}
