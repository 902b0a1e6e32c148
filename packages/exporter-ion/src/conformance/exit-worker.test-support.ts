/**
 * For libion-exit.test.ts: a process that ends without leaving, with buffers in its hands.
 */
import { workerData } from 'node:worker_threads';
import { join, type JoinToken } from '@dmabuf/core';
import { IonClient } from '../index.js';

export interface ExitTask {
  readonly token: JoinToken;
  readonly hold: 'handle' | 'fd' | 'many fds' | 'mapping' | 'part mapping';
  readonly flags: number;
}

const PAGE = 4096;
const { token, hold, flags } = workerData as ExitTask;
const machine = await join(token);
const client = IonClient.open(machine, { name: hold });
if (hold === 'handle') client.allocHandle({ size: PAGE, flags }).share();
if (hold.endsWith('mapping')) {
  const handle = client.allocHandle({ size: 4 * PAGE, flags });
  handle.map();
  const half = handle.map({ length: 2 * PAGE });
  if (hold === 'part mapping') half.close();
  handle.free();
}
const fds = hold === 'fd' ? 1 : hold === 'many fds' ? 200 : 0;
for (let i = 0; i < fds; i++) {
  const buffer = client.alloc({ size: PAGE, flags });
  using bracket = buffer.access({ write: true });
  bracket.words.fill(i);
}
process.exit(0);
