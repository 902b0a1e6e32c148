/**
 * Actors, and what each has of its own: a mailbox, a trace ring, entries of its fd table.
 */

/** An actor: a thread that joined, be it a device, the broker or a process of the user's. */
export const ACTOR = {
  STATE: 0, // ACTOR_STATE.*: L(ACTOR_LOCK) to reserve; then own; DEAD and FREE by the broker
  GEN: 1, // L(ACTOR_LOCK): grows with each reservation of the slot
  WAITING: 2, // doorbell: own stores ASLEEP before sleeping; a ringer exchanges it for 0
  WAKEUPS: 3, // own: times that this thread was woken from a kernel wait by somebody else
  FINISHING_GEN: 4, // own, before FINISHING: which life of that slot
  INTENT: 5, // own: job that is being granted or pushed right now (recovery re-pushes it)
  FINISHING: 6, // own: job that is being completed, cancelled or released right now
  SERVING: 7, // own: 1 while it takes jobs from its ready set
  DEADLINE: 8, // double, own: ms at which a timed sleep ends (manual clock); Infinity if untimed
  ROLE: 10, // ROLE.*: at reservation
  PORT_BELL: 11, // broker adds 1 after it posted to this actor's port; the actor waits on it
  NAME: 12, // 8 words, at reservation: UTF-8, NUL-padded
  COPIED: 20, // double, own: bytes of buffer content that this actor's handlers reported copied
  JOBS_DONE: 22, // own
  JOBS_FAILED: 23, // own
  TRACED: 24, // own, atomic store: trace records ever written; the ring's head is this modulo size
  MOVES: 25, // atomic add by whoever moved a buffer that this actor attached dynamically; waited on
  RESTARTS: 26, // broker: deaths of this device before its present life
  SERVED: 27, // own: 1 once it has served; 0 by the broker before a next life
  // What this thread sleeps on while others may wait for it (explain/blocking): own, BLOCKED_HOW last, under
  // WAIT_LOCK unless it is timed. 0 once it goes on; those of the dead are not looked at.
  BLOCKED_ON: 28, // job, or 0 for ANY
  BLOCKED_GEN: 29, // which life of that slot
  BLOCKED_HOW: 30, // BLOCKED.*, 0: not blocked
  LAST_DEATH: 32, // 32 words, broker, before RESTARTING or DEAD: why this device died last; UTF-8, NUL-padded
  WORDS: 64,
} as const;

/** Words of {@link ACTOR.LAST_DEATH}. */
export const LAST_DEATH_WORDS = 32;

/**
 * DEAD: it has died and is being settled; a process is then FREE, a device that is given up stays.
 * RESTARTING: a device that has died and is being settled; then RESERVED until its next life is LIVE.
 */
export const ACTOR_STATE = {
  FREE: 0,
  RESERVED: 1,
  LIVE: 2,
  LEFT: 3,
  DEAD: 4,
  RESTARTING: 5,
} as const;
export const ROLE = { BROKER: 1, PROCESS: 2, DEVICE: 3, REAPER: 4 } as const;

/**
 * {@link ACTOR.BLOCKED_HOW}. GRANT: until its own job is granted. FENCE: until a job's fence signals. ANY: until
 * one of the callbacks that it has armed is due. TIMED is added when it goes on by itself in the end.
 */
export const BLOCKED = { GRANT: 1, FENCE: 2, ANY: 3, HOW_MASK: 7, TIMED: 8 } as const;

/** Values of {@link ACTOR.WAITING}. */
export const ASLEEP = 1;

/** Kinds of object that an fd can name (fd entry word 0 = kind << 28 | pointer). */
export const OBJECT = { NONE: 0, DMABUF: 1, SYNC_FILE: 2, TIMELINE: 3 } as const;
export const FD_WORDS = 2; // { object, flags }
export const FD_FLAG = { READ: 1, WRITE: 2, CLOEXEC: 4 } as const;

/** A mailbox: a ring of fixed slots per actor. */
export const MAIL = {
  LOCK: 0, // senders
  TAIL: 1, // L(LOCK), atomic store: slots ever written
  HEAD: 2, // own, atomic store: slots ever read
  ROOM: 3, // futex: own adds 1 after it made room while SENDERS_WAITING
  SENDERS_WAITING: 4,
  SLOTS: 32,
} as const;
export const MAIL_SLOT = {
  FROM: 0,
  KIND: 1,
  LENGTH: 2,
  OBJECT: 3, // object word whose reference travels, or 0: counted from TAIL's store to HEAD's
  ID: 4,
  FLAGS: 5, // FD_FLAG.* of the fd that travels
  BODY: 8,
} as const;

/** A trace record: 8 words. */
export const TRACE = { TIME: 0, KIND: 2, JOB: 3, SEQNO: 4, A: 6, B: 7, WORDS: 8 } as const;
