/** What the scenarios do with jobs, by the calls that everybody uses. */
import { Server } from '../../actor/server.js';
import type { Services } from '../../actor/services.js';
import type { IoctlHandler } from '../../actor/ipc.js';
import type { Job } from '../../actor/job.js';
import { DmaBufError } from '../../errno.js';
import { CONTEXT_FLAG, JOB, LINK_FLAG } from '../../memory/layout.js';
import type { FencePoint, JobSpec } from '../../sync/jobs.js';
import type { Actor, Data, End } from './scenario.js';

export const X: number = LINK_FLAG.EXCLUSIVE;

export function spec(
  context: number,
  claims: readonly number[],
  more: Partial<JobSpec> = {},
): JobSpec {
  return {
    context,
    claims,
    inFences: [],
    flags: 0,
    startAt: 0,
    limit: 0,
    payload: 0,
    ...more,
  };
}

/** A fence as plain numbers of a set-up's data, and back. */
export function pointData(name: string, { slot, generation, context, seqno }: FencePoint): Data {
  return {
    [`${name}Slot`]: slot,
    [`${name}Generation`]: generation,
    [`${name}Context`]: context,
    [`${name}Seqno`]: seqno,
  };
}

export function pointOf(data: Data, name: string): FencePoint {
  return {
    slot: at(data, `${name}Slot`),
    generation: at(data, `${name}Generation`),
    context: at(data, `${name}Context`),
    seqno: at(data, `${name}Seqno`),
  };
}

export function at(data: Data, name: string): number {
  const value = data[name];
  if (value === undefined) throw new RangeError(`the set-up has left no '${name}'`);
  return value;
}

/** Serves until the run ends. */
export function serve(
  { services }: Actor,
  run: (job: Job) => void = () => {},
  ioctl?: IoctlHandler,
): void {
  const { kernel, regions, jobs, bell, inbox, ipc } = services;
  const mail = { read: () => ipc.serve(ioctl), isEmpty: () => ipc.isEmpty };
  new Server(kernel, regions, jobs, bell, inbox, { run }, mail).run();
}

/** A job that is already running: its thread ends it by `jobs.finish(slot, 0)`. */
export function running(services: Services, claims: readonly number[]): FencePoint {
  const { jobs, kernel } = services;
  const context = jobs.contexts.create(kernel.self, 'held', CONTEXT_FLAG.UNORDERED);
  const fence = jobs.add(spec(context, claims));
  const taken: number[] = [];
  jobs.ready.take(kernel.self, taken);
  if (!jobs.claim(fence.slot)) throw new Error('the job was not granted');
  return fence;
}

/** Blocks until a fence has signalled; its status. */
export function await_({ services }: Actor, fence: FencePoint): number {
  return services.waiter.wait(fence, Infinity);
}

/** Says how a wait ended: the status shifted so that 0 means that it never did. */
export function noteStatus(actor: Actor, place: number, status: number): void {
  actor.note(place, status < 0 ? status : status + 1);
}

/** Whether all fences of the set-up's and the actors' have ended: none is pending. */
export function pendingJobs({ services, words }: End): number {
  const { kernel } = services;
  let pending = 0;
  for (let i = 0; i < kernel.jobs.count; i++) {
    const stage = words.get(kernel.jobs.at(i) + JOB.STATE) & 0xf;
    if (stage >= 1 && stage <= 4) pending++;
  }
  return pending;
}

export function nothingPending(end: End): string[] {
  const pending = pendingJobs(end);
  return pending === 0 ? [] : [`${pending} jobs are left pending`];
}

/** Every actor that was not killed has said that it came to its end. */
export function cameThrough(end: End, threads: readonly number[]): string[] {
  return threads
    .filter((thread) => !end.killed(thread) && end.note(thread, 0) === 0)
    .map((thread) => `actor ${thread} did not come through`);
}

/** The other one may have been killed: then the call says so. */
export function unlessGone(call: () => void): void {
  try {
    call();
  } catch (error) {
    if (!(error instanceof DmaBufError && error.code === 'ESRCH')) throw error;
  }
}
