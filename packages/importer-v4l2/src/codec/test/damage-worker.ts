/** A worker thread that makes one damage run and posts what came of it. */
import { parentPort, workerData } from 'node:worker_threads';
import { damageRun } from './damage-run.js';

const job: unknown = workerData;
if (typeof job !== 'object' || job === null) throw new TypeError('workerData names no run');
const clip: unknown = Reflect.get(job, 'clip');
const seed: unknown = Reflect.get(job, 'seed');
const share: unknown = Reflect.get(job, 'share');
parentPort?.postMessage(await damageRun(String(clip), Number(seed), Number(share)));
