/**
 * For stress.test.ts: one of the threads. Every buffer that it holds is filled with a number of its
 * own, and must still be when it is given up.
 */
import { parentPort, workerData } from 'node:worker_threads';
import {
  type DmaBuf,
  DmaBufError,
  type ErrnoCode,
  join,
  type JoinToken,
  type Machine,
} from '@dmabuf/core';
import { IonClient } from './index.js';
import { randomFrom } from './random.test-support.js';

export interface StressTask {
  readonly token: JoinToken;
  /** Actors of the other threads. */
  readonly peers: readonly number[];
  readonly steps: number;
  readonly seed: number;
}

interface Held {
  readonly buffer: DmaBuf;
  readonly mark: number;
}

class Stress {
  readonly #machine: Machine;
  readonly #client: IonClient;
  readonly #task: StressTask;
  readonly #random: () => number;
  readonly #held: Held[] = [];
  #next = 1;
  allocated = 0;
  passed = 0;
  refused = 0;

  constructor(machine: Machine, task: StressTask) {
    this.#machine = machine;
    this.#task = task;
    this.#client = IonClient.open(machine);
    this.#random = randomFrom(task.seed);
  }

  run(): void {
    for (let i = 0; i < this.#task.steps; i++) {
      this.#receive();
      const dice = this.#random();
      if (dice < 0.5 && this.#held.length < 40) this.#alloc();
      else if (dice < 0.85) this.#free();
      else this.#pass();
    }
    while (this.#held.length > 0) this.#free();
    this.#client.close();
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  #alloc(): void {
    const size = 4096 * (1 + this.#below(this.#random() < 0.9 ? 16 : 200));
    const align = 4096 << this.#below(4);
    const buffer = unless('ENOMEM', () => this.#client.alloc({ size, align }));
    if (buffer === undefined) {
      this.refused++;
      this.#free();
      return;
    }
    this.allocated++;
    const mark = (this.#machine.self << 24) | this.#next++;
    using bracket = buffer.access({ read: true, write: true });
    check(bracket.words, 0, 'a new buffer is not zero');
    bracket.words.fill(mark);
    this.#held.push({ buffer, mark });
  }

  #free(): void {
    const [held] = this.#held.splice(this.#below(this.#held.length), 1);
    if (held === undefined) return;
    this.#checkMark(held);
    held.buffer.close();
  }

  #pass(): void {
    const [held] = this.#held.splice(this.#below(this.#held.length), 1);
    const peer = this.#task.peers[this.#below(this.#task.peers.length)];
    if (held === undefined || peer === undefined) return;
    // ESRCH: that thread has finished already.
    unless('ESRCH', () => this.#machine.passFd(peer, held.buffer.fd, held.mark));
    this.passed++;
    held.buffer.close();
  }

  #receive(): void {
    for (;;) {
      const received = unless('ETIME', () => this.#machine.receiveFd(0));
      if (received === undefined) return;
      const held = { buffer: this.#machine.dmabuf(received.fd), mark: Number(received.tag) };
      this.#checkMark(held);
      this.#held.push(held);
    }
  }

  #checkMark({ buffer, mark }: Held): void {
    using bracket = buffer.access({ read: true });
    check(bracket.words, mark, 'somebody else wrote into a buffer');
  }
}

function check(words: Uint32Array<ArrayBufferLike>, value: number, what: string): void {
  const at = words.findIndex((word) => word !== value >>> 0);
  if (at >= 0) throw new Error(`${what}: word ${at} is ${words[at]}, not ${value >>> 0}`);
}

/** What `work` returns, or undefined if it fails with this errno. */
function unless<T>(code: ErrnoCode, work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof DmaBufError && error.code === code) return undefined;
    throw error;
  }
}

const task = workerData as StressTask;
const machine = await join(task.token);
const stress = new Stress(machine, task);
stress.run();
await machine.leave();
parentPort?.postMessage([stress.allocated, stress.passed, stress.refused]);
