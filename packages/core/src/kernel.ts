/**
 * Kernel: one thread's door to kernel memory (design section 1, "the kernel is code plus shared
 * memory"). It binds the words to the calling actor and to the substrate seams; the subsystems
 * (queues, jobs, fds, …) are built on it and run in the calling thread, as a syscall does.
 */
import { Spin } from './actor/spin.js';
import { type Clock, manualClock, realClock } from './clock.js';
import { DmaBufError, errno } from './errno.js';
import { declareFault } from './fault.js';
import {
  ACTOR,
  ACTOR_STATE,
  BUFFER,
  CONTEXT,
  HEADER,
  HOLDER,
  JOB,
  MACHINE,
  MACHINE_FLAG,
  MAGIC,
  QUEUE,
  REGION,
  ROLE,
  SYNC_FILE,
  TIMELINE,
} from './memory/layout.js';
import { Locks } from './memory/lock.js';
import { readName, Table } from './memory/tables.js';
import type { Words } from './memory/words.js';
import type { Mem } from './substrate/memory.js';
import { KeepAlive, type Seam } from './substrate/seam.js';
import { TRACE_KIND, TraceRing } from './trace/ring.js';

/**
 * Longest single sleep, ms, of one who waits for something; after it every waiter re-reads the
 * machine's state. Who has nothing to do sleeps longer: see `Doorbell`.
 */
export const WAIT_BOUND_MS = 100;
/** A broker whose heartbeat stands still for this long, ms, is taken for dead. */
export const HEARTBEAT_LIMIT_MS = 2000;
/** Actor id of the broker: it is reserved first. */
export const BROKER = 1;
/** How often a thread that awaits something looks for it, ms: less than half of that. */
const BROKER_WATCH_MS = 800;

export class Kernel {
  readonly words: Words;
  readonly seam: Seam;
  readonly mem: Mem;
  readonly clock: Clock;
  readonly locks: Locks;
  readonly trace: TraceRing;
  readonly keepAlive: KeepAlive = new KeepAlive();
  readonly spin: Spin;
  /** Actor id of this thread. */
  readonly self: number;
  /** Pointer of its record. */
  readonly actor: number;
  readonly actors: Table;
  readonly contexts: Table;
  readonly regions: Table;
  readonly buffers: Table;
  readonly queues: Table;
  readonly jobs: Table;
  readonly timelines: Table;
  readonly syncFiles: Table;
  readonly holders: Table;
  #beat = -1;
  #beatSeen = 0;
  #beatAsked = 0;
  /** Whether this thread started the broker and so hears of its end. */
  hearsOfBroker = false;
  /** What a thread sees to now and then while it waits; no lock is held. */
  whileWaiting: () => void = () => {};
  #watchers = 0;
  #watch: NodeJS.Timeout | undefined;

  constructor(words: Words, self: number, seam: Seam, mem: Mem) {
    if (words.get(HEADER.MAGIC) !== MAGIC) {
      throw new TypeError('join: this token does not hold the kernel memory of a dmabuf machine');
    }
    this.words = words;
    this.seam = seam;
    this.mem = mem;
    this.self = self;
    const manual = (words.get(HEADER.FLAGS) & MACHINE_FLAG.MANUAL_CLOCK) !== 0;
    this.clock = manual ? manualClock(words) : realClock;
    this.locks = new Locks(words, seam, self, (syscall) => this.check(syscall));
    const table = (base: number, count: number, size: number, state: number, first = 0): Table =>
      new Table(words, words.get(base), words.get(count) + first, size, state, first);
    this.actors = table(HEADER.ACTORS, HEADER.ACTOR_COUNT, ACTOR.WORDS, ACTOR.STATE, 1);
    this.contexts = table(HEADER.CONTEXTS, HEADER.CONTEXT_COUNT, CONTEXT.WORDS, CONTEXT.STATE);
    this.regions = table(HEADER.REGIONS, HEADER.REGION_COUNT, REGION.WORDS, REGION.STATE, 1);
    this.buffers = table(HEADER.BUFFERS, HEADER.BUFFER_COUNT, BUFFER.WORDS, BUFFER.STATE);
    this.queues = table(HEADER.QUEUES, HEADER.QUEUE_COUNT, QUEUE.WORDS, QUEUE.STATE);
    this.jobs = table(HEADER.JOBS, HEADER.JOB_COUNT, JOB.WORDS, JOB.STATE);
    this.actor = this.actors.at(self);
    this.timelines = table(HEADER.TIMELINES, HEADER.TIMELINE_COUNT, TIMELINE.WORDS, TIMELINE.STATE);
    this.syncFiles = table(
      HEADER.SYNC_FILES,
      HEADER.SYNC_FILE_COUNT,
      SYNC_FILE.WORDS,
      SYNC_FILE.STATE,
    );
    this.holders = table(HEADER.HOLDERS, HEADER.HOLDER_COUNT, HOLDER.WORDS, HOLDER.STATE);
    this.trace = new TraceRing(words, self, this.actor, this.clock);
    this.spin = new Spin(this);
  }

  /** Throws when the machine has stopped (ENODEV) or lost a device for good (its errno). */
  check(syscall: string): void {
    const fault = this.words.load(HEADER.FAULT_ACTOR);
    if (fault !== 0) {
      const why = readName(this.words, HEADER.FAULT_TEXT, 40);
      throw DmaBufError.of(
        this.words.get(HEADER.FAULT_ERRNO) || -errno.EOWNERDEAD,
        syscall,
        `actor ${fault} '${this.nameOf(fault)}' died (${why}); shut the machine down and boot it again`,
      );
    }
    if (this.stopping) {
      throw new DmaBufError('ENODEV', syscall, 'the machine is shut down; boot a new one');
    }
  }

  get stopping(): boolean {
    return this.words.load(HEADER.STATE) === MACHINE.STOPPING;
  }

  /** Whether the machine has stopped or failed: no more work comes. */
  get over(): boolean {
    return this.stopping || this.words.load(HEADER.FAULT_ACTOR) !== 0;
  }

  /** {@link check}, and the broker's life sign: after each bounded sleep that timed out. */
  checkAfterSleep(syscall: string): void {
    this.check(syscall);
    this.whileWaiting();
    const beat = this.words.load(HEADER.HEARTBEAT);
    const now = performance.now();
    // Whoever has not looked for long (busy, or the whole process was stopped) starts anew.
    const awake = now - this.#beatAsked < HEARTBEAT_LIMIT_MS / 2;
    this.#beatAsked = now;
    if (beat !== this.#beat || !awake) {
      this.#beat = beat;
      this.#beatSeen = now;
    } else if (now - this.#beatSeen > HEARTBEAT_LIMIT_MS && beat !== 0) {
      this.brokerLost(`it has given no sign of life for ${HEARTBEAT_LIMIT_MS} ms`);
      this.check(syscall);
    }
  }

  /** The broker is gone, and nobody else hears of deaths: everybody's waits end with ENODEV. */
  brokerLost(why: string): void {
    declareFault(this, BROKER, -errno.ENODEV, why);
  }

  /**
   * While a thread awaits kernel memory it looks for the broker's life sign by itself, once a second, for what it
   * awaits has no bound. The booting thread need not: it hears of its end.
   */
  watchBroker(): () => void {
    if (this.hearsOfBroker) return () => {};
    this.#watchers++;
    this.#watch ??= setInterval(() => this.#look(), BROKER_WATCH_MS).unref();
    return () => {
      if (--this.#watchers > 0) return;
      clearInterval(this.#watch);
      this.#watch = undefined;
    };
  }

  #look(): void {
    try {
      this.checkAfterSleep('watch');
    } catch {
      // What it found is in the header now, and has woken whoever awaits something here.
    }
  }

  /** Whether an actor is there, or is a device that is about to be there again. */
  takesMail(actor: number): boolean {
    const known = Number.isInteger(actor) && actor > 0 && actor < this.actors.count;
    if (!known) return false;
    const at = this.actors.at(actor);
    const state = this.words.load(at + ACTOR.STATE);
    if (state === ACTOR_STATE.LIVE || state === ACTOR_STATE.RESTARTING) return true;
    return state === ACTOR_STATE.RESERVED && this.words.get(at + ACTOR.ROLE) === ROLE.DEVICE;
  }

  /** Whether an actor has died and is being settled. */
  isDead(actor: number): boolean {
    const state = this.words.load(this.actors.at(actor) + ACTOR.STATE);
    return state === ACTOR_STATE.DEAD || state === ACTOR_STATE.RESTARTING;
  }

  /** Which life of an actor's place this is: another after each death. */
  lifeOf(actor: number): number {
    return this.words.load(this.actors.at(actor) + ACTOR.GEN);
  }

  /** Throws ESRCH unless `actor` is the id of a live actor, or of a device that is being restarted. */
  mustLive(actor: number, syscall: string): void {
    if (this.takesMail(actor)) return;
    throw new DmaBufError('ESRCH', syscall, `actor ${actor} is not alive`);
  }

  /** Name of an actor, for messages. */
  nameOf(actor: number): string {
    return readName(this.words, this.actors.at(actor) + ACTOR.NAME, 8);
  }

  /** Counts a wake-up of this thread by somebody else (what "the main thread was needed" is). */
  countWakeup(): void {
    this.words.set(this.actor + ACTOR.WAKEUPS, this.words.get(this.actor + ACTOR.WAKEUPS) + 1);
    this.trace.emit(TRACE_KIND.WAKE, 0, 0, 0, 0);
  }
}
