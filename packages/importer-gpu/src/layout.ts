/**
 * The GPU's words of kernel memory: counters of the device, the tables of imported images and of the
 * user's kernels, and the times of the jobs that ended last.
 *
 * As in core's layout: offsets in words, each field with its writer. "device" = the device half
 * alone; "at import" = the importing thread, before it publishes STATE; "any" = atomic adds.
 */

/** Offsets from the driver's base. Doubles sit at even offsets. */
export const GPU = {
  LOCK: 0, // owner lock of the tables' allocation
  FREED: 1, // any: records ever freed; the device then forgets what it kept of them
  JOBS: 4, // device: jobs that it ran without a fault
  FAILED: 5, // device: jobs that failed or were cancelled
  WASM: 6, // device: kernel runs in wasm, on pool memory
  PLAIN: 7, // device: kernel runs in TypeScript
  NO_SCRATCH: 8, // device: those of PLAIN that only a larger scratch kept out of wasm
  SCRATCH: 9, // device: bytes of scratch that it has
  PIXELS: 10, // double, device: pixels written
  COPIED: 12, // double, device: bytes that copy commands moved
  SCRATCH_BUFFER: 14, // device: pointer of the scratch's buffer, for the device's next life; 0: none
  SCRATCH_INO: 15, // device, before SCRATCH_BUFFER
  SCRATCH_CONTEXT: 16, // device, before SCRATCH_BUFFER: whose it is
  TIMED: 2, // device: jobs whose times were ever noted; stored after each
  HELD: 17, // device: images of the job in hand, whose references the next life drops
  HELD_IDS: 18, // device: their ids, HELD_MAX at most
  IMAGES: 32, // the table of images
} as const;

/** How the records of all tables begin, and where they name their handles. See RecordTable. */
export const RECORD = {
  STATE: 0, // generation if live, 0 if free; the last store of an addition
  GEN: 1, // L(LOCK)
  REFS: 2, // any, by CAS: jobs in flight in bits 0 to 15, bit 16 + i for the handle of slot i
  OWNERS: 16, // HANDLES words: actor id of the handle of each slot, 0: free. CAS from 0 by whoever takes it
} as const;

/** An imported image: a {@link RECORD}. */
export const IMAGE = {
  BUFFER: 3, // at import, as all below: pointer of the buffer's record
  INO: 4, // its inode number
  FRAME: 5, // 1: geometry is read from the buffer's metadata when a job runs
  FOURCC: 6,
  WIDTH: 7, // of a frame: the largest
  HEIGHT: 8,
  COLOR: 9, // index into COLORS
  PITCHES: 10, // 3 words, bytes
  OFFSETS: 13, // 3 words, bytes, unsigned
  WORDS: 32,
} as const;

/** A kernel of the user's: a {@link RECORD}. */
export const KERNEL = {
  KIND: 3, // at registration, as all below but ARITY: index into KERNEL_KINDS
  ARITY: 4, // device and cores, when they have loaded it: parameters of a wasm function
  URL_BYTES: 5,
  ENTRY_BYTES: 6,
  TEXT: 31, // TEXT_WORDS words: UTF-8 of the URL, then of the name of the export
  WORDS: 160,
} as const;

/**
 * The times of a job that has ended: one of TIMES_KEPT records, of which the device overwrites the oldest. CONTEXT is 0
 * while it does, so that what a reader took is whole if CONTEXT and SEQNO are the same before and after.
 */
export const TIMES = {
  CONTEXT: 0, // device, the last store: id of the job's context
  QUERIES: 1, // device, as all below: how many times its commands asked for
  SEQNO: 2, // double
  QUEUED: 4, // doubles, ms
  GRANTED: 6,
  STARTED: 8,
  DONE: 10, // NaN until its fence has signalled
  QUERY: 12, // QUERIES_MAX doubles, ms
  WORDS: 32,
} as const;
export const TIMES_KEPT = 64;

/** The call that the shader cores share; see tile-board.ts. "front end" = the device half that takes the jobs. */
export const TILES = {
  OPEN: 0, // front end: TURN while tiles may be taken, else 0; reaper: 0 when the front end has died
  TURN: 1, // front end: how often it has posted
  NEXT: 2, // whoever works, by atomic add: the next tile
  DONE: 3, // whoever works, by atomic add after the tile's pixels
  RESULT: 4, // as DONE, before it: sum of the kernel's results
  BY_CORES: 5, // cores, by atomic add: tiles that the front end did not do itself
  FRONT_END: 6, // front end: its actor id
  FAILED: 7, // cores, by CAS from 0: the one (1 and up) in which the call threw first; front end before OPEN: 0
  ENTRY: 8, // front end before OPEN, as all below: which kernel
  ARGS_COUNT: 9,
  ROWS_AT: 10,
  SCRATCH_AT: 11,
  SCRATCH_STEP: 12,
  TILE_ROWS: 13,
  TILES: 14,
  FAILURE_BYTES: 15, // core FAILED, after FAILURE: bytes of it
  LOCKS: 16, // CORES_MAX - 1 owner locks: a core holds its own while it looks at OPEN and does tiles
  FAILURE: 32, // core FAILED: FAILURE_WORDS words, UTF-8 of what was thrown
  ARGS: 96, // ARGS_MAX doubles
  WORDS: 608,
} as const;

/** Room for the text of a failure. */
export const FAILURE_WORDS: number = TILES.ARGS - TILES.FAILURE;

/** Shader cores that a GPU may have. */
export const CORES_MAX = 16;

/** Arguments of a call that can be shared: those of every kernel of ours, or a dispatch of some twelve images. */
export const ARGS_MAX: number = (TILES.WORDS - TILES.ARGS) / 2;

/** Times that the commands of one job may ask for. */
export const QUERIES_MAX = 8;

/** Bytes that the URL and the export's name of a kernel may take together. */
export const KERNEL_TEXT_BYTES: number = (KERNEL.WORDS - KERNEL.TEXT) * 4;

/** Handles that a record can have in all processes together. */
export const HANDLES = 15;

/** {@link RECORD.REFS}: the part that counts jobs. */
export const JOB_REFS = 0xffff;

/** Images of one job that {@link GPU.HELD} has room for; a job may name more, those are then lost with it. */
export const HELD_MAX: number = GPU.IMAGES - GPU.HELD_IDS;

/** Ids: generation << INDEX_BITS | index. Positive int32, short in msgpack. */
export const INDEX_BITS = 12;

/** Most records that a table can be given room for. */
export const MAX_RECORDS: number = 1 << INDEX_BITS;

/** How many records the tables have; in the driver's options, so that all threads know. */
export interface GpuSizes {
  readonly images: number;
  readonly kernels: number;
}

/** Offset of the table of kernels. */
export function kernelsAt({ images }: GpuSizes): number {
  return GPU.IMAGES + images * IMAGE.WORDS;
}

/** Offset of the times of jobs. */
export function timesAt(sizes: GpuSizes): number {
  return kernelsAt(sizes) + sizes.kernels * KERNEL.WORDS;
}

/** Offset of the board of tiles. */
export function tilesAt(options: unknown): number {
  return timesAt(sizesOf(options)) + TIMES_KEPT * TIMES.WORDS;
}

/** Words that a GPU needs. */
export function gpuWords(sizes: GpuSizes): number {
  return tilesAt(sizes) + TILES.WORDS;
}

/** How many shader cores a GPU has, the front end among them. */
export function coresOf(options: unknown): number {
  if (typeof options !== 'object' || options === null || !('shaderCores' in options)) return 1;
  return typeof options.shaderCores === 'number' ? options.shaderCores : 1;
}

/** The sizes that a GPU was booted with. */
export function sizesOf(options: unknown): GpuSizes {
  if (
    typeof options === 'object' &&
    options !== null &&
    'images' in options &&
    'kernels' in options
  ) {
    const { images, kernels } = options;
    if (typeof images === 'number' && typeof kernels === 'number') return { images, kernels };
  }
  throw new TypeError('the options of a GPU are what gpu() made');
}
