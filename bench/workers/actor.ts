/**
 * Actors of the bench: workers that join a machine. Those of `SERVING` take jobs; those of `LOOPING`
 * do rounds of work of their own when the main thread asks.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { discard, exclusive, join, type Job, type Machine, type ServeHandlers } from '@dmabuf/core';
import { threadId } from '../harness/pin.js';
import { stopwatch } from '../harness/stopwatch.js';
import { touch } from './touch.js';

interface Start {
  readonly token: unknown;
  readonly role: string;
  readonly options: { readonly buffers?: number };
}
interface Order {
  readonly count: number;
  readonly fds?: number;
}

/** Payload of the job that asks a hop for its samples. */
const REPORT = -1;
const { token, role, options } = workerData as Start;
const machine = await join(token);

function post(message: unknown): void {
  parentPort?.postMessage(message);
}

/**
 * One end of a hand-off: how long ago did the other end leave the stamp in the buffer? Then leaves
 * its own, the last thing before it is done.
 */
function hop(): ServeHandlers {
  const samples = new Float64Array(1 << 16);
  const stamps = new Map<number, Float64Array<ArrayBufferLike>>();
  let count = 0;
  const stampOf = (job: Job): Float64Array<ArrayBufferLike> => {
    const buffer = job.buffer(0);
    const known = stamps.get(buffer.record.pointer);
    if (known !== undefined) return known;
    const { bytes } = buffer;
    const stamp = new Float64Array(bytes.buffer, bytes.byteOffset, 1);
    stamps.set(buffer.record.pointer, stamp);
    return stamp;
  };
  return {
    run(job) {
      const now = performance.now();
      const stamp = stampOf(job);
      const { payload } = job;
      if (payload === REPORT) {
        post(samples.slice(0, count));
        count = 0;
        return;
      }
      if (Number(payload) > 0) samples[count++] = (now - (stamp[0] ?? 0)) * 1000;
      stamp[0] = performance.now();
    },
  };
}

/** One stage of a pipeline that touches little of each frame. */
function stage(): ServeHandlers {
  return {
    run(job) {
      const frame = job.buffer(0);
      if (frame.exclusive) touch(frame.words);
      else if (frame.words[0] === 0) throw new Error('a frame came without having been touched');
    },
  };
}

/** Nothing at all. */
function idle(): ServeHandlers {
  return { run() {} };
}

const SERVING: Readonly<Record<string, () => ServeHandlers>> = { hop, stage, idle };

class Enough extends Error {}

/** Jobs per second of holds on buffers of this thread's own: add, grant, complete, release. */
function holdLoop(here: Machine): (order: Order) => unknown {
  const buffers = Array.from({ length: options.buffers ?? 2 }, () => here.alloc(4096));
  const uses = buffers.map((buffer) => exclusive(buffer));
  return ({ count }) => {
    const took = stopwatch();
    for (let i = 0; i < count; i++) here.waitAll(uses).release();
    return took();
  };
}

/** The same through a context to itself and the device loop. */
function serveLoop(here: Machine): (order: Order) => unknown {
  const context = here.createContext(here.self, 'self');
  const buffers = Array.from({ length: options.buffers ?? 2 }, () => here.alloc(4096));
  // The last job ends the loop by an exception, which fails it: its successors must not read.
  const uses = buffers.map((buffer) => discard(buffer));
  return ({ count }) => {
    let left = count;
    const job = { buffers: uses, payload: 1 };
    const took = stopwatch();
    context.submit(job);
    serveUntilEnough(here, () => {
      if (--left === 0) throw new Enough();
      context.submit(job);
    });
    return took();
  };
}

function serveUntilEnough(here: Machine, run: () => void): void {
  try {
    here.serve({ run });
  } catch (error) {
    if (!(error instanceof Enough)) throw error;
  }
}

/** Imports of fds that arrive here: the first look at each buffer's memory, and the second; µs. */
function importLoop(here: Machine): (order: Order) => unknown {
  const look = (fd: number): number => {
    const start = performance.now();
    const bracket = here.dmabuf(fd).access({ read: true, sync: false, cache: false });
    const { length } = bracket.bytes;
    const took = performance.now() - start;
    bracket.finish();
    return length > 0 ? took * 1000 : NaN;
  };
  return ({ fds = 0 }) => {
    const first: number[] = [];
    const again: number[] = [];
    for (let i = 0; i < fds; i++) {
      const { fd } = here.receiveFd();
      first.push(look(fd));
      again.push(look(fd));
      here.dmabuf(fd).close();
    }
    return { first, again };
  };
}

const LOOPING: Readonly<Record<string, (here: Machine) => (order: Order) => unknown>> = {
  holdLoop,
  serveLoop,
  importLoop,
};

const serving = SERVING[role];
const looping = LOOPING[role];
if (serving !== undefined) {
  post(threadId());
  machine.serve(serving());
} else if (looping !== undefined) {
  const loop = looping(machine);
  parentPort?.on('message', (order: Order) => post(loop(order)));
  post(threadId());
} else {
  throw new RangeError(`no role '${role}'`);
}
