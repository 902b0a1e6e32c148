/**
 * The relay, for comparison: the way that pipelines are mostly written. Every hand-off goes through the
 * main thread, which awaits each stage of each frame before it asks for the next. It shows the same
 * pictures, and what the main thread is needed for.
 *
 * Stages overlap, as they do in the queued form: at most `depth` frames are under way, and frames
 * enter each stage in order.
 */
import type { Fence } from '@dmabuf/core';
import type { Pipeline } from './pipeline.js';

/**
 * Frames that a relay can have under way: fewer than there are framebuffers, for one is on screen and
 * here nobody queues behind the display for it.
 */
export function relayDepth({ buffers }: Pipeline, depth: number): number {
  return Math.min(depth, buffers.captures.length, buffers.framebuffers.length - 1);
}

/**
 * Plays all frames. `firstShown` is called where the first flip is noticed. Ends early once `stopped`
 * says so. `depth` is that of {@link relayDepth}.
 */
export async function relay(
  pipeline: Pipeline,
  depth: number,
  stopped: () => boolean,
  firstShown: () => void,
): Promise<void> {
  const shown: Promise<void>[] = [];
  let rendering: Promise<unknown> = Promise.resolve();
  let showing: Promise<unknown> = Promise.resolve();
  for (let frame = 0; frame < pipeline.frames && !stopped(); frame++) {
    await shown[frame - depth];
    const decoded = pipeline.decode(frame).settled();
    const rendered = inTurn(decoded, rendering, () => pipeline.render(frame));
    rendering = rendered;
    const flipped = inTurn(rendered, showing, () => pipeline.show(frame));
    showing = flipped;
    shown.push(flipped.then(() => (frame === 0 ? firstShown() : undefined)));
    // A failure is reported where it is awaited, by the last line at the latest.
    void Promise.allSettled(shown.slice(-1));
  }
  await Promise.all(shown);
}

/** Runs a stage once the stage before is done and its own frame before is; resolves when it is done. */
async function inTurn(
  before: Promise<unknown>,
  predecessor: Promise<unknown>,
  stage: () => Fence,
): Promise<void> {
  await Promise.all([before, predecessor]);
  await stage().settled();
}
