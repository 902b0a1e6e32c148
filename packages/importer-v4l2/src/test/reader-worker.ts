/**
 * A second process of the device tests: reads what was decoded, as jobs of its own, and posts the MD5
 * of every frame with what the buffer says of it.
 */
import { createHash } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { join, type FrameMetadata, type JoinToken } from '@dmabuf/core';
import { captureFormat } from '../capture-format.js';

/** What the reader posts of each frame that it was asked to read. */
export interface ReadFrame {
  /** Of the reading job, which is the number of the packet. */
  readonly frame: number;
  readonly md5: string | undefined;
  /** −errno where the frame could not be read; 0. */
  readonly error: number;
  readonly metadata: FrameMetadata | undefined;
}

function isToken(data: unknown): data is JoinToken {
  return typeof data === 'object' && data !== null && 'actor' in data && 'port' in data;
}

if (!isToken(workerData)) throw new TypeError('workerData is no join token');
const machine = await join(workerData);
const post = (read: ReadFrame): void => parentPort?.postMessage(read);
machine.serve({
  run(job) {
    const { metadata, bytes } = job.buffer(0);
    const { sizeimage } = captureFormat(metadata.width, metadata.height);
    const md5 = createHash('md5').update(bytes.subarray(0, sizeimage)).digest('hex');
    post({ frame: Number(job.payload), md5, error: 0, metadata });
  },
  failed(job) {
    const { payload, blocker } = job;
    post({ frame: Number(payload), md5: undefined, error: blocker, metadata: undefined });
    job.finish(blocker);
  },
});
