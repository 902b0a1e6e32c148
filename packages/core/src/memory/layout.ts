/**
 * The map of kernel memory: every record, every field, who writes it and what protects it.
 *
 * Kernel memory is one region of 32-bit words, sized at boot. Pointers in it are word offsets, 0 is
 * "none". Records are aligned to 32 words (two cache lines), so that the low five bits of a
 * pointer are free for flags, and neighbours never share a line. The tables stand in the order of
 * {@link layoutOf}; their offsets are in the header, so that a joiner needs the region alone.
 *
 * In the comments: "L(x)" = written only by the holder of lock x; "CAS" = by anyone, by compare
 * and exchange; "own" = only by the thread of the actor that the record belongs to; "boot" =
 * written once, before anybody else can look.
 */

/** Magic number in word 0: a joiner that finds another refuses the token. */
export const MAGIC = 0x0dab0f01;

/** Machine states, in {@link HEADER.STATE}. */
export const MACHINE = { BOOTING: 0, RUNNING: 1, STOPPING: 2 } as const;

/** Word offsets of the header. */
export const HEADER = {
  MAGIC: 0, // boot
  STATE: 1, // MACHINE.*: the booting process, the broker; every bounded wait re-reads it
  FAULT_ACTOR: 2, // broker, CAS from 0: first actor that died and was not recovered
  FAULT_ERRNO: 3, // broker, before FAULT_ACTOR: the errno that waiters then get
  HEARTBEAT: 4, // broker: grows at least twice a second while it lives
  FLAGS: 5, // boot: MACHINE_FLAG.*
  ACTORS_EPOCH: 6, // atomic add by whoever changes an actor's STATE or SERVING; waited on
  NEXT_INO: 7, // atomic add: inode numbers of dma-bufs
  ACTOR_LOCK: 8, // lock of the actor table's allocation
  BUFFER_LOCK: 9, // lock of buffer, queue and region allocation, and of all references (fd/references)
  CONTEXT_LOCK: 10, // lock of context allocation
  JOB_LOCK: 11, // lock of the global list of free jobs
  FREE_JOBS: 12, // L(JOB_LOCK): head of that list, linked by JOB.NEXT
  DRIVER_COUNT: 13, // boot
  MANUAL_TIME: 14, // double, ms: the manual clock; written by its advance()
  MANUAL_EPOCH: 16, // atomic add by advance(); sleepers wait on their own words, not on this
  COLLECT: 17, // atomic add by an allocation that is throttled: everybody is to collect (memory/collection)
  BYTES_EXPORTED: 18, // double, L(BUFFER_LOCK): bytes of all live buffers
  BUFFERS_LIVE: 20, // L(BUFFER_LOCK)
  MAIL_SLOT_WORDS: 21, // boot: words of a mailbox slot
  LIMIT_JOB: 22, // boot: ms that a device's job may run, 0: no limit (BootOptions.limits)
  LIMIT_HOLD: 23, // boot: ms that a thread may hold claims
  // 24 …: offsets and counts of the tables, boot
  ACTORS: 24,
  ACTOR_COUNT: 25,
  CONTEXTS: 26,
  CONTEXT_COUNT: 27,
  REGIONS: 28,
  REGION_COUNT: 29,
  BUFFERS: 30,
  BUFFER_COUNT: 31,
  QUEUES: 32,
  QUEUE_COUNT: 33,
  JOBS: 34,
  JOB_COUNT: 35,
  PAYLOADS: 36,
  PAYLOAD_WORDS: 37,
  FDS: 38,
  FD_COUNT: 39, // per actor; FD_PARKED more hold fds that have arrived and nobody took yet
  READY: 40,
  READY_WORDS: 41, // per actor
  MAIL: 42,
  MAIL_WORDS: 43, // per actor
  TRACE: 44,
  TRACE_RECORDS: 45, // per actor
  DRIVERS: 46, // offsets of the drivers' own words, one each, 32 at most
  LIMIT_FENCE: 78, // boot: ms that a software timeline's fence may be pending
  WAIT_LOCK: 79, // lock of whoever looks whether it is about to close a circle of waits (explain/blocking)
  FAULT_TEXT: 80, // 40 words, broker, before FAULT_ACTOR: why that actor died
  TIMELINES: 120,
  TIMELINE_COUNT: 121,
  SYNC_FILES: 122,
  SYNC_FILE_COUNT: 123,
  FENCE_LOCK: 124, // lock of timeline and sync file allocation, and of JOB.HOLDS
  HOLDERS: 125,
  HOLDER_COUNT: 126,
  FD_PARKED: 127, // boot: entries of an fd table for fds that have arrived
  COLLECTED: 128, // atomic add with each region that was collected; throttled allocations wait on it
  UNCOLLECTED: 129, // boot: KiB of regions that may await collection
  WORDS: 192,
} as const;

/** Bits of {@link HEADER.FLAGS}. */
export const MACHINE_FLAG = { TRACE: 1, MANUAL_CLOCK: 2, NONCOHERENT: 4, GUARD: 8 } as const;

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
  WORDS: 32,
} as const;

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
 */
export const CONTEXT_FLAG = { UNORDERED: 1, EARLY: 2, TIMELINE: 4 } as const;

/** A region: one block of memory that substrates can hand over as a whole (design D2, D4). */
export const REGION = {
  STATE: 0, // L(BUFFER_LOCK): generation if live, 0 if given up; free if AWAITS is 0, too
  GEN: 1, // L(BUFFER_LOCK)
  KIND: 2, // REGION_KIND.*, at creation
  OWNER: 3, // actor id that made it
  BYTES: 4, // double, at creation
  BUFFERS: 6, // L(BUFFER_LOCK): buffers that lie in it
  USED: 7, // L(BUFFER_LOCK): 1 once a buffer has lain in it; before, it is its maker's
  IMPORTERS: 8, // 2 words, CAS: one bit an actor; set by the maker and by the broker as it hands the region over
  AWAITS: 10, // L(BUFFER_LOCK), before STATE becomes 0: generation whose memory is to be collected; CAS to 0
  KEEPER: 11, // L(BUFFER_LOCK): index of the driver that keeps it beyond its last buffer, or 0
  KEPT: 12, // the keeper's own word: what it is to it (DriverDoor.keptRegions)
  WORDS: 32,
} as const;
/** ADOPTED: the memory was there before, and stays its maker's. */
export const REGION_KIND = { SYSTEM: 1, POOL: 2, ADOPTED: 3 } as const;

/** A dma-buf. All of it is written at export, under BUFFER_LOCK, unless said otherwise. */
export const BUFFER = {
  STATE: 0, // generation if live, 0 if free
  REFS: 1, // L(BUFFER_LOCK), see References; −actor: that actor dropped the last one and releases it
  QUEUE: 2,
  REGION: 3, // L(LOCK) and BUFFER_LOCK; 0 until an exporter that defers has allocated
  OFFSET: 4, // double, as REGION: bytes from the start of the region
  SIZE: 6, // double: bytes; invariant for life
  EXPORTER: 8, // index of the driver whose ops serve it
  FLAGS: 9, // BUFFER_FLAG.*
  INO: 10,
  ATTACHMENTS: 11, // L(BUFFER_LOCK), with the holder
  MAPPINGS: 12, // L(LOCK): CPU mappings
  OWNER: 13, // actor id that exported it
  PRIV: 14, // 8 words of the exporter's own
  NAME: 22, // 8 words, L(LOCK): SET_NAME
  GEN: 30,
  LOCK: 31, // held while the exporter maps, pins, allocates or moves (the dma_resv of Linux)
  PINS: 32, // L(LOCK): pins, those of mapped static attachments included; pinned memory stays
  VMAPS: 33, // L(LOCK): users of the one kernel mapping
  DEVICE_MAPS: 34, // L(LOCK): attachments that are mapped
  MMAPS: 35, // atomic add: CPU mappings ever made, all through dma_buf_mmap
  // Metadata of the content (design D8a): written by the job that holds the buffer exclusively.
  META_FOURCC: 36,
  META_WIDTH: 37,
  META_HEIGHT: 38,
  META_CROP: 39, // 4 words: left, top, width, height
  META_RANGE: 43, // 0 limited, 1 full
  META_MATRIX: 44, // 601, 709
  META_SEQUENCE: 45,
  META_TIMESTAMP: 46, // double, ms
  META_PITCHES: 48, // 3 words, bytes
  META_OFFSETS: 51, // 3 words, bytes
  CACHE_LINES: 54, // double, L(LOCK): 64-byte lines that brackets invalidated or wrote back
  PREPARES: 56, // atomic add: prepareAccess calls
  FINISHES: 57,
  OP_CALLS: 58, // atomic add: calls of the exporter's ops that succeeded
  FLUSHES: 59, // atomic add: finished brackets that wrote cache lines back
  WORDS: 64,
} as const;
/**
 * PROTECTED: no CPU mapping (EPERM). NO_MMAP: as if its exporter had no mmap (ENODEV).
 * NEEDS_SYNC: CPU access needs cache maintenance (ION_FLAG_CACHED_NEEDS_SYNC); without it the
 * memory is coherent, and core spares the exporter the calls. SCATTER: it is in several pieces of its region, which
 * the exporter's `map` lists (so NO_MMAP, too). RELEASED: core's own: the exporter's release has returned.
 */
export const BUFFER_FLAG = {
  PROTECTED: 1,
  NO_MMAP: 2,
  NEEDS_SYNC: 4,
  SCATTER: 8,
  RELEASED: 0x10000,
} as const;

/** Who holds a buffer otherwise than by an fd: an attachment, a CPU mapping, a kernel mapping. */
export const HOLDER = {
  STATE: 0, // generation if live, 0 if free: L(BUFFER_LOCK) to take; cleared by the owner or its reaper
  GEN: 1, // L(BUFFER_LOCK)
  KIND: 2, // HOLDER_KIND.*, at creation
  BUFFER: 3, // at creation
  OWNER: 4, // at creation: actor id whose handle it is
  IMPORTER: 5, // attachment, at creation: actor id that uses the memory
  FLAGS: 6, // attachment, at creation: HOLDER_FLAG.*
  ALIGN: 7, // attachment, at creation: alignment that the importer needs
  MAPS: 8, // L(buffer's LOCK): map calls without their unmap; of CPU mappings 1 once it is counted
  DIRECTION: 9, // L(buffer's LOCK): index of the direction that it is mapped for
  PINS: 10, // L(buffer's LOCK): pin calls without their unpin
  MOVES: 11, // L(buffer's LOCK): times that the buffer moved under a dynamic attachment
  OFFSET: 12, // double, mapping, at creation
  LENGTH: 14, // double, mapping, at creation
  WORDS: 32,
} as const;
/** PIN: an armed poll, or a look at it. */
export const HOLDER_KIND = { ATTACHMENT: 1, MAPPING: 2, VMAP: 3, PIN: 4 } as const;
/** DYNAMIC: its importer is told of moves. The others say what the importer can reach. */
export const HOLDER_FLAG = { DYNAMIC: 1, POOL: 2, CONTIGUOUS: 4 } as const;

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
  CONTENT_ERROR: 10, // −errno of the writer that failed (D8); by the exclusive holder
  ORPHAN: 11, // ORPHAN.*: its buffer has no reference left; whoever empties the queue frees both
  LENGTH: 12, // links now in it
  GEN: 13, // L(BUFFER_LOCK)
  TAINTED: 14, // actor that was evicted and may still write (D9); 0 by a full overwrite, its exclusive holder
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
  T_STARTED: 20, // the target; of holds before RUNNING
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
export const LINK_FLAG = { EXCLUSIVE: 1, DISCARD: 2, FENCE: 4, MORE: 8, TARGET_MASK: -32 } as const;

/** Links that fit into one job record; a job with more uses further records (see JobLinks). */
export const RECORD_LINKS = 10;
/** Links that a job may have in all. */
export const MAX_LINKS = 64;

/** A software timeline (sw_sync): a counter whose fences signal when it reaches them. */
export const TIMELINE = {
  STATE: 0, // generation if live: L(FENCE_LOCK)
  REFS: 1, // L(BUFFER_LOCK), as of buffers
  LOCK: 2,
  HEAD: 3, // L(LOCK): first pending fence (a job), ascending by seqno, linked by its link 0
  VALUE: 4, // double, L(LOCK)
  CONTEXT: 6, // pointer, at creation
  GEN: 7,
  NAME: 8, // 8 words
  CONTEXT_GEN: 16, // at creation: which life of the context's slot; a later one is somebody else's
  WORDS: 32,
} as const;

/**
 * A sync file: a set of fence points behind an fd. Made and freed under FENCE_LOCK, each as one step;
 * immutable in between.
 */
export const SYNC_FILE = {
  STATE: 0, // generation if live: L(FENCE_LOCK)
  REFS: 1, // L(BUFFER_LOCK), as of buffers; 0 in further records
  GEN: 2,
  COUNT: 3, // points in this record
  NEXT: 4, // record with further points, or 0
  OWNER: 5, // actor id of the maker; 0 in further records
  NAME: 8, // 8 words
  POINTS: 16, // 8 × 6 words
  WORDS: 64,
} as const;
export const SYNC_POINT = {
  SLOT: 0,
  GENERATION: 1,
  CONTEXT: 2,
  STATUS: 3,
  SEQNO: 4,
  WORDS: 6,
} as const;
export const SYNC_FILE_POINTS = 8;

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

/** How large the tables of a machine are; every field has a default ({@link DEFAULT_TABLES}). */
export interface TableSizes {
  /** Threads that can be joined at one time, devices, broker and two reapers included. At most 63. */
  readonly actors: number;
  /** Jobs (and their fences) in flight, a multiple of 32. 256 B each, plus `payloadBytes`. */
  readonly jobs: number;
  /** Bytes of msgpack that a job can carry. */
  readonly payloadBytes: number;
  /** dma-bufs alive at one time. */
  readonly buffers: number;
  /** Queues, those of the buffers included. */
  readonly queues: number;
  /** Regions of memory alive at one time: one for each system-heap buffer, one for the pool. */
  readonly regions: number;
  /** Contexts: ordered lines of jobs. */
  readonly contexts: number;
  /** Software timelines alive at one time. */
  readonly timelines: number;
  /** Sync files alive at one time, each of up to eight fences (a larger one counts several times). */
  readonly syncFiles: number;
  /** Attachments and CPU mappings open at one time. */
  readonly holders: number;
  /** File descriptors per process. */
  readonly fds: number;
  /** Messages in a mailbox before its senders wait; a power of two. */
  readonly mailSlots: number;
  /** Bytes of a mailbox slot; a longer message takes several. */
  readonly mailBytes: number;
  /** Trace records kept per actor, a power of two; the oldest are overwritten. */
  readonly traceRecords: number;
}

export const DEFAULT_TABLES: TableSizes = {
  actors: 17,
  jobs: 4096,
  payloadBytes: 256,
  buffers: 512,
  queues: 640,
  regions: 512,
  contexts: 64,
  timelines: 64,
  syncFiles: 256,
  holders: 1024,
  fds: 256,
  mailSlots: 64,
  mailBytes: 512,
  traceRecords: 16384,
};

/** Where each table starts (word offsets), from its sizes. */
export interface Layout {
  readonly offsets: Readonly<Record<TableName, number>>;
  readonly readyWords: number;
  readonly mailWords: number;
  readonly slotWords: number;
  readonly payloadWords: number;
  readonly driverOffsets: readonly number[];
  readonly totalWords: number;
}
type TableName =
  | 'actors'
  | 'contexts'
  | 'timelines'
  | 'syncFiles'
  | 'holders'
  | 'regions'
  | 'buffers'
  | 'queues'
  | 'jobs'
  | 'payloads'
  | 'fds'
  | 'ready'
  | 'mail'
  | 'trace';

const align = (words: number): number => (words + 63) & ~63;

/** Words of one actor's ready set: summary words, then a leaf bit for every job. */
export function readyWordsFor(jobs: number): number {
  const leaves = Math.ceil(jobs / 32);
  return align(Math.ceil(leaves / 32) + leaves);
}

/** Lays the tables out one after the other; a table's slot 0 is never used, so that 0 is "none". */
export function layoutOf(sizes: TableSizes, driverWords: readonly number[]): Layout {
  let at: number = HEADER.WORDS;
  const take = (words: number): number => {
    const offset = at;
    at += align(words);
    return offset;
  };
  const readyWords = readyWordsFor(sizes.jobs);
  const slotWords = MAIL_SLOT.BODY + align(sizes.mailBytes / 4);
  const mailWords = align(MAIL.SLOTS + sizes.mailSlots * slotWords);
  const payloadWords = align(sizes.payloadBytes / 4);
  const actors = sizes.actors + 1;
  const offsets: Record<TableName, number> = {
    actors: take(actors * ACTOR.WORDS),
    contexts: take(sizes.contexts * CONTEXT.WORDS),
    timelines: take(sizes.timelines * TIMELINE.WORDS),
    syncFiles: take(sizes.syncFiles * SYNC_FILE.WORDS),
    holders: take(sizes.holders * HOLDER.WORDS),
    regions: take((sizes.regions + 1) * REGION.WORDS),
    buffers: take(sizes.buffers * BUFFER.WORDS),
    queues: take(sizes.queues * QUEUE.WORDS),
    jobs: take(sizes.jobs * JOB.WORDS),
    payloads: take(sizes.jobs * payloadWords),
    fds: take(actors * (sizes.fds + sizes.mailSlots) * FD_WORDS),
    ready: take(actors * readyWords),
    mail: take(actors * mailWords),
    trace: take(actors * sizes.traceRecords * TRACE.WORDS),
  };
  const driverOffsets = driverWords.map((words) => take(words));
  return {
    offsets,
    readyWords,
    mailWords,
    slotWords,
    payloadWords,
    driverOffsets,
    totalWords: align(at),
  };
}
