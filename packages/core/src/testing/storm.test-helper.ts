/** Worker of the storm: does at random whatever a process does, until it is put to death. */
import { parentPort, workerData } from 'node:worker_threads';
import { join } from '../actor/join.js';
import type { Machine } from '../actor/machine.js';
import { DmaBufError } from '../errno.js';
import { exclusive, shared, type BufferUse, type Context } from '../sync/context.js';
import type { DmaBuf } from '../dmabuf/dmabuf.js';
import type { Words } from '../memory/words.js';
import { threadSeam } from '../substrate/seam.js';
import { Random } from './random.js';
import { STORM, stormBase, type StormTask } from './storm-task.js';

/** Longest wait of one call, ms: nothing in a storm takes that long. */
const LIMIT_MS = 20_000;

class Petrel {
  readonly #machine: Machine;
  readonly #random: Random;
  readonly #buffers: DmaBuf[] = [];
  readonly #device: number;

  constructor(machine: Machine, { seed, device }: StormTask) {
    this.#machine = machine;
    this.#random = new Random(seed);
    this.#device = device;
  }

  live(count: number): void {
    const machine = this.#machine;
    for (let i = 0; i < count; i++) {
      this.#buffers.push(machine.dmabuf(machine.receiveFd(LIMIT_MS).fd));
    }
    const context = machine.createContext(this.#device);
    const { words } = machine.driver('test');
    const at = stormBase(machine.driver('test').base);
    parentPort?.postMessage('ready');
    for (;;) {
      if (words.load(at + STORM.PAUSE) !== 0) this.#pause(words, at);
      this.#act(context);
      words.add(at + STORM.ACTS, 1);
      // Not all the time: whoever takes its place has to start on the same cores.
      if (this.#random.below(2) === 0) threadSeam.wait(words.i32, at + STORM.PAUSE, 0, 1);
    }
  }

  /** Rests, with nothing in hand, until the machine has been looked at. */
  #pause(words: Words, at: number): void {
    words.add(at + STORM.PAUSED, 1);
    while (words.load(at + STORM.PAUSE) === 1) {
      threadSeam.wait(words.i32, at + STORM.PAUSE, 1, 5);
    }
  }

  #act(context: Context): void {
    try {
      const acts = [
        () => this.#submit(context),
        () => this.#hold(),
        () => this.#timeline(),
        () => this.#alloc(),
        () => this.#dup(),
        () => this.#access(),
      ];
      acts[this.#random.below(acts.length)]?.();
    } catch (error) {
      // What is refused meanwhile: a device that is being restarted, a full table, a failed dependency.
      if (!(error instanceof DmaBufError)) throw error;
    }
  }

  #uses(): BufferUse[] {
    const some = this.#random.shuffled(this.#buffers).slice(0, 1 + this.#random.below(3));
    return some.map((b) => (this.#random.below(2) === 0 ? shared(b) : exclusive(b)));
  }

  #submit(context: Context): void {
    const fence = context.submit({ buffers: this.#uses(), payload: 'work', onError: 'run' });
    if (this.#random.below(3) === 0) {
      const file = fence.hold();
      fence.wait(LIMIT_MS);
      file.close();
    } else fence.wait(LIMIT_MS);
  }

  #hold(): void {
    this.#machine.waitAll(this.#uses(), this.#random.below(2) === 0 ? 0 : LIMIT_MS).release();
  }

  #timeline(): void {
    const timeline = this.#machine.createTimeline('storm');
    const fence = timeline.createFence(1 + this.#random.below(2));
    const file = fence.hold();
    timeline.increment(1);
    timeline.close();
    file.close();
  }

  #alloc(): void {
    this.#machine.alloc(4096).close();
  }

  #dup(): void {
    this.#buffers[this.#random.below(this.#buffers.length)]?.dup().close();
  }

  #access(): void {
    const buffer = this.#buffers[this.#random.below(this.#buffers.length)];
    const bracket = buffer?.access({ write: true, timeout: LIMIT_MS });
    if (bracket !== undefined) bracket.bytes[0] = 1;
    bracket?.finish();
  }
}

const task = workerData as StormTask;
const machine = await join(task.token);
parentPort?.postMessage('joined');
new Petrel(machine, task).live(task.buffers);
