/**
 * The map of ION's own words of kernel memory: every field, who writes it and what protects it.
 *
 * All state of the heaps is here, so that any thread can allocate and release. It survives the death
 * of a thread between any two stores, because each change is published by one word and the rest
 * can be derived again (see recover.ts):
 *  - what a heap's pages are is what a walk over its page map finds (page-map.ts): one store of a
 *    range's head splits, joins, takes or frees;
 *    In a chunk heap's map each word is a chunk and names its record: the records decide;
 *  - whom a range belongs to is in the records: RECORD.START is stored before the range is taken, and
 *    only under the heap's lock, so a record without a taken range, and a taken range without a
 *    record, are both the dead one's and are both undone;
 *  - counters are sums over the records.
 *
 * "L(x)" = written only by the holder of lock x; "CAS" = by compare and exchange; "own" = by the
 * thread that made the record. Locks are taken in the order ZERO_LOCK, LOCK; CLIENT_LOCK is a leaf.
 */

/** The head, at the driver's base. */
export const ION = {
  FORMATTED: 0, // L(LOCK), stored last: 1 once the tables are laid out
  LOCK: 1,
  HEAP_THREAD: 2, // the device half at its start: its actor id
  GRANULE: 3, // L(LOCK), at formatting: bytes of one entry of a page map
  DIRTY: 4, // 1 by whoever frees a range, 0 by the heap thread before it looks
  CLIENT_LOCK: 5,
  WORDS: 64,
} as const;

/** A heap. What never changes of it (id, name, type) is in the driver's options. */
export const HEAP = {
  LOCK: 0, // owner lock: page map, START of its records, counters
  ZERO_LOCK: 1, // held by the heap thread while a range is being zeroed (well below 1 ms)
  MAP: 2, // formatting: word offset of its map (of pages or chunks) from the driver's base
  PAGES: 3, // formatting: words of the map
  OFFSET: 4, // formatting: double, bytes from the start of the pool
  BYTES: 6, // formatting: double; Infinity where only the host sets a limit
  ALLOCATED: 8, // double, L(LOCK): bytes of its records
  PEAK: 10, // double, L(LOCK)
  COUNT: 12, // L(LOCK): records
  ALLOCS: 13, // L(LOCK): ever
  FAILED: 14, // L(LOCK): refused for lack of memory
  ZEROED_BACK: 15, // atomic add: granules zeroed by the heap thread
  ZEROED_FRONT: 16, // atomic add: granules zeroed by allocating threads
  RECYCLED: 17, // atomic add: buffers that got a region of the pool
  SHRUNK: 18, // atomic add: regions of the pool that were given up
  WORDS: 32,
} as const;

/** A client: one open of /dev/ion. */
export const CLIENT = {
  STATE: 0, // L(CLIENT_LOCK), stored last: generation if live, 0 if free
  GEN: 1, // L(CLIENT_LOCK)
  ACTOR: 2, // at opening: actor id
  QUOTA: 4, // double, at opening: bytes; Infinity: none
  NAME: 6, // 8 words, at opening
  WORDS: 32,
} as const;
export const NAME_WORDS = 8;

/** An allocation: the accounting record of one buffer, whichever heap it came from. */
export const RECORD = {
  STATE: 0, // RecordWord: CAS from FREE; then own; FREE by whoever releases, L(heap LOCK)
  HEAP: 1, // own: index of the heap
  START: 2, // L(heap LOCK): 1 + first page of a range, or what the heap notes; 0: nothing is held
  CLIENT: 3, // own: index of the client
  BYTES: 4, // double, L(heap LOCK), before START: what it takes from the heap
  CLIENT_GEN: 6, // own
  INO: 7, // own: the buffer's
  SIZE: 8, // double, own: bytes that were asked for
  FLAGS: 10, // own: ION_FLAG.*
  NAME: 12, // 8 words, own: the client's name, for when the buffer outlives the client
  WORDS: 32,
} as const;
/**
 * A piece of a udmabuf that is made of several. Free, or of the record that it names: RECORD is stored last, under the
 * heap's LOCK, so a piece whose record is not alive is a dead one's and is free.
 */
export const PIECE = {
  RECORD: 0, // L(heap LOCK): word offset of its record from the driver's base; 0: free
  INDEX: 1, // L(heap LOCK), before RECORD, as the others: place in the list
  OFFSET: 2, // double: bytes from the start of the memory
  LENGTH: 4, // double: bytes
  WORDS: 8,
} as const;

/** BUILDING: being allocated by the actor; LIVE: a buffer stands for it. */
export const RECORD_STATE = { FREE: 0, BUILDING: 1, LIVE: 2 } as const;

/**
 * A record's state word: state (2 bits), actor that allocates (6), generation (24). In one word, so
 * that claiming a record names its owner, and a late release cannot hit the record's next user.
 */
export function recordWord(generation: number, actor: number, state: number): number {
  return (generation << 8) | (actor << 2) | state;
}
export function recordState(word: number): number {
  return word & 3;
}
export function recordActor(word: number): number {
  return (word >>> 2) & 0x3f;
}
export function recordGeneration(word: number): number {
  return word >>> 8;
}

/** Words of a buffer record that ION uses (BufferRecord.priv). */
export const PRIV = { HEAP: 0, RECORD: 1, GEN: 2, FLAGS: 3 } as const;
