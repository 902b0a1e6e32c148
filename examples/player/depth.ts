/**
 * How far ahead frames are queued, and how large the job table must be for that.
 *
 * Each frame takes three jobs (decode, render, flip) and a fourth when it is written back. Free
 * slots of the job table rest with the actors that freed them, up to 64 each: that much is kept in
 * reserve, and is why the depth is not simply the table divided by the jobs of a frame.
 */

const DEFAULT_JOBS = 4096;
const MAX_JOBS = 16384;
const RESERVE = 640;

export interface Depth {
  /** Frames queued before the first of them has been shown; at most the whole clip. */
  readonly depth: number;
  /** Jobs that the machine is booted with. */
  readonly jobs: number;
}

/** The depth for a clip: what was asked for, or all of it, as far as the largest table goes. */
export function chooseDepth(frames: number, jobsPerFrame: number, asked?: number): Depth {
  const fits = (jobs: number): number => Math.floor((jobs - RESERVE) / jobsPerFrame);
  const wanted = Math.min(frames, asked ?? fits(DEFAULT_JOBS));
  const jobs = Math.ceil((wanted * jobsPerFrame + RESERVE) / 32) * 32;
  const table = Math.min(MAX_JOBS, Math.max(DEFAULT_JOBS, jobs));
  return { depth: Math.max(1, Math.min(wanted, fits(table))), jobs: table };
}
