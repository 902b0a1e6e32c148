/**
 * Queues, jobs with their claims, and the contexts that jobs are submitted to.
 */

/** A context: an ordered line of jobs for one target. Its fences signal in seqno order. */
export const CONTEXT = {
  STATE: 0, // generation if live, 0 if free: L(CONTEXT_LOCK)
  LOCK: 1, // held while a job of it is added: seqno order is queue order
  TARGET: 2, // at creation: actor id that runs its jobs
  OWNER: 3, // at creation: actor id
  SUBMITTED: 4, // double, L(LOCK): seqno of the newest job
  STARTED: 6, // double, target only: seqno of the last job taken in order
  COMPLETED: 8, // double, target only: seqno of the last fence that signalled (UNORDERED: unused)
  NAME: 10, // 8 words, at creation
  FLAGS: 18, // CONTEXT_FLAG.*, at creation
  GEN: 19, // L(CONTEXT_LOCK)
  ERRORS: 20, // target only: how many errors were ever put into the ring
  CLOSED: 21, // 1 = takes no more jobs; the last store of whoever ends it. Kept for its errors until
  // create() needs the slot, under CONTEXT_LOCK
  LOST: 22, // double, target only: highest seqno whose error was overwritten in the ring
  FINAL_ERROR: 24, // at close: −errno of all fences beyond FINAL_FROM (a closed timeline's), or 0
  FINAL_FROM: 26, // double
  RING: 28, // 9 × 4 words { seqno double; −errno; unused }, target only
  WORDS: 64,
} as const;
export const CONTEXT_RING_SIZE = 9;
export const CONTEXT_RING_WORDS = 4;
/**
 * UNORDERED: jobs start as they are granted (CPU access, callbacks), and anybody may complete them:
 * fences may signal in any order, and what "target only" says below is under LOCK.
 * EARLY: jobs are handed to their target when they are added, which waits for the grant by itself.
 * TIMELINE: beside UNORDERED: anybody completes them, but in the order of their points (sw_sync).
 * HIGH, LOW: its target starts ready jobs of it before, or after, those of other contexts.
 */
export const CONTEXT_FLAG = { UNORDERED: 1, EARLY: 2, TIMELINE: 4, HIGH: 8, LOW: 16 } as const;

/** A queue: the FIFO of claims on one buffer (design D6). All but LOCK is L(LOCK). */
export const QUEUE = {
  LOCK: 0, // owner actor + waiters bit
  HEAD: 1, // first link
  TAIL: 2,
  UNGRANTED: 3, // first link that is not granted: the granted ones are a prefix
  SHARED: 4, // granted shared links
  EXCLUSIVE: 5, // 1 while an exclusive link is granted
  SEQ: 6, // double: sequence of the job last added
  STATE: 8, // generation if live
  BUFFER: 9, // buffer that points here, or 0
  CONTENT_ERROR: 10, // −errno of the writer that failed (D8); by the exclusive holder, or a BOOKKEEP writer
  ORPHAN: 11, // ORPHAN.*: its buffer has no reference left; whoever empties the queue frees both
  LENGTH: 12, // links now in it
  GEN: 13, // L(BUFFER_LOCK)
  TAINTED: 14, // actor that was evicted and may still write (D9); 0 by a full overwrite, its exclusive holder
  MOVING: 15, // 1 while its exclusive holder moves the memory: no claim is BOOKKEEP then. 0 when that claim goes
  WORDS: 32,
} as const;

/** QUEUE.ORPHAN: NO, or WAITING for the last link to go; or −actor, who found it empty and frees it. */
export const ORPHAN = { NO: 0, WAITING: 1 } as const;

/** A job and its fence. */
export const JOB = {
  STATE: 0, // CAS: state, granted mask, waiters bit and generation in one word (see JOB_*)
  GEN: 1, // own (home) at allocation: all 32 bits of the generation
  HOLDS: 2, // L(FENCE_LOCK): points of sync files that pin the slot
  DEP_LOCK: 3, // lock of the list of those who wait for this fence
  DEP_HEAD: 4, // L(DEP_LOCK); stored and loaded atomically (see Fences.addWaiter)
  DEP_TAIL: 5, // L(DEP_LOCK)
  CONTEXT: 6, // this and all below up to the links: the adder, before it publishes PENDING
  OWNER: 7, // actor id of the adder
  TARGET: 8, // actor id that runs it
  HOME: 9, // actor id that took the slot (private list, or in use); 0 = the global list. See JobTable
  ERROR: 10, // −errno or 0: the completer, before DONE
  FLAGS: 11, // JOB_FLAG.*
  SEQNO: 12, // double: per context
  ORDER: 14, // double: Lamport sequence over the queues, L(all its queues)
  T_QUEUED: 16, // doubles, ms
  T_GRANTED: 18, // whoever set the last bit of the mask
  T_STARTED: 20, // the target; of holds before RUNNING. Of a job that waits for a time on its device: that time
  T_DONE: 22, // the completer
  START_AT: 24, // double, ms: not started before
  LIMIT: 26, // ms from start to complete; 0 = the machine's, −1 = none
  NEXT: 27, // global list of free jobs; PRIVATE, TAKEN: on its home's stack, in use
  PAYLOAD: 28, // bytes in its payload slot
  DEP_ERROR: 29, // CAS from 0: −errno of a failed dependency, or of a cancel
  LINKS: 30, // number of links
  COOKIE: 31, // integer payload, when FLAGS has INT_PAYLOAD; BARE: LISTED once it is on its timeline
  LINK: 32, // 10 × LINK records
  DEADLINE: 62, // double, ms: hint of a waiter, by anybody; the earliest wins; 0: none
  WORDS: 64,
} as const;

/** A claim of a job on a queue, or its wait for a fence. Words of JOB.LINK + i × LINK.WORDS. */
export const LINK = {
  PREV: 0, // L(lock of the list that it is in)
  NEXT: 1,
  TARGET: 2, // queue or job pointer | LINK_FLAG.*
  WORDS: 3,
} as const;
/** BOOKKEEP, beside the others: it keeps the buffer alive, waits for no claim, and no claim waits for it. */
export const LINK_FLAG = {
  EXCLUSIVE: 1,
  DISCARD: 2,
  FENCE: 4,
  MORE: 8,
  BOOKKEEP: 16,
  TARGET_MASK: -32,
} as const;

/** Links that fit into one job record; a job with more uses further records (see JobLinks). */
export const RECORD_LINKS = 10;
/** Links that a job may have in all. */
export const MAX_LINKS = 64;

/**
 * JOB.STATE = state (4 bits) | granted mask (12) | waiters (1) | low bits of GEN (15).
 *
 * ENDING, EVICTING, DONE, RECLAIM, and RUNNING of a job that ends by itself, have the id of the actor that
 * ends the job in place of the mask, whose bits are all set by then: of several that try to end it, a
 * recoverer of one can tell whether it was the one.
 */
export const JOB_STATE = {
  FREE: 0,
  BUILDING: 1, // being added; fence bits may already arrive
  PENDING: 2, // queued; becomes READY when the mask is full
  READY: 3, // granted, in its target's ready set (or its adder is being woken)
  RUNNING: 4, // claimed by its target
  DONE: 5, // fence signalled; claims still held
  RELEASED: 6, // fence signalled; claims gone; pinned by sync files
  CANCELLING: 7, // its owner made this transition and takes its links back
  RECALLING: 11, // the same by a recoverer, of which there is one
  ENDING: 8, // a hold: its own thread made this transition and ends it
  EVICTING: 10, // a hold past its limit, or of a dead thread: somebody else made this transition and ends it
  RECLAIM: 9, // to be freed by whoever made this transition
} as const;
export const JOB_STATE_MASK = 0xf;
export const JOB_GRANT_SHIFT = 4;
export const JOB_GRANT_MASK = 0xfff0;
/** Who ends a job, of a state word that says so. */
export function enderOf(state: number): number {
  return (state & JOB_GRANT_MASK) >> JOB_GRANT_SHIFT;
}
export const JOB_WAITERS = 0x10000;
export const JOB_GEN_SHIFT = 17;

/** JOB.NEXT of a slot on a private stack, and of one in use. */
export const PRIVATE = -1;
export const TAKEN = -2;
/** JOB.COOKIE of a BARE job that has been put on its timeline (or found to be past). */
export const LISTED = 1;

export const JOB_FLAG = {
  BLOCKING: 1, // its adder waits on JOB.STATE; not pushed to a ready set
  RUN_ANYWAY: 2, // run even if a dependency failed
  INT_PAYLOAD: 4, // payload is JOB.COOKIE
  EARLY: 8, // pushed when added; its target looks at JOB.STATE by itself (hardware semaphore)
  AUTO: 16, // ends by itself as soon as it is granted (an imported sync file)
  MORE: 32, // not a job: the further links of the job in JOB.CONTEXT (see JobLinks)
  BARE: 64, // a software timeline's fence: RUNNING until the timeline signals it
  AGAIN: 128, // by its target, while RUNNING: nothing has come of it, its next life is to be given it again
} as const;
