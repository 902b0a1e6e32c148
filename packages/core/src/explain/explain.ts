/**
 * explain: why a fence has not signalled (design D12), as a tree that ends in culprits by name, and as text.
 *
 * A snapshot: what it says was true piece by piece while others went on. It changes nothing, blocks for no
 * job, and says each job once; where it would say it again, it refers to it, so circles end.
 */
import type { Kernel } from '../kernel.js';
import { ACTOR, ACTOR_STATE, BLOCKED, JOB, JOB_STATE, ROLE, TIMELINE } from '../memory/layout.js';
import type { Contexts } from '../sync/contexts.js';
import type { FencePoint } from '../sync/job-spec.js';
import { limitOf, type Limits } from '../sync/limits.js';
import { contextName, type JobKind, kindOfJob, queueName, sinceOf } from './names.js';
import { type Edge, type JobNode, type JobRef, WaitForGraph } from './wait-for-graph.js';

/** Where a chain of waits ends. */
export type CulpritKind =
  /** A job that its actor is running. */
  | 'running'
  /** Claims that a thread holds: an open bracket, or a hold. */
  | 'hold'
  /** A fence of a software timeline that nobody has advanced so far. */
  | 'timeline'
  /** A start time that has not come. */
  | 'start-time'
  /** Signalled, but its device keeps the buffers until it is done with them (a frame on screen). */
  | 'unreleased'
  /** Granted, and its actor has not taken it. */
  | 'not-started'
  /** Whoever had to go on is dead, being restarted, or has left. */
  | 'gone'
  /** The chain comes back to a job in it. */
  | 'circle';

/** What keeps a fence from signalling. Times are ms of the machine's clock. */
export interface Culprit {
  readonly kind: CulpritKind;
  readonly fence: FencePoint;
  /** Actor that would have to act. */
  readonly actor: number;
  readonly actorName: string;
  /** Since when. */
  readonly since: number;
  /** ms that it may take, 0: no limit. */
  readonly limit: number;
  /** One sentence. */
  readonly text: string;
}

/** A job on the way, and what it waits for. */
export interface ExplainedJob {
  readonly fence: FencePoint;
  readonly kind: JobKind;
  readonly state: 'waiting' | 'granted' | 'running' | 'signalled';
  readonly actor: number;
  readonly actorName: string;
  readonly ownerName: string;
  /** Name of its context. */
  readonly context: string;
  /** Since when it is in that state. */
  readonly since: number;
  readonly waitsFor: readonly ExplainedWait[];
  /** Why it does not go on, if that is not others. */
  readonly culprit: Culprit | undefined;
}

export interface ExplainedWait {
  readonly kind: 'buffer' | 'fence' | 'line' | 'actor';
  /** `buffer 7 'frame'`; undefined unless it waits for one. */
  readonly buffer: string | undefined;
  readonly access: 'exclusive' | 'shared' | undefined;
  /** Those in front of it that were followed. */
  readonly jobs: readonly ExplainedJob[];
  /** Those that were not, being too many or said before. */
  readonly more: number;
}

/** Which limit the culprits have that have one. */
const LIMITED: Readonly<Partial<Record<CulpritKind, keyof Limits>>> = {
  running: 'job',
  hold: 'hold',
  timeline: 'fence',
};

/** Jobs that one explanation follows, and how many of one wait. */
const MOST_JOBS = 64;
const MOST_PER_WAIT = 8;

/** What `machine.explain()` returns; `String()` of it is the chain as text. */
export class Explanation {
  /** Headline: the fence, or buffer, and whether anything is waited for. */
  readonly subject: string;
  readonly waits: readonly ExplainedWait[];
  readonly culprits: readonly Culprit[];
  readonly #now: number;

  constructor(subject: string, now: number, waits: readonly ExplainedWait[]) {
    this.subject = subject;
    this.#now = now;
    this.waits = waits;
    this.culprits = culpritsOf(waits);
  }

  toString(): string {
    const lines = [this.subject];
    for (const wait of this.waits) this.#wait(lines, wait, '  ');
    for (const { text } of this.culprits) lines.push(`culprit: ${text}`);
    return lines.join('\n');
  }

  #wait(lines: string[], wait: ExplainedWait, indent: string): void {
    if (wait.buffer !== undefined) {
      const access = wait.access === undefined ? 'is claimed' : `wanted ${wait.access}, held`;
      lines.push(`${indent}${wait.buffer}, ${access} by`);
    } else if (wait.kind === 'line') lines.push(`${indent}behind, in its context,`);
    else if (wait.kind === 'actor') lines.push(`${indent}whose thread is waiting for`);
    else lines.push(`${indent}the fence of`);
    for (const job of wait.jobs) this.#job(lines, job, `${indent}  `);
    if (wait.more > 0) lines.push(`${indent}  and ${wait.more} more`);
  }

  #job(lines: string[], job: ExplainedJob, indent: string): void {
    const { context, seqno } = job.fence;
    const age = (this.#now - job.since).toFixed(1);
    const by = job.ownerName === job.actorName ? '' : `, queued by '${job.ownerName}'`;
    const name = `${job.kind} ${context}:${seqno} of '${job.actorName}' (context '${job.context}'${by})`;
    lines.push(`${indent}${name}: ${job.state} for ${age} ms`);
    for (const wait of job.waitsFor) this.#wait(lines, wait, `${indent}  `);
  }
}

function culpritsOf(waits: readonly ExplainedWait[]): Culprit[] {
  const found: Culprit[] = [];
  for (const { jobs } of waits) {
    for (const job of jobs) {
      if (job.culprit !== undefined) found.push(job.culprit);
      found.push(...culpritsOf(job.waitsFor));
    }
  }
  return found;
}

/** Follows waits from a fence, or from a queue, to whoever does not go on. */
export class Explainer {
  readonly #k: Kernel;
  readonly #contexts: Contexts;
  readonly #graph: WaitForGraph;
  readonly #now: number;
  /** Jobs on the way from the subject to where we are, and all that were said. */
  readonly #path: Set<string> = new Set();
  readonly #said: Set<string> = new Set();

  constructor(kernel: Kernel, contexts: Contexts) {
    this.#k = kernel;
    this.#contexts = contexts;
    this.#graph = new WaitForGraph(kernel);
    this.#now = kernel.clock.now();
  }

  /** Why a pending fence has not signalled. */
  fence(fence: FencePoint): Explanation {
    const ref = { job: fence.slot, generation: fence.generation };
    const subject = `fence ${fence.context}:${fence.seqno} has not signalled:`;
    const jobs = this.#job(ref);
    const wait = { buffer: undefined, access: undefined, jobs, more: 0 };
    return new Explanation(subject, this.#now, [{ kind: 'fence', ...wait }]);
  }

  /** Who has claims on a queue, and what they wait for. */
  queue(queue: number): Explanation {
    const name = queueName(this.#k, queue);
    const claims = this.#graph.claimsIn(queue);
    if (claims.length === 0) return new Explanation(`${name} is free`, this.#now, []);
    const refs = claims.map(({ ref }) => ref);
    const subject = `${name} is claimed by ${claims.length} jobs:`;
    const wait = { kind: 'buffer', buffer: name, access: undefined, ...this.#all(refs) } as const;
    return new Explanation(subject, this.#now, [wait]);
  }

  /** What is said of a job; nothing if it is gone by now. */
  #job(ref: JobRef): ExplainedJob[] {
    const node = this.#graph.read(ref);
    if (node === undefined) return [];
    const key = keyOf(ref);
    if (this.#path.has(key)) return [this.#explained(node, [], this.#culprit(node, 'circle'))];
    this.#path.add(key);
    this.#said.add(key);
    const waitsFor = this.#graph.edges(node).map((edge) => this.#edge(edge));
    const stuck = waitsFor.length === 0;
    const behind = stuck ? this.#actor(node) : undefined;
    if (behind !== undefined) waitsFor.push(behind);
    const culprit = stuck && behind === undefined ? this.#end(node) : undefined;
    this.#path.delete(key);
    return [this.#explained(node, waitsFor, culprit)];
  }

  #edge(edge: Edge): ExplainedWait {
    const { kind, queue, exclusive, to } = edge;
    const { jobs, more } = this.#all(to);
    if (kind !== 'claim') return { kind, buffer: undefined, access: undefined, jobs, more };
    const access = exclusive ? 'exclusive' : 'shared';
    return { kind: 'buffer', buffer: queueName(this.#k, queue), access, jobs, more };
  }

  /** Those that can be followed: not said before, unless the chain comes back to them. */
  #all(refs: readonly JobRef[]): { jobs: ExplainedJob[]; more: number } {
    const jobs: ExplainedJob[] = [];
    let followed = 0;
    for (const ref of refs) {
      const key = keyOf(ref);
      const again = this.#said.has(key) && !this.#path.has(key);
      if (again || followed >= MOST_PER_WAIT || this.#said.size >= MOST_JOBS) continue;
      followed++;
      jobs.push(...this.#job(ref));
    }
    return { jobs, more: refs.length - followed };
  }

  /** What the thread that has a job in hand, or is to take it, is at instead. */
  #actor(node: JobNode): ExplainedWait | undefined {
    const kind = kindOfJob(node);
    if (kind === 'timeline' || kind === 'sync-file') return undefined;
    const { words } = this.#k;
    const due = words.getDouble(node.job + JOB.START_AT) <= this.#now;
    const busy =
      node.stage === JOB_STATE.READY && due
        ? this.#graph.runningOn(node.target, node.job)
        : undefined;
    const on = busy ?? this.#blockedOn(node.target);
    if (on === undefined || on.job === node.job) return undefined;
    const { jobs, more } = this.#all([on]);
    return { kind: 'actor', buffer: undefined, access: undefined, jobs, more };
  }

  #blockedOn(actor: number): JobRef | undefined {
    const blocked = this.#graph.blockedOn(actor);
    return blocked === undefined || blocked.how === BLOCKED.ANY ? undefined : blocked;
  }

  /** Why a job that waits for no other does not go on. */
  #end(node: JobNode): Culprit {
    const { words } = this.#k;
    const kind = kindOfJob(node);
    if (kind === 'timeline') return this.#culprit(node, 'timeline');
    if (!this.#graph.isLive(node.target)) return this.#culprit(node, 'gone');
    if (node.stage === JOB_STATE.DONE) return this.#culprit(node, 'unreleased');
    if (kind === 'hold' || kind === 'callback') {
      const held = node.stage === JOB_STATE.RUNNING;
      return this.#culprit(node, held ? 'hold' : 'not-started');
    }
    if (node.stage === JOB_STATE.RUNNING) return this.#culprit(node, 'running');
    const early = words.getDouble(node.job + JOB.START_AT) > this.#now;
    return this.#culprit(node, early ? 'start-time' : 'not-started');
  }

  #culprit(node: JobNode, kind: CulpritKind): Culprit {
    const actor = kind === 'timeline' ? node.owner : node.target;
    const actorName = this.#k.nameOf(actor);
    const since = sinceOf(this.#k, node);
    const limit = this.#limitOf(node, kind);
    const text = this.#text(node, kind, actorName, since, limit);
    return { kind, fence: this.#pointOf(node), actor, actorName, since, limit, text };
  }

  #text(node: JobNode, kind: CulpritKind, who: string, since: number, limit: number): string {
    const { words } = this.#k;
    const { context, seqno } = this.#pointOf(node);
    const id = `${context}:${seqno}`;
    const age = `${(this.#now - since).toFixed(1)} ms`;
    const bound = limit === 0 ? 'no limit' : `limit ${limit} ms`;
    const line = contextName(this.#k, node.context);
    switch (kind) {
      case 'running':
        return `'${who}' has been running job ${id} for ${age} (${bound})`;
      case 'hold':
        return `'${who}' has held its claims (${id}) for ${age} (${bound}) and is not waiting for anything`;
      case 'timeline':
        return `timeline '${line}' of '${who}' has not reached ${seqno} (${this.#valueOf(node)}; ${bound})`;
      case 'start-time': {
        const left = words.getDouble(node.job + JOB.START_AT) - this.#now;
        return `job ${id} of '${who}' is not to start for another ${left.toFixed(1)} ms`;
      }
      case 'unreleased':
        return `'${who}' has done job ${id} ${age} ago and still keeps its buffers (a frame on screen until it is replaced)`;
      case 'gone':
        return `'${who}', which has job ${id}, ${this.#fateOf(node.target)}`;
      case 'circle':
        return `job ${id} of '${who}' waits for itself: a deadlock`;
      default:
        return `'${who}' has not taken job ${id}, which was granted ${age} ago (${this.#stateOf(node.target)})`;
    }
  }

  /** 0: none. A job that a process serves has none, see {@link Limits}. */
  #limitOf({ job, target }: JobNode, kind: CulpritKind): number {
    const { words, actors } = this.#k;
    const process = words.get(actors.at(target) + ACTOR.ROLE) !== ROLE.DEVICE;
    const of = LIMITED[kind];
    if (of === undefined || (of === 'job' && process)) return 0;
    const limit = limitOf(words, job, of);
    return limit === Infinity ? 0 : limit;
  }

  #valueOf({ context }: JobNode): string {
    const { words, timelines } = this.#k;
    for (const timeline of timelines.live()) {
      if (words.get(timeline + TIMELINE.CONTEXT) !== context) continue;
      return `it stands at ${words.getDouble(timeline + TIMELINE.VALUE)}`;
    }
    return 'it is closed';
  }

  #fateOf(actor: number): string {
    const { words, actors } = this.#k;
    const state = words.load(actors.at(actor) + ACTOR.STATE);
    if (state === ACTOR_STATE.RESTARTING || state === ACTOR_STATE.RESERVED)
      return 'is being restarted';
    return state === ACTOR_STATE.DEAD ? 'is dead' : 'has left the machine';
  }

  #stateOf(actor: number): string {
    const { words, actors } = this.#k;
    const at = actors.at(actor);
    if (words.load(at + ACTOR.SERVING) !== 0) return 'it serves';
    return words.get(at + ACTOR.ROLE) === ROLE.DEVICE ? 'it does not serve' : 'it does not pump';
  }

  #explained(
    node: JobNode,
    waitsFor: readonly ExplainedWait[],
    culprit: Culprit | undefined,
  ): ExplainedJob {
    const { target, owner } = node;
    return {
      fence: this.#pointOf(node),
      kind: kindOfJob(node),
      state: stateOf(node),
      actor: target,
      actorName: this.#k.nameOf(target),
      ownerName: this.#k.nameOf(owner),
      context: contextName(this.#k, node.context),
      since: sinceOf(this.#k, node),
      waitsFor,
      culprit,
    };
  }

  #pointOf({ job, generation, context, seqno }: JobNode): FencePoint {
    return { slot: job, generation, context: this.#contexts.idOf(context), seqno };
  }
}

function stateOf({ stage }: JobNode): ExplainedJob['state'] {
  if (stage === JOB_STATE.DONE) return 'signalled';
  if (stage === JOB_STATE.PENDING || stage === JOB_STATE.BUILDING) return 'waiting';
  return stage === JOB_STATE.READY ? 'granted' : 'running';
}

function keyOf({ job, generation }: JobRef): string {
  return `${job}:${generation}`;
}
