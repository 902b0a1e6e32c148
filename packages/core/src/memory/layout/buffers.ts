/**
 * Memory: regions, the dma-bufs in them, and who holds those.
 */

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
