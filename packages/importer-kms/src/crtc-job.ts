/**
 * Jobs of the CRTC's context, and commits made of them.
 */
import type { CommitCommand, CrtcCommand, FlipCommand, RemoveCommand } from './command.js';
import type { PlaneUpdate } from './plane-state.js';

/** What the CRTC needs of a job; core's Job is one. */
export interface ScanoutJob {
  readonly pointer: number;
  readonly context: number;
  readonly seqno: number;
  readonly blocker: number;
  readonly payload: unknown;
  readonly buffers: readonly { readonly record: { readonly ino: number } }[];
  defer(options?: { readonly again?: boolean }): void;
  waitUntil(ms: number): void;
  complete(error?: number): void;
  release(): void;
  finish(error?: number): void;
}

/** A job of a commit, and the plane that it changes; a flip's state is that of the plane as it is then. */
export interface Member {
  readonly job: ScanoutJob;
  readonly update: PlaneUpdate | undefined;
}

/** A command with all its jobs: what is shown, dropped or fails as one. */
export interface Commit {
  /** The first job. */
  readonly job: ScanoutJob;
  readonly command: FlipCommand | CommitCommand | RemoveCommand;
  /** All of them, in order; the caller has the fence of the last. */
  readonly members: readonly Member[];
}

/** Ends all jobs of a commit, in order. */
export function finishCommit({ members }: Commit, error: number): void {
  for (const { job } of members) job.finish(error);
}

/** The planes that a commit changes. */
export function planesOf({ command, members }: Commit): number[] {
  if (command.kind === 'flip') return [0];
  return members.flatMap(({ update }) => (update === undefined ? [] : [update.plane]));
}

export function isStart(command: CrtcCommand): boolean {
  return (command.kind === 'flip' || command.kind === 'commit') && command.start;
}

/** Whether a command waits until all flips before it are through. */
export function isBarrier(command: CrtcCommand): boolean {
  if (command.kind === 'rmfb' || isStart(command)) return true;
  return command.kind === 'commit' && command.mode !== undefined;
}

/** seqno of the job whose fence the caller has. */
export function lastOf({ job, members }: Commit): number {
  return members.at(-1)?.job.seqno ?? job.seqno;
}

/** Whether a commit is to show a framebuffer. */
export function shows({ command, members }: Commit, fb: number): boolean {
  if (command.kind === 'flip') return command.fb === fb;
  return members.some(({ update }) => update?.state.fb === fb);
}

/** Whether a commit puts something on planes at a vblank: what counters count. */
export function isFlip(commit: Commit): boolean {
  const { command } = commit;
  if (command.kind === 'commit') return command.mode === undefined && planesOf(commit).length > 0;
  return command.kind === 'flip';
}
