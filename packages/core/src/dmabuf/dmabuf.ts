/**
 * DmaBuf: a process's handle of one fd of a dma-buf (design D3, D5, D9).
 *
 * The handle owns its fd; `close()` (or `using`) closes it. The buffer lives on while other fds,
 * attachments, mappings or queued jobs hold it.
 */
import { wantFlags, wantNumber, wantObject, wantString, wantTimeout } from '../args.js';
import { DmaBufError } from '../errno.js';
import type { FdTable } from '../fd/fd-table.js';
import { type FdAccess, narrowed, readOnly } from '../fd/access.js';
import { FD_RDWR, kindOf, objectWord, pointerOf } from '../fd/fd-table.js';
import type { FdWatch, Handles } from '../fd/handles.js';
import type { References } from '../fd/references.js';
import type { Kernel } from '../kernel.js';
import { BUFFER, FD_FLAG, HOLDER_KIND, OBJECT } from '../memory/layout.js';
import type { Regions } from '../memory/regions.js';
import { type AttachOptions, Attachment } from './attachment.js';
import type { Buffers } from './buffers.js';
import type { Bracket } from './bracket.js';
import type { CpuAccess } from './cpu-access.js';
import { dmaBufMmap, type MmapOptions } from './dma-buf-mmap.js';
import type { Holders } from './holders.js';
import type { Importers } from './importers.js';
import type { DmaBufIoctls } from './ioctl.js';
import type { BracketOptions, Mapping } from './mapping.js';
import { type FrameMetadata, readMetadata } from './metadata.js';
import type { Moves } from './moves.js';
import type { Shadows } from './shadows.js';
import type { BufferRecord, Reach } from './ops.js';
import type { Claimable } from '../sync/queue-object.js';
import { type PollEvents, Sharing, type SharingServices } from './sharing.js';
import type { Holds } from '../sync/holds.js';
import { wantFence } from '../sync/fence-args.js';
import type { FenceLike } from '../sync/fence-set.js';
import type { SyncFile } from '../sync/sync-file.js';

/** What a handle needs of its machine. */
export interface BufferServices {
  readonly kernel: Kernel;
  readonly regions: Regions;
  readonly buffers: Buffers;
  readonly fds: FdTable;
  readonly references: References;
  readonly holds: Holds;
  readonly sharing: SharingServices;
  readonly holders: Holders;
  readonly importers: Importers;
  readonly access: CpuAccess;
  readonly moves: Moves;
  readonly ioctls: DmaBufIoctls;
  readonly handles: Handles;
  /** This thread's cache; undefined: the machine is coherent. */
  readonly shadows: Shadows | undefined;
  /** Whether views are guarded. */
  readonly guard: boolean;
}

/** DMA_BUF_NAME_LEN, without its NUL. */
const NAME_BYTES = 31;

/** lseek's whence. */
export const SEEK_SET = 0;
export const SEEK_END = 2;

const WHOLE: MmapOptions = {};

export class DmaBuf implements Claimable {
  /** The fd, as passFd and the ioctls take it. */
  readonly fd: number;
  /** Bytes; invariant for the buffer's life. */
  readonly size: number;
  /** The kernel's record of it, for driver halves. */
  readonly record: BufferRecord;
  readonly #s: BufferServices;
  /** What the fd names. */
  readonly #object: number;
  /** Generation of the record: together with its pointer, which buffer this is. */
  readonly #generation: number;
  readonly #place: string;
  readonly #watch: FdWatch;
  /** Whether the fd may write: what it was opened or passed with never grows. */
  readonly #writable: boolean;
  #delivered: number = -1;
  #open = true;

  constructor(services: BufferServices, fd: number) {
    const { kernel, fds, handles } = services;
    const pointer = fds.get(fd, OBJECT.DMABUF, 'dma_buf_get');
    const record = services.buffers.record(pointer);
    this.#s = services;
    this.fd = fd;
    this.record = record;
    this.#writable = (fds.flagsOf(fd) & FD_FLAG.WRITE) !== 0;
    this.size = record.size;
    this.#generation = kernel.words.get(pointer + BUFFER.GEN);
    this.#object = objectWord(OBJECT.DMABUF, pointer);
    this.#place = handles.place();
    this.#watch = handles.watchOf(fd, this.#object) ?? this.#opened();
  }

  #opened(): FdWatch {
    const what = `a handle of dma-buf fd ${this.fd} (buffer ${this.record.ino})`;
    return this.#s.handles.openedFd(this.fd, this.#object, what, this.#place);
  }

  /** Makes a new buffer an fd of this process. EMFILE gives the buffer back. */
  static fromExport(services: BufferServices, buffer: number): DmaBuf {
    const object = objectWord(OBJECT.DMABUF, buffer);
    try {
      return new DmaBuf(services, services.fds.install(object, FD_RDWR, 'dma_buf_fd'));
    } catch (error) {
      services.references.abandon(object);
      throw error;
    }
  }

  get name(): string {
    return this.record.name;
  }

  /** DMA_BUF_SET_NAME: at most 31 bytes of UTF-8. EINVAL when longer. */
  set name(name: string) {
    this.#check('set_name');
    checkName(name, 'set_name');
    this.#s.importers.locked(this.record.pointer, () => {
      this.record.name = name;
    });
  }

  /**
   * lseek(2), by which a buffer's size is asked: `seek(0, SEEK_END)` is the size, `seek(0, SEEK_SET)`
   * 0. EINVAL: anything else.
   */
  seek(offset: number, whence: number): number {
    this.#check('llseek');
    return seekIn(this.record, offset, whence);
  }

  /** What the last writer said of the content. */
  get metadata(): FrameMetadata {
    return readMetadata(this.#s.kernel, this.record.pointer);
  }

  /** What the fd may be used for (O_RDONLY, O_RDWR): `read` maps and claims to read only. */
  get mode(): FdAccess {
    return this.#writable ? 'readwrite' : 'read';
  }

  /**
   * Another fd of the same buffer in this process, with the rights of this one or, asked for `read`, less. EMFILE,
   * EBADF; EACCES: more than this one has.
   */
  dup(access?: FdAccess): DmaBuf {
    this.#check('dup');
    const { object, flags: own } = this.#s.fds.entry(this.fd, 'dup');
    const flags = narrowed(own, access, this.fd, 'dup');
    return new DmaBuf(this.#s, this.#s.fds.install(object, flags, 'dup'));
  }

  /**
   * Declares that an actor is going to use the buffer and what it can reach, and hands it the
   * memory (blocks for some 100 µs the first time). Default: what its device has declared. EINVAL when
   * it cannot reach it; EPERM: protected memory, and no device that may see it; the
   * exporter's own refusal passes through. The caller owns the attachment. With `moveNotify` it is
   * dynamic: the exporter may move the buffer under it.
   */
  attach(
    actor: number,
    reach: Reach = this.#s.importers.devices.reachOf(actor),
    options: AttachOptions = {},
  ): Attachment {
    this.#check('attach');
    return new Attachment(this.#s, this.record, actor, reach, options, this.#writable);
  }

  /**
   * Maps `length` bytes at `offset` for the CPU. ENODEV: the exporter offers no mmap; EPERM: the
   * memory is protected; EINVAL: out of bounds. The mapping keeps the buffer alive until closed; its
   * memory is touched inside access brackets only.
   */
  mmap(options: MmapOptions = {}): Mapping {
    this.#check('mmap');
    return dmaBufMmap(this.#s, this.record, options, this.#writable);
  }

  /** mmap and one access bracket in one call; finishing the bracket unmaps. See {@link Mapping}. */
  access(options: BracketOptions): Bracket {
    this.#check('mmap');
    wantObject('access', 'options', options);
    const mapping = dmaBufMmap(this.#s, this.record, WHOLE, this.#writable, this.#place);
    try {
      return mapping.prepareAccess(options);
    } catch (error) {
      mapping.retract();
      throw error;
    }
  }

  /**
   * What is ready now (poll): readable when no writer is pending, writable when nobody is. Blocks up to
   * `timeout` ms (default 0: only looks) until something that was asked for is.
   */
  poll(events: PollEvents, timeout: number = 0): Required<PollEvents> {
    this.#check('poll');
    checkEvents(events);
    wantTimeout('poll', timeout);
    return new Sharing(this.#s.sharing, this.record).poll(events, timeout);
  }

  /** {@link poll} without blocking the thread: resolves when something that was asked for is ready. */
  async pollAsync(events: PollEvents): Promise<Required<PollEvents>> {
    this.#check('poll');
    checkEvents(events);
    const { pointer } = this.record;
    const pin = this.#s.holders.take({ kind: HOLDER_KIND.PIN, buffer: pointer }, 'poll');
    try {
      return await new Sharing(this.#s.sharing, this.record).pollAsync(events);
    } finally {
      if (this.#s.holders.isOurs(pin, pointer)) this.#s.holders.drop(pin);
    }
  }

  /**
   * DMA_BUF_IOCTL_EXPORT_SYNC_FILE: the fences that a new reader (`read`) or writer (`write`) would wait
   * for, as they stand now. The caller owns the sync file. EINVAL: neither asked for.
   */
  exportSyncFile(usage: { readonly read?: boolean; readonly write?: boolean }): SyncFile {
    this.#check('export_sync_file');
    checkUsage('exportSyncFile', usage);
    return new Sharing(this.#s.sharing, this.record).exportSyncFile(usage);
  }

  /**
   * DMA_BUF_IOCTL_IMPORT_SYNC_FILE: jobs that are added later wait for these fences as for a reader's or a
   * writer's (`write`). EINVAL: neither asked for.
   */
  importSyncFile(
    fences: FenceLike,
    usage: { readonly read?: boolean; readonly write?: boolean },
  ): void {
    this.#check('import_sync_file');
    checkUsage('importSyncFile', usage);
    if (usage.write === true && !this.#writable) {
      throw readOnly(this.fd, this.record.ino, 'import_sync_file');
    }
    wantFence(this.#s.kernel, 'importSyncFile', 'fences', fences);
    new Sharing(this.#s.sharing, this.record).importSyncFile(fences, usage);
  }

  /**
   * Sees to it that an actor has the memory, before a job can arrive there. EPERM: it is protected, and the actor no
   * device that may see it; EINVAL: it lies where the device has declared not to reach; ENOMEM.
   */
  deliverTo(actor: number, syscall: string): void {
    this.#check(syscall);
    if (this.#delivered === actor) return;
    this.#s.importers.deliver(this.record, actor, syscall);
    this.#delivered = actor;
  }

  /** Pointer of its queue. EBADF after close; EACCES: to write, by an fd that is for reading only. */
  queuePointer(syscall: string, write: boolean = false): number {
    this.#check(syscall);
    if (write && !this.#writable) throw readOnly(this.fd, this.record.ino, syscall);
    return this.record.queue;
  }

  /** Closes the fd. EBADF the second time. */
  close(): void {
    this.#check('close');
    this.#open = false;
    this.#s.handles.closedFd(this.#watch);
    try {
      this.#s.ioctls.closed(this.fd);
    } finally {
      this.#s.fds.remove(this.fd, 'close');
    }
  }

  [Symbol.dispose](): void {
    if (this.#open) this.close();
  }

  #check(syscall: string): void {
    // The fd may have been closed through another handle of it, and be in use anew.
    const { fds, kernel } = this.#s;
    const named = this.#open && fds.names(this.fd, this.#object);
    if (named && kernel.words.get(this.record.pointer + BUFFER.GEN) === this.#generation) return;
    throw new DmaBufError('EBADF', syscall, `this handle's fd ${this.fd} has been closed`);
  }

  /** How many CPU mappings the buffer has, machine-wide. */
  get mappings(): number {
    return this.#s.kernel.words.load(this.record.pointer + BUFFER.MAPPINGS);
  }
}

function checkEvents(events: PollEvents): void {
  wantObject('poll', 'events', events);
  wantFlags('poll', events, ['readable', 'writable']);
}

function checkUsage(
  call: string,
  usage: { readonly read?: boolean; readonly write?: boolean },
): void {
  wantObject(call, 'usage', usage);
  wantFlags(call, usage, ['read', 'write']);
}

/** dma_buf_llseek: only offset 0. EINVAL. */
function seekIn(record: BufferRecord, offset: number, whence: number): number {
  wantNumber('seek', 'offset', offset);
  wantNumber('seek', 'whence', whence);
  if (offset === 0 && whence === SEEK_END) return record.size;
  if (offset === 0 && whence === SEEK_SET) return 0;
  const detail = `seek(${offset}, ${whence}) on a dma-buf; only offset 0 with SEEK_SET or SEEK_END`;
  throw new DmaBufError('EINVAL', 'llseek', detail);
}

/** lseek(2) of any fd of this process. EBADF: not open, or no dma-buf; EINVAL. */
export function seekFd(
  { fds, buffers }: Pick<BufferServices, 'fds' | 'buffers'>,
  fd: number,
  offset: number,
  whence: number,
): number {
  const { object } = fds.entry(fd, 'llseek');
  if (kindOf(object) === OBJECT.DMABUF) {
    return seekIn(buffers.record(pointerOf(object)), offset, whence);
  }
  throw new DmaBufError('EBADF', 'llseek', `fd ${fd} is no dma-buf`);
}

/** DMA_BUF_SET_NAME's rules. EINVAL: longer than 31 bytes of UTF-8, or with a NUL in it. */
export function checkName(name: string, syscall: string): void {
  wantString(syscall, 'name', name);
  if (Buffer.byteLength(name) > NAME_BYTES) {
    throw new DmaBufError('EINVAL', syscall, `'${name}' is longer than ${NAME_BYTES} bytes`);
  }
  if (name.includes('\0')) throw new DmaBufError('EINVAL', syscall, 'a name with a NUL in it');
}
