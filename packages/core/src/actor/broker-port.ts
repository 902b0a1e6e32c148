/**
 * A process's port to the broker: its life line (its `close` is how the broker hears of the
 * process's death), and the only way by which regions travel (design D5).
 *
 * Messages to the broker are posted; the broker lives in an event loop. Its answers are read
 * synchronously: after each post the broker adds 1 to the actor's PORT_BELL and notifies, the caller
 * sleeps on that word and takes messages with receiveMessageOnPort. So a blocked thread can import.
 */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { DmaBufError, errno } from '../errno.js';
import { type Kernel, WAIT_BOUND_MS } from '../kernel.js';
import { ACTOR } from '../memory/layout.js';
import type { RegionMemory, RegionToken } from '../substrate/memory.js';

/** What processes tell the broker. */
export type ToBroker =
  | { type: 'process'; actor: number; port: MessagePort }
  | { type: 'region'; region: number; generation: number; token: RegionToken }
  | { type: 'import'; region: number; generation: number; id: number }
  | { type: 'deliver'; region: number; generation: number; actor: number; id: number }
  | { type: 'dropped'; region: number }
  | { type: 'collect' }
  | { type: 'failed'; why: string }
  | { type: 'reset'; actor: number; why: string }
  | { type: 'hung'; actor: number; job: number; generation: number; why: string }
  | { type: 'leave' }
  | { type: 'shutdown' };

/** What the broker answers. A region that was delivered unasked has id 0. */
export type FromBroker =
  | { type: 'region'; region: number; generation: number; token: RegionToken; id: number }
  | { type: 'done'; id: number }
  | { type: 'error'; errno: number; detail: string; id: number };

type Unnumbered<T> = T extends { id: number } ? Omit<T, 'id'> : never;

export class BrokerPort {
  readonly #k: Kernel;
  readonly #port: MessagePort;
  readonly #delivered: { region: number; generation: number; memory: RegionMemory }[] = [];
  #id = 0;

  constructor(kernel: Kernel, port: MessagePort) {
    this.#k = kernel;
    this.#port = port;
  }

  post(message: Exclude<ToBroker, { id: number }>): void {
    const transfer = message.type === 'process' ? [message.port] : [];
    this.#port.postMessage(message, transfer);
  }

  /** Asks the broker and blocks until it has answered. */
  request(message: Unnumbered<Exclude<ToBroker, { type: 'import' }>>): void {
    this.#ask(message);
  }

  importRegion(region: number, generation: number): RegionMemory {
    const answer = this.#ask({ type: 'import', region, generation });
    if (answer.type === 'region') return this.#k.mem.importRegion(answer.token);
    throw new DmaBufError('EIO', 'import', `the broker answered '${answer.type}' to an import`);
  }

  /** Takes regions that were delivered unasked. */
  drain(keep: (region: number, generation: number, memory: RegionMemory) => void): void {
    for (;;) {
      const message = this.#receive();
      if (message === undefined) break;
      this.#stash(message);
    }
    for (const d of this.#delivered.splice(0)) keep(d.region, d.generation, d.memory);
  }

  close(): void {
    this.#port.close();
  }

  #ask(message: Unnumbered<ToBroker>): FromBroker {
    const { words, seam, actor } = this.#k;
    const id = ++this.#id;
    const bell = actor + ACTOR.PORT_BELL;
    this.#port.postMessage({ ...message, id });
    for (;;) {
      const seen = words.load(bell);
      for (let answer = this.#receive(); answer !== undefined; answer = this.#receive()) {
        if (answer.id === id) return this.#checked(answer);
        this.#stash(answer);
      }
      this.#k.check(message.type);
      if (seam.wait(words.i32, bell, seen, WAIT_BOUND_MS) === 'timeout') {
        this.#k.checkAfterSleep(message.type);
      }
    }
  }

  #checked(answer: FromBroker): FromBroker {
    if (answer.type !== 'error') return answer;
    throw DmaBufError.of(answer.errno || errno.EIO, 'import', answer.detail);
  }

  #receive(): FromBroker | undefined {
    const received: { message: FromBroker } | undefined = receiveMessageOnPort(this.#port);
    return received?.message;
  }

  #stash(message: FromBroker): void {
    if (message.type !== 'region') return;
    const memory = this.#k.mem.importRegion(message.token);
    const { region, generation } = message;
    this.#delivered.push({ region, generation, memory });
  }
}
