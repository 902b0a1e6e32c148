/**
 * @dmabuf/core: zero-copy buffers between worker threads, with the semantics of Linux dma-buf.
 *
 * Start with `boot()`; `Machine` is the door to everything else.
 */
export { boot, type BootOptions } from './actor/boot.js';
export { join } from './actor/join.js';
export {
  Machine,
  type Invitation,
  type JoinToken,
  type Peer,
  type ServeHandlers,
} from './actor/machine.js';
export { Job, JobBuffer } from './actor/job.js';
export type { Handlers } from './actor/server.js';
export type { DeviceSpec, DriverSpec } from './actor/spec.js';
export type { DeviceNode } from './actor/names.js';
export type { ReceivedFd, ReceivedMessage } from './actor/ipc.js';
export type { ActorStats, MachineStats } from './actor/stats.js';
export { DmaBuf, SEEK_END, SEEK_SET } from './dmabuf/dmabuf.js';
export type { FdAccess } from './fd/access.js';
export { Attachment, type AttachOptions } from './dmabuf/attachment.js';
export { Bracket, BracketSet } from './dmabuf/bracket.js';
export type { AllocOptions } from './dmabuf/alloc.js';
export type { MmapOptions } from './dmabuf/dma-buf-mmap.js';
export {
  Mapping,
  type AccessRange,
  type BracketModes,
  type BracketOptions,
  type MappingAccess,
} from './dmabuf/mapping.js';
export {
  BufInfo,
  type BufferAttachment,
  type BufferCounters,
  type BufferFence,
  type BufferInfo,
  type BufferMapping,
} from './dmabuf/bufinfo.js';
export {
  DMA_BUF_IOCTL_EXPORT_SYNC_FILE,
  DMA_BUF_IOCTL_FINISH_ACCESS,
  DMA_BUF_IOCTL_IMPORT_SYNC_FILE,
  DMA_BUF_IOCTL_PREPARE_ACCESS,
  DMA_BUF_IOCTL_SYNC,
  DMA_BUF_SET_NAME_A,
  DMA_BUF_SET_NAME_B,
  DMA_BUF_SYNC_END,
  DMA_BUF_SYNC_READ,
  DMA_BUF_SYNC_RW,
  DMA_BUF_SYNC_START,
  DMA_BUF_SYNC_WRITE,
  type DmaBufExportSyncFile,
  type DmaBufImportSyncFile,
  type DmaBufSync,
} from './dmabuf/ioctl.js';
export {
  Explanation,
  type Culprit,
  type CulpritKind,
  type ExplainedJob,
  type ExplainedWait,
} from './explain/explain.js';
export type { FrameMetadata } from './dmabuf/metadata.js';
export type { Direction, Reach, SgEntry, SgTable } from './dmabuf/ops.js';
export {
  Context,
  discard,
  exclusive,
  shared,
  type Access,
  type BufferUse,
  type SubmitOptions,
} from './sync/context.js';
export type { ContextOptions, Priority } from './sync/context-options.js';
export type { Callback } from './sync/callbacks.js';
export { FenceSet, type FenceLike } from './sync/fence-set.js';
export { FenceArray } from './sync/fence-array.js';
export { FenceChain } from './sync/fence-chain.js';
export type { FenceContainer } from './sync/fence-container.js';
export { Hold, type PendingHold } from './sync/holds.js';
export { DEFAULT_LIMITS, type Limits } from './sync/limits.js';
export { Queue, type Claimable } from './sync/queue-object.js';
export { SyncFile, type FenceInfo, type SyncFileInfo } from './sync/sync-file.js';
export { Timeline } from './sync/timeline.js';
export type { PollEvents } from './dmabuf/sharing.js';
export { Fence, statusText } from './sync/fence.js';
export type { FenceTimes } from './sync/job-times.js';
export type { FencePoint } from './sync/jobs.js';
export type { TableSizes } from './memory/layout.js';
export type { TraceEvent, TraceFile } from './trace/perfetto.js';
export { DmaBufError, errno, errnoName, errnoText, type ErrnoCode } from './errno.js';
