/**
 * The storm: real workers that do at random whatever processes do, put to death at random, and the device
 * that they submit to as well; the others go on. Between rounds everybody rests, and the invariants of all
 * tables are checked.
 */
import { Worker } from 'node:worker_threads';
import { boot } from '../actor/boot.js';
import type { Machine } from '../actor/machine.js';
import type { DmaBuf } from '../dmabuf/dmabuf.js';
import { Kernel } from '../kernel.js';
import { ACTOR, ACTOR_STATE, ASLEEP, JOB, JOB_STATE, JOB_STATE_MASK } from '../memory/layout.js';
import { threadMem } from '../substrate/memory.js';
import { threadSeam } from '../substrate/seam.js';
import { shared } from '../sync/context.js';
import { testDriver } from './driver.js';
import { checkInvariants } from './invariants.js';
import { Random } from './random.js';
import { STORM, stormBase, type StormTask } from './storm-task.js';

export interface StormOptions {
  readonly seed: number;
  /** Deaths in all. */
  readonly deaths: number;
}

export interface StormResult {
  readonly deaths: number;
  /** Of them, those of the device. */
  readonly resets: number;
  /** Times that everybody rested and all tables were checked. */
  readonly checks: number;
  /** What the workers did. */
  readonly acts: number;
  readonly faults: string[];
}

/** At work, or on the way. */
const WORKERS = 5;
/** At work at least, when one dies. */
const FEWEST = 2;
const BUFFERS = 3;
/** Deaths between two checks. */
const ROUND = 12;
/** Longest that anything may take, ms. */
const LIMIT_MS = 60_000;

interface Flier {
  readonly worker: Worker;
  readonly gone: Promise<void>;
}

export async function storm({ seed, deaths }: StormOptions): Promise<StormResult> {
  const weather = new Weather(await boot(storming()), new Random(seed), seed);
  try {
    return await weather.blow(deaths);
  } finally {
    await weather.end();
  }
}

function storming(): Parameters<typeof boot>[0] {
  const tables = { jobs: 128, contexts: 64, actors: 24, buffers: 32, queues: 40, regions: 40 };
  return { tables, drivers: [testDriver({ dev0: 'work' })] };
}

class Weather {
  readonly #machine: Machine;
  readonly #random: Random;
  readonly #kernel: Kernel;
  readonly #at: number;
  readonly #device: number;
  readonly #buffers: DmaBuf[];
  readonly #fliers: Flier[] = [];
  readonly #faults: string[] = [];
  #seed: number;
  #started = 0;
  #starting = 0;
  #resets = 0;
  #checks = 0;

  constructor(machine: Machine, random: Random, seed: number) {
    this.#machine = machine;
    this.#random = random;
    this.#seed = seed;
    const { words, base } = machine.driver('test');
    this.#kernel = new Kernel(words, machine.self, threadSeam, threadMem);
    this.#at = stormBase(base);
    this.#device = machine.device('/dev/dev0').actor;
    this.#buffers = Array.from({ length: BUFFERS }, () => machine.alloc(4096));
  }

  async blow(deaths: number): Promise<StormResult> {
    for (let i = 0; i < WORKERS; i++) this.#start();
    for (let done = 0; done < deaths; done++) {
      await this.#until('a worker is there to die', () => this.#fliers.length >= FEWEST);
      await this.#killOne();
      if ((done + 1) % ROUND === 0 || done + 1 === deaths) await this.#check();
      if (this.#faults.length > 0) return this.#result(done + 1);
    }
    return this.#result(deaths);
  }

  async end(): Promise<void> {
    for (const { worker } of this.#fliers) await worker.terminate();
    await this.#machine.shutdown();
  }

  #result(deaths: number): StormResult {
    const [resets, checks, faults] = [this.#resets, this.#checks, this.#faults];
    return { deaths, resets, checks, acts: this.#word(STORM.ACTS), faults };
  }

  #word(word: number): number {
    return this.#kernel.words.load(this.#at + word);
  }

  /** One more worker: among the fliers when it is at work. */
  #start(): void {
    const { workerData: token, transferList } = this.#machine.invite(`w${++this.#started % 100}`);
    const task: StormTask = { token, seed: ++this.#seed, device: this.#device, buffers: BUFFERS };
    const worker = new Worker(new URL('./storm.test-helper.js', import.meta.url), {
      workerData: task,
      transferList,
    });
    worker.on('error', (error) => void this.#faults.push(`a worker threw: ${String(error.stack)}`));
    const gone = new Promise<void>((resolve) => {
      worker.on('exit', () => resolve());
    });
    this.#starting++;
    worker.on('message', (what: 'joined' | 'ready') => {
      if (what === 'joined') {
        for (const buffer of this.#buffers) this.#machine.passFd(token.actor, buffer.fd);
        return;
      }
      this.#starting--;
      this.#fliers.push({ worker, gone });
    });
  }

  #stateOf(actor: number): number {
    return this.#kernel.words.load(this.#kernel.actors.at(actor) + ACTOR.STATE);
  }

  /** A worker, or one time in eight the device, dies amid whatever it does; a new one takes its place. */
  async #killOne(): Promise<void> {
    const acts = this.#word(STORM.ACTS);
    await new Promise((resolve) => {
      setTimeout(resolve, this.#random.below(4));
    });
    if (this.#random.below(8) === 0) {
      // A reset of one that is about to start does nothing.
      const alive = (): boolean => this.#stateOf(this.#device) === ACTOR_STATE.LIVE;
      await this.#until('the device is there', alive);
      const { restarts } = this.#machine.actorStats(this.#device);
      this.#machine.resetDevice(this.#device);
      this.#resets++;
      const again = (): boolean => this.#machine.actorStats(this.#device).restarts > restarts;
      await this.#until('the device starts again', again);
    } else {
      const [flier] = this.#fliers.splice(this.#random.below(this.#fliers.length), 1);
      await flier?.worker.terminate();
      await flier?.gone;
      this.#start();
    }
    await this.#until('the others go on', () => this.#word(STORM.ACTS) > acts);
  }

  /** Everybody rests; the machine is looked at; then they go on. */
  async #check(): Promise<void> {
    const { words } = this.#kernel;
    await this.#until('everybody is at work', () => this.#starting === 0);
    words.store(this.#at + STORM.PAUSED, 0);
    words.store(this.#at + STORM.PAUSE, 1);
    await this.#until('everybody rests', () => this.#word(STORM.PAUSED) === this.#fliers.length);
    await this.#until('the dead are recovered', () => this.#noneIsDead());
    const probe = this.#machine.createContext(this.#device);
    const status = probe
      .submit({ buffers: this.#buffers.map(shared), payload: 'work', onError: 'run' })
      .wait(LIMIT_MS);
    probe.close();
    if (status !== 1) this.#faults.push(`a job of the onlooker's ended with ${status}`);
    await this.#until('all jobs end', () => this.#allFree());
    await this.#until('the device sleeps', () => this.#deviceSleeps());
    this.#faults.push(...checkInvariants(this.#kernel));
    const { buffers } = this.#machine.stats();
    if (buffers !== BUFFERS) this.#faults.push(`${buffers} buffers are alive, not ${BUFFERS}`);
    this.#checks++;
    words.store(this.#at + STORM.PAUSE, 0);
    threadSeam.notify(words.i32, this.#at + STORM.PAUSE, 0x7fffffff);
  }

  /** Not even on the way to the free list: the device may be at that when its fence has signalled. */
  #allFree(): boolean {
    const { words, jobs } = this.#kernel;
    for (let i = 0; i < jobs.count; i++) {
      if ((words.load(jobs.at(i) + JOB.STATE) & JOB_STATE_MASK) !== JOB_STATE.FREE) return false;
    }
    return true;
  }

  /** Before it does it gives slots back that are free already, under a lock. */
  #deviceSleeps(): boolean {
    const { words, actors } = this.#kernel;
    return words.load(actors.at(this.#device) + ACTOR.WAITING) === ASLEEP;
  }

  #noneIsDead(): boolean {
    const { actors } = this.#kernel;
    for (let actor = 1; actor < actors.count; actor++) {
      const state = this.#stateOf(actor);
      if (state === ACTOR_STATE.DEAD || state === ACTOR_STATE.RESTARTING) return false;
    }
    const live = [...actors.live()].map((at) => actors.indexOf(at)).filter((a) => this.#isFlier(a));
    return live.length === this.#fliers.length && this.#stateOf(this.#device) === ACTOR_STATE.LIVE;
  }

  #isFlier(actor: number): boolean {
    return /^w\d+$/.test(this.#kernel.nameOf(actor));
  }

  async #until(what: string, done: () => boolean): Promise<void> {
    for (const start = performance.now(); !done();) {
      if (this.#faults.length > 0) throw new Error(this.#faults.join('; '));
      if (performance.now() - start > LIMIT_MS) throw new Error(`it has not happened: ${what}`);
      await new Promise((resolve) => {
        setTimeout(resolve, 1);
      });
    }
  }
}
