/**
 * Workers of the bench: those that join a machine and serve it, and bare ones. Each is started with a
 * role (workers/), tells its thread id for pinning, and posts what it has measured.
 */
import { once } from 'node:events';
import { Worker, type Transferable } from 'node:worker_threads';
import type { Machine, Peer } from '@dmabuf/core';

/** A thread with a role. */
export class Member {
  readonly worker: Worker;
  readonly name: string;
  /** Rejects when it ends. */
  readonly death: Promise<never>;
  #thread = 0;

  constructor(url: URL, name: string, data: object, transfer: readonly Transferable[] = []) {
    this.name = name;
    this.worker = new Worker(url, { workerData: data, transferList: [...transfer] });
    this.death = this.#death();
    this.death.catch(() => {});
  }

  /** Kernel id of its thread. */
  get thread(): number {
    return this.#thread;
  }

  /** Resolves when it runs; its first message is its thread id. */
  async started(): Promise<this> {
    this.#thread = Number(await this.next());
    return this;
  }

  /** The next message that it posts. */
  async next(): Promise<unknown> {
    const event = once(this.worker, 'message') as Promise<unknown[]>;
    const [message] = await Promise.race([event, this.death]);
    return message;
  }

  post(message: unknown, transfer: readonly Transferable[] = []): void {
    this.worker.postMessage(message, transfer);
  }

  async end(): Promise<void> {
    await this.worker.terminate();
  }

  async #death(): Promise<never> {
    const [code] = (await once(this.worker, 'exit')) as unknown[];
    throw new Error(`worker ${this.name} ended with code ${String(code)}`);
  }
}

/** A worker that is an actor of a machine. */
export interface Actor {
  readonly member: Member;
  readonly peer: Peer;
}

/** Starts a thread that joins `machine` and serves it in a role of workers/actor.ts. */
export async function enlist(
  machine: Machine,
  name: string,
  role: string,
  options: object = {},
): Promise<Actor> {
  const { workerData: token, transferList } = machine.invite(name);
  const url = new URL('../workers/actor.js', import.meta.url);
  const member = new Member(url, name, { token, role, options }, transferList);
  await member.started();
  return { member, peer: await machine.peer(name) };
}

/** Starts a thread that does not know the machine: a role of workers/bare.ts. */
export async function recruit(name: string, role: string, options: object = {}): Promise<Member> {
  const url = new URL('../workers/bare.js', import.meta.url);
  return new Member(url, name, { role, options }).started();
}
