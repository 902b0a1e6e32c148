/**
 * The header of kernel memory: state of the machine, locks of the tables, where they are. Its layout is that of ../layout.ts.
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
  MANUAL_EPOCH: 16, // atomic add by whoever is about to say ASLEEP, on a manual clock
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
  SPIN_US: 130, // boot: how long a thread looks on before it sleeps (actor/spin)
  SPIN_CORES: 131, // boot: only while no more actors live than that; 0: whatever their number
  MACHINE_ID: 132, // double, boot: a random integer that names this machine among those of the process
  WORDS: 192,
} as const;

/** Bits of {@link HEADER.FLAGS}. */
export const MACHINE_FLAG = { TRACE: 1, MANUAL_CLOCK: 2, NONCOHERENT: 4, GUARD: 8 } as const;
