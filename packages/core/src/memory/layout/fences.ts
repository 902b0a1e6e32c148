/**
 * What fences live in beside jobs: software timelines and sync files.
 */

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
