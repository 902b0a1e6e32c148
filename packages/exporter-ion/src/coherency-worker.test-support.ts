/**
 * For coherency.test.ts: the other process. It maps the buffer that it is sent and does as it is told: `read` in a
 * bracket, `stale` (the view of its last bracket again), `write` in a bracket, `lose` (write in a read bracket).
 */
import { parentPort, workerData } from 'node:worker_threads';
import { join } from '@dmabuf/core';

const machine = await join(workerData);
parentPort?.postMessage('joined');
const { fd, from } = machine.receiveFd();
const buffer = machine.dmabuf(fd);
const mapping = buffer.mmap();
let view: Uint8Array<ArrayBufferLike> = new Uint8Array(1);

for (;;) {
  const [what, value] = String(machine.receive().value).split(' ');
  if (what === 'end') break;
  machine.send(from, answer(what, Number(value)));
}
mapping.close();
buffer.close();
await machine.leave();

function answer(what: string | undefined, value: number): unknown {
  try {
    if (what === 'stale') return view[0];
    using bracket = mapping.prepareAccess(what === 'write' ? { write: true } : { read: true });
    view = bracket.bytes;
    if (what !== 'read') view[0] = value;
    return view[0];
  } catch (error) {
    return String(error);
  }
}
