/**
 * Another thread of an application: queues the second half of a clip on a file that the first thread
 * opened, and posts the fence of its last frame.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { join, type JoinToken } from '@dmabuf/core';
import { VideoDevice, type VideoHandle } from '../index.js';

/** What the feeder is told by message: sizes and offsets of its packets, in the buffers it was sent. */
export interface FeederTask {
  readonly handle: VideoHandle;
  readonly packets: readonly {
    readonly timestamp: number;
    readonly offset: number;
    readonly size: number;
  }[];
  /** How many fds were passed: the bitstream first, then CAPTURE buffers. */
  readonly fds: number;
}

function isToken(data: unknown): data is JoinToken {
  return typeof data === 'object' && data !== null && 'actor' in data && 'port' in data;
}

if (!isToken(workerData)) throw new TypeError('workerData is no join token');
const machine = await join(workerData);
parentPort?.once('message', (task: FeederTask) => {
  const [bitstream, ...captures] = Array.from({ length: task.fds }, () =>
    machine.dmabuf(machine.receiveFd(5000).fd),
  );
  const video = VideoDevice.fromHandle(machine, task.handle);
  const fences = task.packets.map(({ timestamp, offset, size }, i) => {
    const capture = captures[i % captures.length];
    if (bitstream === undefined || capture === undefined) throw new TypeError('too few fds');
    return video.queueDecode({
      bitstream: { buffer: bitstream, offset, size },
      timestamp,
      capture,
    });
  });
  parentPort?.postMessage(fences.map((fence) => fence.toJSON()));
  void machine.leave(); // what it queued goes on
});
parentPort?.postMessage('joined');
