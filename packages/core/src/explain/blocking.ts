/**
 * Blocking: a thread that is about to sleep while others may wait for it says on what, and looks whether it
 * would close a circle of waits (EDEADLK, as of drm_exec and ww_mutex; design D6, D12).
 *
 * Only threads that somebody can be waiting for take part: those that hold claims (brackets, holds), and those
 * that serve jobs. For all others entering costs two local look-ups and touches no shared word.
 *
 * Publishing and looking are one step under WAIT_LOCK, after the job that is waited for has been added. So of
 * those who close a circle together the last one to get the lock sees all others, and it alone is refused;
 * nobody else needs to look again, since a queued job's edges only ever get fewer, and new ones come from
 * jobs whose own adder would have to sleep. The lock protects no content: that of a dead thread is freed.
 *
 * What is no deadlock: a sleep with a finite timeout (it ends with ETIME by itself, and is no link of anybody
 * else's circle either), `await` (it blocks no thread), and whatever a thread that is not asleep, a device, or
 * the owner of a software timeline may still do. A watchdog's limit is no way out: it damages what it ends.
 */
import { DmaBufError } from '../errno.js';
import type { Kernel } from '../kernel.js';
import { ACTOR, BLOCKED, HEADER, JOB_FLAG, JOB_STATE } from '../memory/layout.js';
import { isPendingStage } from '../sync/contexts.js';
import { actorName, queueName } from './names.js';
import { type JobNode, type JobRef, WaitForGraph } from './wait-for-graph.js';

/** Nodes that a look may visit: beyond it a circle is not searched for. */
const BOUND = 20_000;

type How = typeof BLOCKED.GRANT | typeof BLOCKED.FENCE;

export class Blocking {
  /** Claims that this thread holds: counted by its holds. */
  held = 0;
  readonly #k: Kernel;
  readonly #graph: WaitForGraph;

  constructor(kernel: Kernel) {
    this.#k = kernel;
    this.#graph = new WaitForGraph(kernel);
    kernel.words.store(kernel.actor + ACTOR.BLOCKED_HOW, 0);
  }

  /**
   * Before a sleep until a job is granted, or until its fence signals. True if {@link leave} must follow. EDEADLK:
   * it would never end, since that job waits for this thread.
   */
  enter(ref: JobRef, how: How, timed: boolean, syscall: string): boolean {
    if (!this.#isWaitedFor()) return false;
    if (timed) this.#publish(ref, how | BLOCKED.TIMED);
    else this.#enterForEver((search) => search.job(ref), ref, how, syscall);
    return true;
  }

  /** Before a sleep until one of the callbacks that this thread has armed is due. */
  enterAny(timed: boolean, syscall: string): boolean {
    if (!this.#isWaitedFor()) return false;
    const none = { job: 0, generation: 0 };
    const look = (search: Search): string | undefined => search.any(this.#k.self);
    if (timed) this.#publish(none, BLOCKED.ANY | BLOCKED.TIMED);
    else this.#enterForEver(look, none, BLOCKED.ANY, syscall);
    return true;
  }

  leave(): void {
    this.#k.words.store(this.#k.actor + ACTOR.BLOCKED_HOW, 0);
  }

  #isWaitedFor(): boolean {
    return this.held > 0 || this.#k.words.load(this.#k.actor + ACTOR.SERVING) !== 0;
  }

  #enterForEver(
    look: (search: Search) => string | undefined,
    on: JobRef,
    how: number,
    syscall: string,
  ): void {
    const { locks } = this.#k;
    let circle: string | undefined;
    locks.lock(HEADER.WAIT_LOCK);
    try {
      circle = look(new Search(this.#k, this.#graph));
      if (circle === undefined) this.#publish(on, how);
    } finally {
      locks.unlock(HEADER.WAIT_LOCK);
    }
    if (circle === undefined) return;
    const detail = `this thread would wait for ever: ${circle}. Release what it holds first, claim all buffers at once, or wait with a timeout`;
    throw new DmaBufError('EDEADLK', syscall, detail);
  }

  #publish({ job, generation }: JobRef, how: number): void {
    const { words, actor } = this.#k;
    words.store(actor + ACTOR.BLOCKED_HOW, 0);
    words.set(actor + ACTOR.BLOCKED_ON, job);
    words.set(actor + ACTOR.BLOCKED_GEN, generation);
    words.store(actor + ACTOR.BLOCKED_HOW, how);
  }
}

/**
 * One look: whether a job can end only after this thread has gone on, and by which way. All of what a job
 * waits for must happen, so one way back is enough; of what a thread in a wait for any waits for, one.
 * A node met again is taken as able to go on: a circle that this thread is not part of is not its affair.
 */
class Search {
  readonly #k: Kernel;
  readonly #graph: WaitForGraph;
  readonly #seen: Map<string, string | undefined> = new Map();

  constructor(kernel: Kernel, graph: WaitForGraph) {
    this.#k = kernel;
    this.#graph = graph;
  }

  /** The way from a job back to this thread, in words; undefined if it may end without it. */
  job(ref: JobRef): string | undefined {
    return this.#once(`job ${ref.job}:${ref.generation}`, () => {
      const node = this.#graph.read(ref);
      return node === undefined ? undefined : (this.#waits(node) ?? this.#hands(node));
    });
  }

  /** By what it waits for. */
  #waits(node: JobNode): string | undefined {
    if ((node.flags & JOB_FLAG.BARE) !== 0) return undefined;
    for (const edge of this.#graph.edges(node)) {
      for (const ref of edge.to) {
        const way = this.job(ref);
        if (way === undefined) continue;
        if (edge.kind !== 'claim') return way;
        return `${queueName(this.#k, edge.queue)} is ${way}`;
      }
    }
    return undefined;
  }

  /** By whoever has it in hand. */
  #hands(node: JobNode): string | undefined {
    const { stage, target, flags } = node;
    if ((flags & (JOB_FLAG.BARE | JOB_FLAG.AUTO)) !== 0) return undefined;
    const granted = stage === JOB_STATE.READY || stage === JOB_STATE.RUNNING;
    if (!granted && stage !== JOB_STATE.DONE) return undefined;
    const held = stage === JOB_STATE.READY ? 'waited for' : 'held';
    if (target === this.#k.self) return `${held} by this thread`;
    const way = this.#actor(target, stage);
    return way === undefined ? undefined : `${held} by ${actorName(this.#k, target)}, ${way}`;
  }

  /** By what a sleeping thread sleeps on. */
  #actor(actor: number, stage: number): string | undefined {
    const blocked = this.#graph.blockedOn(actor);
    if (blocked === undefined || blocked.timed) return undefined;
    if (blocked.how !== BLOCKED.ANY) {
      const node = this.#graph.read(blocked);
      if (node === undefined || !isPendingStage(node.stage)) return undefined;
      const granted = node.stage !== JOB_STATE.PENDING && node.stage !== JOB_STATE.BUILDING;
      if (blocked.how === BLOCKED.GRANT && granted) return undefined;
      const way = this.job(blocked);
      return way === undefined ? undefined : `which waits until ${way}`;
    }
    if (stage === JOB_STATE.READY) return undefined; // a callback, which it will run
    const way = this.#once(`any ${actor}`, () => this.any(actor));
    return way === undefined ? undefined : `which waits until ${way}`;
  }

  /** The way back from all callbacks that a thread has armed: one that may be due is enough to go on. */
  any(actor: number): string | undefined {
    let way: string | undefined;
    for (const callback of this.#graph.armed(actor)) {
      if (callback.stage === JOB_STATE.READY) return undefined;
      way = this.job(callback);
      if (way === undefined) return undefined;
    }
    return way;
  }

  #once(key: string, look: () => string | undefined): string | undefined {
    if (this.#seen.has(key) || this.#seen.size > BOUND) return this.#seen.get(key);
    this.#seen.set(key, undefined);
    const way = look();
    this.#seen.set(key, way);
    return way;
  }
}
