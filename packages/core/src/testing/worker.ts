/**
 * A plain worker of a test's own: joins, and plays the part that it was started with. Tests start it
 * by {@link startWorker}; what a part returns is posted as `{ result }`, what it throws as
 * `{ error }`.
 */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { join } from '../actor/join.js';
import type { JoinToken, Machine } from '../actor/machine.js';
import { DmaBufError } from '../errno.js';
import { count, stress } from './stress.js';

type Part = (machine: Machine, args: Record<string, unknown>) => unknown;
type PartName =
  | 'serve'
  | 'serveAsync'
  | 'receive'
  | 'peek'
  | 'touch'
  | 'waitForever'
  | 'awaitForever'
  | 'accessForever'
  | 'die'
  | 'count'
  | 'stress';

/** What a worker said at its end. */
export interface Outcome {
  readonly result?: unknown;
  /** `'EBADF'` and the like, or the message of another error. */
  readonly error?: string;
}

/** Starts a worker that joins as `name`. The promise settles when its thread has ended. */
export function startWorker(
  machine: Machine,
  part: PartName,
  name: string,
  args: Record<string, unknown> = {},
): { readonly ended: Promise<Outcome>; readonly worker: Worker } {
  const { workerData, transferList } = machine.invite(name);
  const worker = new Worker(new URL(import.meta.url), {
    workerData: { token: workerData, part, args },
    transferList,
  });
  let outcome: Outcome = {};
  worker.on('message', (message: Outcome) => {
    outcome = message;
  });
  const ended = new Promise<Outcome>((resolve) => {
    worker.on('error', (error) => {
      outcome = { error: String(error) };
    });
    worker.on('exit', () => resolve(outcome));
  });
  return { ended, worker };
}

const PARTS: Readonly<Record<PartName, Part>> = {
  /** Serves, filling each job's first buffer with its payload, or checking that it was. */
  serve(machine) {
    let jobs = 0;
    machine.serve({
      run: (job) => {
        const { words } = job.buffer(0);
        jobs++;
        if (job.buffer(0).exclusive) words.fill(Number(job.payload));
        else if (words[0] !== job.payload || words.at(-1) !== job.payload) throw new Error('torn');
      },
    });
    return jobs;
  },
  /** Serves in the event loop. */
  async serveAsync(machine) {
    let jobs = 0;
    await machine.serveAsync({
      run: async () => {
        await Promise.resolve();
        jobs++;
      },
    });
    return jobs;
  },
  /** Takes an fd, reads its first word, closes it. */
  receive(machine) {
    const { fd, from, tag } = machine.receiveFd(10_000);
    const buffer = machine.dmabuf(fd);
    const bracket = buffer.access({ read: true });
    const [first] = bracket.words;
    bracket.finish();
    buffer.close();
    return { fd, from, tag, first };
  },
  /** Looks at a region that it was never given an fd for. */
  peek(machine, { region }) {
    return machine.driver('test').view(Number(region), 0, 4)[0];
  },
  /** Uses the CPU on a buffer of its own, and leaves. */
  touch(machine) {
    const buffer = machine.alloc(4096);
    buffer.access({ write: true }).finish();
    return machine.stats().buffers;
  },
  /** Blocks in a wait for a fence that nobody signals. */
  waitForever(machine, { fence }) {
    announce(machine);
    return machine.fence(fence as Parameters<Machine['fence']>[0]).wait();
  },
  /** Awaits a fence that nobody signals. */
  async awaitForever(machine, { fence }) {
    announce(machine);
    return machine.fence(fence as Parameters<Machine['fence']>[0]).settled();
  },
  /** Blocks in a bracket that is never granted. */
  accessForever(machine) {
    const buffer = machine.dmabuf(machine.receiveFd(10_000).fd);
    announce(machine);
    buffer.access({ write: true });
  },
  /** Dies at once, without a word, with a job of its own in flight. */
  die(machine, { target }) {
    machine.createContext(Number(target)).submit({ payload: 'defer' });
    process.exit(1);
  },
  count(machine, args) {
    const { seed, rounds, swapped } = args;
    const options = { seed: Number(seed), rounds: Number(rounds), swapped: swapped === true };
    return count(machine, options);
  },
  stress(machine, args) {
    const { peers } = args;
    return stress(machine, {
      seed: Number(args['seed']),
      jobs: Number(args['jobs']),
      buffers: Number(args['buffers']),
      peers: Array.isArray(peers) ? peers.map(String) : [],
      main: Number(args['main']),
    });
  },
};

/** Counts those who are about to block, in the second of the test driver's words. */
function announce(machine: Machine): void {
  const { words, base } = machine.driver('test');
  words.add(base + 1, 1);
}

interface Task {
  readonly token: JoinToken;
  readonly part: PartName;
  readonly args: Record<string, unknown>;
}

async function play({ token, part, args }: Task): Promise<Outcome> {
  const machine = await join(token);
  const act: Part = PARTS[part];
  try {
    return { result: await act(machine, args) };
  } catch (error) {
    return { error: error instanceof DmaBufError ? error.code : String(error) };
  } finally {
    await machine.leave();
  }
}

if (!isMainThread) parentPort?.postMessage(await play(workerData as Task));
