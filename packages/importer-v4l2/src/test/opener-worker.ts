/**
 * A process that opens all the files that are left, queues on one, and never closes any.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { DmaBufError, join, type JoinToken } from '@dmabuf/core';
import { VideoDevice } from '../index.js';

function isToken(data: unknown): data is JoinToken {
  return typeof data === 'object' && data !== null && 'actor' in data && 'port' in data;
}

if (!isToken(workerData)) throw new TypeError('workerData is no join token');
const machine = await join(workerData);
const files: VideoDevice[] = [];
try {
  for (;;) files.push(VideoDevice.open(machine));
} catch (error) {
  if (!(error instanceof DmaBufError) || error.code !== 'EMFILE') throw error;
}
parentPort?.postMessage(files.length);
setInterval(() => files.length, 1000);
