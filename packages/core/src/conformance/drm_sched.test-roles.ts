// The mock engine of the DRM scheduler's tests: a device whose jobs end when they are told to, or when their
// time is up; and the threads that submit to it.
import type { Job } from '../actor/job.js';
import type { Machine } from '../actor/machine.js';
import type { Device, DeviceFactory, DriverSpec } from '../actor/spec.js';
import { DmaBufError, errno } from '../errno.js';

export const ENGINE = '/dev/mock-sched';
const LIMIT_MS = 20_000;

export interface EngineOptions {
  /** Jobs that it has in hand at one time. Default: any number. */
  readonly credits?: number;
}

export function mockEngine(options: EngineOptions = {}): DriverSpec {
  const module = import.meta.url;
  const device = { name: 'mock-sched', path: ENGINE, module, options };
  return { name: 'mock-sched', module, words: 32, devices: [device] };
}

export const driver = { init: () => undefined };

/** A job's payload is how many µs it takes, one after the other; 0: until it is told to end. */
class Engine implements Device {
  readonly #machine: Machine;
  readonly #credits: number;
  readonly #inHand: { readonly job: Job; readonly us: number; readonly from: number }[] = [];
  #free = 0;

  constructor(machine: Machine, { credits = Infinity }: EngineOptions) {
    this.#machine = machine;
    this.#credits = credits;
  }

  run(job: Job): void {
    job.defer();
    const us = Number(job.payload);
    this.#inHand.push({ job, us, from: Math.max(this.#machine.now(), this.#free) });
    this.#free = this.#endOf(this.#inHand.length - 1);
  }

  accepts(): boolean {
    return this.#inHand.length < this.#credits;
  }

  tick(now: number): number {
    while (this.#inHand.length > 0 && this.#endOf(0) <= now) this.#inHand.shift()?.job.finish();
    return this.#inHand.length > 0 ? this.#endOf(0) : Infinity;
  }

  /** ADVANCE: ends so many jobs, oldest first; how many there were. */
  ioctl(request: string, args: unknown): unknown {
    if (request !== 'ADVANCE') throw new DmaBufError('ENOTTY', request, 'knows ADVANCE');
    const ended = this.#inHand.splice(0, Number(args));
    for (const { job } of ended) job.finish();
    return ended.length;
  }

  /** The driver's cancel_job, for all that is pending. */
  stop(): void {
    for (const { job } of this.#inHand.splice(0)) job.finish(-errno.ECANCELED);
  }

  #endOf(i: number): number {
    const { us = 0, from = 0 } = this.#inHand[i] ?? {};
    return us === 0 ? Infinity : from + us / 1000;
  }
}

export const createDevice: DeviceFactory = ({ machine, spec }) => {
  const engine = new Engine(machine, spec.options as EngineOptions);
  return {
    run: (job) => engine.run(job),
    accepts: () => engine.accepts(),
    tick: (now) => engine.tick(now),
    ioctl: (request, args) => engine.ioctl(request, args),
    stop: () => engine.stop(),
  };
};

/** Submits jobs to some contexts in turn, all at once. */
export function submitAll(machine: Machine, [jobs = 0, ...ids]: readonly number[]): void {
  const contexts = ids.map((id) => machine.contextById(id));
  for (let i = 0; i < jobs; i++) for (const context of contexts) context.submit({ payload: 0 });
}

/** Keeps `window` jobs of `us` µs in flight on a context, until it has submitted them all; how many succeeded. */
export function keepInFlight(machine: Machine, args: readonly number[]): number {
  const [id = 0, jobs = 0, window = 1, us = 1] = args;
  const context = machine.contextById(id);
  const fences = [];
  let good = 0;
  for (let i = 0; i < jobs + window; i++) {
    if (i >= window && fences[i - window]?.wait(LIMIT_MS) === 1) good++;
    if (i < jobs) fences.push(context.submit({ payload: us }));
  }
  return good;
}
