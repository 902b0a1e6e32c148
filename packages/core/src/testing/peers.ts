/**
 * Peers: real workers that join a machine and play roles, one after the other, as the conformance
 * suites' other processes and threads do.
 *
 * A role is a function that a module exports: `(machine, args) => result`. It is asked for by a
 * message, and its result comes back as one; both sides block in the machine's own calls. A peer
 * that throws answers with the errno name or the message.
 */
import { once } from 'node:events';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { boot, type BootOptions } from '../actor/boot.js';
import { join } from '../actor/join.js';
import type { JoinToken, Machine } from '../actor/machine.js';
import { DmaBufError } from '../errno.js';

/** What a suite's roles look like. */
export type Role = (machine: Machine, args: readonly number[]) => unknown;

interface Task {
  readonly token: JoinToken;
  readonly module: string;
}
interface Answer {
  readonly result?: unknown;
  readonly error?: string;
}

const LIMIT_MS = 20_000;

/** The peers of one machine, in the thread that started them. */
export class Peers {
  readonly machine: Machine;
  /** Actor ids. */
  readonly actors: readonly number[];
  readonly #ended: readonly Promise<unknown>[];
  readonly #workers: readonly Worker[];
  readonly #answers: Map<number, Answer[]> = new Map();
  readonly #killed: Set<number> = new Set();

  private constructor(
    machine: Machine,
    actors: readonly number[],
    workers: readonly Worker[],
    ended: readonly Promise<unknown>[],
  ) {
    this.machine = machine;
    this.actors = actors;
    this.#workers = workers;
    this.#ended = ended;
  }

  /** Starts `count` workers with the roles of a module; resolves when all have joined. */
  static async start(machine: Machine, module: URL, count: number): Promise<Peers> {
    const actors: number[] = [];
    const workers: Worker[] = [];
    const ended: Promise<unknown>[] = [];
    for (let i = 0; i < count; i++) {
      const { workerData: token, transferList } = machine.invite(`peer${i}`);
      const task: Task = { token, module: module.href };
      const worker = new Worker(new URL(import.meta.url), { workerData: task, transferList });
      actors.push(token.actor);
      workers.push(worker);
      ended.push(once(worker, 'exit'));
    }
    const peers = new Peers(machine, actors, workers, ended);
    for (const actor of actors) peers.result(actor);
    return peers;
  }

  /** Actor id of peer `i`. */
  actor(i: number): number {
    const actor = this.actors[i];
    if (actor === undefined) throw new RangeError(`there is no peer ${i}`);
    return actor;
  }

  /** Asks peer `i` to play a role. */
  play(i: number, role: string, ...args: readonly number[]): void {
    this.machine.send(this.actor(i), { role, args });
  }

  /** Blocks for what an actor's role returned; throws what it threw. */
  result(actor: number): unknown {
    for (;;) {
      const answer = this.#answers.get(actor)?.shift();
      if (answer?.error !== undefined) throw new Error(`peer ${actor}: ${answer.error}`);
      if (answer !== undefined) return answer.result;
      const { from, value } = this.machine.receive(LIMIT_MS);
      const known = this.#answers.get(from) ?? [];
      this.#answers.set(from, [...known, value as Answer]);
    }
  }

  /** What the roles of all peers returned, in the order of the peers. */
  results(): unknown[] {
    return this.actors.map((actor) => this.result(actor));
  }

  /** Terminates peer `i`, whatever it is doing. */
  async kill(i: number): Promise<void> {
    this.#killed.add(i);
    await this.#workers[i]?.terminate();
  }

  /** Asks all that are alive to leave, and resolves when their threads have ended. */
  async end(): Promise<void> {
    this.actors.forEach((actor, i) => {
      if (!this.#killed.has(i)) this.machine.send(actor, { role: '', args: [] });
    });
    await Promise.all(this.#ended);
  }
}

/**
 * Boots a machine with some peers for `act`, and finds no job left behind. Whatever happens, the machine is
 * shut down and no worker is left.
 */
export async function withPeers(
  module: URL,
  count: number,
  act: (peers: Peers, machine: Machine) => void | Promise<void>,
  options: BootOptions = {},
): Promise<void> {
  const machine = await boot(options);
  let peers: Peers | undefined;
  try {
    peers = await Peers.start(machine, module, count);
    await act(peers, machine);
    await peers.end();
    await noJobsLeft(machine);
  } finally {
    await machine.shutdown();
    for (let i = 0; i < count; i++) await peers?.kill(i);
  }
}

/** The reaper may still be giving back what the dead had. */
async function noJobsLeft(machine: Machine): Promise<void> {
  const until = performance.now() + 5000;
  while (machine.stats().jobs > 0) {
    if (performance.now() > until)
      throw new Error(`${machine.stats().jobs} jobs are left in the table`);
    await new Promise(setImmediate);
  }
}

async function playRoles({ token, module }: Task): Promise<void> {
  const machine = await join(token);
  const roles = (await import(module)) as Readonly<Record<string, Role>>;
  const main = 2;
  machine.send(main, { result: 'joined' });
  for (;;) {
    const value = messageOf(machine);
    if (value === undefined) return; // the machine is gone
    const { role, args } = value as { role: string; args: readonly number[] };
    if (role === '') break;
    machine.send(
      main,
      answerOf(() => roles[role]?.(machine, args)),
    );
  }
  await machine.leave();
}

function messageOf(machine: Machine): unknown {
  try {
    return machine.receive().value;
  } catch (error) {
    if (error instanceof DmaBufError && error.code === 'ENODEV') return undefined;
    throw error;
  }
}

function answerOf(play: () => unknown): Answer {
  try {
    return { result: play() };
  } catch (error) {
    return { error: error instanceof DmaBufError ? error.message : String(error) };
  }
}

if (
  !isMainThread &&
  workerData !== null &&
  typeof workerData === 'object' &&
  'module' in workerData
) {
  await playRoles(workerData as Task);
}
