/**
 * Puts commits together that are several jobs: the first says how many follow, one behind the other.
 *
 * Owned by the CRTC. Submitters queue all jobs of a commit under the display's FLIP_LOCK, so nothing else
 * comes between them. What may be missing, and how that shows:
 * - the submitter died, or the job table was full, in the middle: BROKEN_SEQNO is its first job;
 * - the CRTC's worker died over one of the jobs, with which core has failed it: IN_HAND names it;
 * - anything else: the next job of the context is none of the commit's.
 * Such a commit fails as a whole; the jobs of it that come later are told why.
 */
import { errno } from '@dmabuf/core';
import type { CommitCommand, FlipCommand, PartCommand, RemoveCommand } from './command.js';
import type { Commit, Member, ScanoutJob } from './crtc-job.js';

interface Open {
  readonly job: ScanoutJob;
  readonly command: CommitCommand;
  readonly members: Member[];
  /** −errno of a member that failed, 0 so far. */
  error: number;
}

/** A commit that is whole now; with an error if it is to end so. */
export interface Assembled {
  readonly commit: Commit;
  readonly error: number;
}

export class CommitAssembly {
  #open: Open | undefined;

  /** Jobs of a commit that is not whole yet. */
  get pending(): boolean {
    return this.#open !== undefined;
  }

  /**
   * Takes the first job of a command; `error`: −errno of what it depended on, or 0. Returns the commits that
   * have been decided by it: one before it that was never whole, and itself if it is of one job.
   */
  first(
    job: ScanoutJob,
    command: FlipCommand | CommitCommand | RemoveCommand,
    error: number,
  ): Assembled[] {
    const decided = this.abandon(-errno.ECANCELED);
    if (command.kind !== 'commit') {
      decided.push({ commit: { job, command, members: [{ job, update: undefined }] }, error });
      return decided;
    }
    const open = { job, command, members: [{ job, update: command.update }], error };
    this.#open = open;
    decided.push(...this.#whole(open));
    return decided;
  }

  /** Takes a further job. Without its commit it is on its own: then it must fail, as undefined says. */
  part(job: ScanoutJob, { index, update }: PartCommand, error: number): Assembled[] | undefined {
    const open = this.#open;
    const follows =
      open !== undefined &&
      open.job.seqno + index === job.seqno &&
      open.members.length === index &&
      index <= open.command.parts;
    if (!follows) return undefined;
    open.members.push({ job, update });
    if (open.error === 0) open.error = error;
    return this.#whole(open);
  }

  /** Whether the open commit was to have a job with this seqno that it does not have. */
  misses(seqno: number): boolean {
    const open = this.#open;
    if (open === undefined) return false;
    const next = open.job.seqno + open.members.length;
    return seqno >= next && seqno <= open.job.seqno + open.command.parts;
  }

  /** Whether this is the first job of the open commit. */
  beganAt(seqno: number): boolean {
    return this.#open?.job.seqno === seqno;
  }

  /** Gives up an open commit. */
  abandon(error: number): Assembled[] {
    const open = this.#open;
    if (open === undefined) return [];
    this.#open = undefined;
    return [{ commit: open, error: open.error || error }];
  }

  #whole(open: Open): Assembled[] {
    if (open.members.length <= open.command.parts) return [];
    this.#open = undefined;
    return [{ commit: open, error: open.error }];
  }
}
