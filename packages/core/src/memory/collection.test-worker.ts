/**
 * For collection.test.ts: a process that takes fds, looks at their memory, closes them, and then does as it is told:
 * `serve` (blocked in a server's loop), `idle` (in its event loop, without a call), `die` (with the last one open).
 */
import { parentPort, workerData } from 'node:worker_threads';
import { join } from '../actor/join.js';
import type { JoinToken } from '../actor/machine.js';

export interface HolderTask {
  readonly token: JoinToken;
  readonly count: number;
  readonly end: 'serve' | 'idle' | 'die';
}

const { token, count, end } = workerData as HolderTask;
const machine = await join(token);
parentPort?.postMessage('joined');
for (let i = 0; i < count; i++) {
  const buffer = machine.dmabuf(machine.receiveFd().fd);
  buffer.access({ read: true }).finish();
  if (end !== 'die' || i < count - 1) buffer.close();
}
parentPort?.postMessage('holding');
if (end === 'die') setImmediate(() => process.exit(0));
else if (end === 'serve') machine.serve({ run() {} });
else setInterval(() => {}, 0x7fffffff);
