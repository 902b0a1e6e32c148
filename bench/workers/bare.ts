/**
 * The same work by hand, on the bare primitives: what this project is measured against.
 */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { threadId } from '../harness/pin.js';
import { touch } from './touch.js';

interface Start {
  readonly role: string;
}

function post(message: unknown): void {
  parentPort?.postMessage(message);
}

/** Sleeps until the word at `index` is at least `value`. */
function waitFor(words: Int32Array, index: number, value: number): void {
  for (;;) {
    const seen = Atomics.load(words, index);
    if (seen >= value) return;
    Atomics.wait(words, index, seen, 1000);
  }
}

interface HopOrder {
  readonly words: Int32Array;
  readonly stamps: Float64Array;
  /** 0 or 1: which end this is. */
  readonly end: number;
  readonly hops: number;
  /** Turns around in a busy loop instead of sleeping. */
  readonly spin?: boolean;
}

/** One end of a bare hand-off: one word counts the hops, its parity says whose turn it is. */
function hop({ words, stamps, end, hops, spin = false }: HopOrder): unknown {
  const samples = new Float64Array(hops);
  let count = 0;
  for (let turn = end; turn < hops; turn += 2) {
    if (spin) while (Atomics.load(words, 0) < turn);
    else waitFor(words, 0, turn);
    const now = performance.now();
    if (turn > 0) samples[count++] = (now - (stamps[0] ?? 0)) * 1000;
    stamps[0] = performance.now();
    Atomics.store(words, 0, turn + 1);
    if (!spin) Atomics.notify(words, 0, 1);
  }
  return samples.slice(0, count);
}

/** One end of a hand-off that goes through the main thread: each message is a hop. */
function relayHop(stamps: Float64Array): unknown {
  const took = (performance.now() - (stamps[0] ?? 0)) * 1000;
  stamps[0] = performance.now();
  return took;
}

interface StageOrder {
  /** Frames each stage has done, one word each, 32 words apart. */
  readonly done: Int32Array;
  readonly frames: readonly Uint32Array[];
  readonly stage: number;
  readonly stages: number;
  readonly count: number;
}

/** One stage of a pipeline by hand: a counter per stage, a handful of frames, Atomics.wait. */
function stage({ done, frames, stage, stages, count }: StageOrder): unknown {
  const own = stage * 32;
  for (let i = 0; i < count; i++) {
    if (stage > 0) waitFor(done, own - 32, i + 1);
    else waitFor(done, (stages - 1) * 32, i + 1 - frames.length);
    const frame = frames[i % frames.length];
    if (frame !== undefined && (stage === 0 || stage < stages - 1)) touch(frame);
    else if (frame?.[0] === 0) throw new Error('a frame came without having been touched');
    Atomics.store(done, own, i + 1);
    Atomics.notify(done, own, 2);
  }
  return performance.now();
}

interface PortOrder {
  readonly from: MessagePort;
  readonly to: MessagePort;
  readonly how: 'clone' | 'transfer' | 'shared';
  readonly stage: number;
  readonly stages: number;
  readonly count: number;
  /** Frames that the last stage starts the ring with; of `clone` the first stage's own. */
  readonly frames: readonly Uint32Array<ArrayBuffer>[];
}

let former: MessagePort | undefined;

/**
 * One stage in a ring of message ports: takes a frame from the stage before, gives it on. The last one
 * gives it back to the first, and resolves when `count` frames have come through.
 */
async function portStage({
  from,
  to,
  how,
  stage,
  stages,
  count,
  frames,
}: PortOrder): Promise<unknown> {
  former?.close();
  former = from;
  const last = stage === stages - 1;
  const give = (frame: Uint32Array<ArrayBuffer> | number): void => {
    to.postMessage(frame, how === 'transfer' && typeof frame !== 'number' ? [frame.buffer] : []);
  };
  if (!last) {
    from.on('message', (got: Uint32Array<ArrayBuffer> | number) => {
      const frame = typeof got === 'number' ? frames[got] : got;
      if (frame === undefined) return;
      touch(frame);
      give(frame);
    });
    return 'ready';
  }
  let seen = 0;
  return new Promise((resolve) => {
    from.on('message', (frame: Uint32Array<ArrayBuffer>) => {
      if (frame[0] === 0) throw new Error('a frame came without having been touched');
      if (++seen === count) resolve(performance.now());
      else if (seen < count) give(how === 'clone' ? seen % frames.length : frame);
    });
    for (const [i, frame] of frames.entries()) give(how === 'clone' ? i : frame);
  });
}

interface PushPop {
  push(elements: Uint32Array): number;
  pop(elements: Uint32Array): number;
}
interface RingModule {
  readonly RingBuffer: new (sab: SharedArrayBuffer, type: typeof Uint32Array) => PushPop;
}
interface RingOrder {
  readonly module: string;
  readonly bells: Int32Array;
  readonly rings: readonly SharedArrayBuffer[];
  readonly frames: readonly Uint32Array[];
  readonly stage: number;
  readonly count: number;
}

/** A stage between two ringbuf.js rings of frame numbers; the rings do not block, so bells are added. */
async function ringStage(order: RingOrder): Promise<unknown> {
  const { module, bells, rings, frames, stage, count } = order;
  const { RingBuffer } = (await import(module)) as RingModule;
  const ringAt = (i: number): PushPop => {
    const ring = rings[i % rings.length];
    if (ring === undefined) throw new RangeError(`no ring ${i}`);
    return new RingBuffer(ring, Uint32Array);
  };
  const from = ringAt(stage);
  const to = ringAt(stage + 1);
  const last = stage === rings.length - 1;
  const index = new Uint32Array(1);
  const bell = stage * 32;
  const next = ((stage + 1) % rings.length) * 32;
  post('ready');
  for (let i = 0; i < count; i++) {
    for (;;) {
      const seen = Atomics.load(bells, bell);
      if (from.pop(index) === 1) break;
      Atomics.wait(bells, bell, seen, 1000);
    }
    const frame = frames[index[0] ?? 0];
    if (frame !== undefined && !last) touch(frame);
    else if (frame?.[0] === 0) throw new Error('a frame came without having been touched');
    to.push(index);
    Atomics.add(bells, next, 1);
    Atomics.notify(bells, next, 1);
  }
  return performance.now();
}

interface DeadlineOrder {
  readonly count: number;
  /** ms from one deadline to the next. */
  readonly period: number;
  /** ms before it from which to spin. */
  readonly spin: number;
}

/** How late one is for deadlines that one sleeps towards, ms. */
function deadlines({ count, period, spin }: DeadlineOrder): unknown {
  const word = new Int32Array(new SharedArrayBuffer(4));
  const late = new Float64Array(count);
  const start = performance.now() + period;
  for (let i = 0; i < count; i++) {
    const due = start + i * period;
    const left = due - performance.now() - spin;
    if (left > 0) Atomics.wait(word, 0, 0, left);
    let now = performance.now();
    while (now < due) now = performance.now();
    late[i] = now - due;
  }
  return late;
}

type Order =
  | ({ readonly do: 'hop' } & HopOrder)
  | ({ readonly do: 'stage' } & StageOrder)
  | ({ readonly do: 'portStage' } & PortOrder)
  | ({ readonly do: 'ringStage' } & RingOrder)
  | ({ readonly do: 'deadlines' } & DeadlineOrder);

async function obey(order: Order): Promise<unknown> {
  switch (order.do) {
    case 'hop':
      return hop(order);
    case 'stage':
      return stage(order);
    case 'portStage':
      return portStage(order);
    case 'ringStage':
      return ringStage(order);
    case 'deadlines':
      return deadlines(order);
    default:
      throw new RangeError('no such order');
  }
}

const { role } = workerData as Start;
if (role === 'relay') {
  let stamps: Float64Array | undefined;
  parentPort?.on('message', (message: Float64Array | number) => {
    if (typeof message !== 'number') stamps = message;
    else if (stamps !== undefined) post(relayHop(stamps));
  });
} else {
  parentPort?.on('message', (order: Order) => {
    void obey(order).then(post);
  });
}
post(threadId());
