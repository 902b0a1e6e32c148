/**
 * Feeding: queues frames in order, never more than `depth` of them ahead of what has been finished.
 * Blocks the calling thread where it has to wait; that is what the feeder's worker is for.
 */
import type { Fence } from '@dmabuf/core';

/** What can queue a frame: its last fence signals when the frame has been dealt with. */
export interface FrameQueue {
  queue(frame: number): Fence;
}

/**
 * Queues frames `from` to `frames` − 1. `ahead` are the fences of the frames before, oldest first, at
 * most `depth`. Returns the fence of the last frame, which may be pending.
 */
export function feed(
  queue: FrameQueue,
  from: number,
  frames: number,
  depth: number,
  ahead: readonly Fence[],
): Fence | undefined {
  const flight = [...ahead];
  for (let frame = from; frame < frames; frame++) {
    // A frame that failed has been dealt with too: its status is the display's to count.
    if (flight.length >= depth) flight.shift()?.wait();
    flight.push(queue.queue(frame));
  }
  return flight.at(-1);
}
