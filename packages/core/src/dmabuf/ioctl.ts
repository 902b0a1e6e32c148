/**
 * The ioctls of a dma-buf's fd (drivers/dma-buf/dma-buf.c, include/uapi/linux/dma-buf.h), by their Linux
 * request numbers, and the two of the 2012 thread: PREPARE_ACCESS and FINISH_ACCESS.
 *
 * Unlike Linux, brackets are counted: an END (or FINISH) without its START (or PREPARE) on the same fd is
 * EINVAL, and closing the fd ends what is open on it. Unknown requests are ENOTTY (the 2012 patch
 * said EINVAL), as is any dma-buf request on an fd of another kind.
 */
import { wantNumber, wantObject, wantString } from '../args.js';
import { DmaBufError } from '../errno.js';
import { readOnly } from '../fd/access.js';
import { kindOf, pointerOf } from '../fd/fd-table.js';
import { BUFFER_FLAG, FD_FLAG, OBJECT } from '../memory/layout.js';
import type { AccessSpec, OpenAccess } from './cpu-access.js';
import { checkName, type BufferServices } from './dmabuf.js';
import type { BufferRecord } from './ops.js';
import { Sharing } from './sharing.js';

/** `_IO('Z', 0)`: opens a read-write bracket on the whole buffer (2012). */
export const DMA_BUF_IOCTL_PREPARE_ACCESS = 0x5a00;
/** `_IO('Z', 1)` */
export const DMA_BUF_IOCTL_FINISH_ACCESS = 0x5a01;
/** `_IOW('b', 0, struct dma_buf_sync)` */
export const DMA_BUF_IOCTL_SYNC = 0x40086200;
/** `_IOW('b', 1, __u32)` */
export const DMA_BUF_SET_NAME_A = 0x40046201;
/** `_IOW('b', 1, __u64)` */
export const DMA_BUF_SET_NAME_B = 0x40086201;
/** `_IOWR('b', 2, struct dma_buf_export_sync_file)` */
export const DMA_BUF_IOCTL_EXPORT_SYNC_FILE = 0xc0086202;
/** `_IOW('b', 3, struct dma_buf_import_sync_file)` */
export const DMA_BUF_IOCTL_IMPORT_SYNC_FILE = 0x40086203;

export const DMA_BUF_SYNC_READ = 1;
export const DMA_BUF_SYNC_WRITE = 2;
export const DMA_BUF_SYNC_RW = 3;
export const DMA_BUF_SYNC_START = 0;
export const DMA_BUF_SYNC_END = 4;

/** struct dma_buf_sync */
export interface DmaBufSync {
  /** DMA_BUF_SYNC_READ, WRITE or RW, with START or END. */
  readonly flags: number;
}

/** struct dma_buf_export_sync_file */
export interface DmaBufExportSyncFile {
  readonly flags: number;
  /** Filled in: the new fd. */
  fd: number;
}

/** struct dma_buf_import_sync_file */
export interface DmaBufImportSyncFile {
  readonly flags: number;
  readonly fd: number;
}

interface FdBracket {
  readonly access: OpenAccess;
  /** DMA_BUF_SYNC_RW bits that END must name again, or PREPARE. */
  readonly opened: number | 'prepare';
}

export class DmaBufIoctls {
  /** Set once, when the thread's services are complete. */
  #s: BufferServices | undefined;
  readonly #brackets: Map<number, FdBracket[]> = new Map();

  connect(services: BufferServices): void {
    this.#s = services;
  }

  /** 0, as ioctl(2). EBADF, ENOTTY, EINVAL, and what the request fails with. */
  call(fd: number, request: number, arg: unknown): number {
    const s = this.#services();
    wantNumber('ioctl', 'request', request);
    const { object, flags } = s.fds.entry(fd, 'ioctl');
    const writable = (flags & FD_FLAG.WRITE) !== 0;
    if (kindOf(object) !== OBJECT.DMABUF) throw unknown(request, `fd ${fd} is no dma-buf`);
    const record = s.buffers.record(pointerOf(object));
    switch (request >>> 0) {
      case DMA_BUF_IOCTL_PREPARE_ACCESS:
        this.#start(s, fd, record, writable ? DMA_BUF_SYNC_RW : DMA_BUF_SYNC_READ, 'prepare');
        break;
      case DMA_BUF_IOCTL_FINISH_ACCESS:
        this.#end(s, fd, record, 'prepare');
        break;
      case DMA_BUF_IOCTL_SYNC:
        this.#sync(s, fd, record, arg, writable);
        break;
      case DMA_BUF_SET_NAME_A:
      case DMA_BUF_SET_NAME_B:
        setName(s, record, arg);
        break;
      case DMA_BUF_IOCTL_EXPORT_SYNC_FILE:
        exportSyncFile(s, record, arg);
        break;
      case DMA_BUF_IOCTL_IMPORT_SYNC_FILE:
        importSyncFile(s, fd, record, arg, writable);
        break;
      default:
        throw unknown(request, `a dma-buf does not know it`);
    }
    return 0;
  }

  /** The fd is being closed: what is open on it ends. */
  closed(fd: number): void {
    const open = this.#brackets.get(fd);
    if (open === undefined) return;
    this.#brackets.delete(fd);
    for (const { access } of open) this.#services().access.finish(access, true);
  }

  #sync(
    s: BufferServices,
    fd: number,
    record: BufferRecord,
    arg: unknown,
    writable: boolean,
  ): void {
    wantObject('DMA_BUF_IOCTL_SYNC', 'arg', arg);
    const flags = flagsOf('DMA_BUF_IOCTL_SYNC', arg);
    const access = flags & DMA_BUF_SYNC_RW;
    if ((flags & ~(DMA_BUF_SYNC_RW | DMA_BUF_SYNC_END)) !== 0 || access === 0) {
      const detail = `flags ${flags}: READ (1), WRITE (2) or both, with END (4) or without`;
      throw new DmaBufError('EINVAL', 'DMA_BUF_IOCTL_SYNC', detail);
    }
    if ((flags & DMA_BUF_SYNC_END) !== 0) this.#end(s, fd, record, access);
    else if ((access & DMA_BUF_SYNC_WRITE) !== 0 && !writable) {
      throw readOnly(fd, record.ino, 'DMA_BUF_IOCTL_SYNC');
    } else this.#start(s, fd, record, access, access);
  }

  #start(
    s: BufferServices,
    fd: number,
    record: BufferRecord,
    flags: number,
    opened: FdBracket['opened'],
  ): void {
    if ((record.flags & BUFFER_FLAG.PROTECTED) !== 0) {
      throw new DmaBufError(
        'EPERM',
        callOf(opened),
        `buffer ${record.ino} is protected: devices only`,
      );
    }
    const spec: AccessSpec = {
      record,
      read: (flags & DMA_BUF_SYNC_READ) !== 0,
      write: (flags & DMA_BUF_SYNC_WRITE) !== 0,
      discard: false,
      offset: 0,
      length: record.size,
    };
    const options = { timeout: Infinity, sync: true, cache: true };
    const [access] = s.access.prepare([spec], options, callOf(opened));
    if (access === undefined) return;
    const open = this.#brackets.get(fd) ?? [];
    open.push({ access, opened });
    this.#brackets.set(fd, open);
  }

  #end(s: BufferServices, fd: number, record: BufferRecord, opened: FdBracket['opened']): void {
    const open = this.#brackets.get(fd) ?? [];
    const at = open.findLastIndex((bracket) => bracket.opened === opened);
    const bracket = open[at];
    if (bracket === undefined) {
      const detail = `nothing of that kind was begun on fd ${fd} (buffer ${record.ino})`;
      throw new DmaBufError('EINVAL', callOf(opened), detail);
    }
    open.splice(at, 1);
    if (open.length === 0) this.#brackets.delete(fd);
    s.access.finish(bracket.access, true);
  }

  #services(): BufferServices {
    if (this.#s !== undefined) return this.#s;
    throw new TypeError('ioctl: this thread is not wired up yet');
  }
}

function callOf(opened: FdBracket['opened']): string {
  return opened === 'prepare' ? 'DMA_BUF_IOCTL_PREPARE_ACCESS' : 'DMA_BUF_IOCTL_SYNC';
}

function setName(s: BufferServices, record: BufferRecord, arg: unknown): void {
  wantString('DMA_BUF_SET_NAME', 'arg', arg);
  checkName(arg, 'DMA_BUF_SET_NAME');
  s.importers.locked(record.pointer, () => {
    record.name = arg;
  });
}

function exportSyncFile(s: BufferServices, record: BufferRecord, arg: unknown): void {
  const call = 'DMA_BUF_IOCTL_EXPORT_SYNC_FILE';
  wantObject(call, 'arg', arg);
  const usage = usageOf(call, arg);
  const file = new Sharing(s.sharing, record).exportSyncFile(usage);
  s.handles.releasedFd(file.fd); // the fd is the caller's
  Object.assign(arg, { fd: file.fd });
}

function importSyncFile(
  s: BufferServices,
  sharing: number,
  record: BufferRecord,
  arg: unknown,
  writable: boolean,
): void {
  const call = 'DMA_BUF_IOCTL_IMPORT_SYNC_FILE';
  wantObject(call, 'arg', arg);
  const usage = usageOf(call, arg);
  if (usage.write && !writable) throw readOnly(sharing, record.ino, call);
  const fd = 'fd' in arg ? arg.fd : undefined;
  wantNumber(call, 'arg.fd', fd);
  const points = s.sharing.files
    .points(syncFileOf(s, fd, call))
    .filter((point) => point.known !== 1);
  new Sharing(s.sharing, record).importSyncFile({ points }, usage);
}

/** EINVAL for anything that is no open fd of a sync file, as Linux answers here. */
function syncFileOf(s: BufferServices, fd: number, call: string): number {
  for (const open of s.fds.open()) {
    if (open.fd === fd && kindOf(open.object) === OBJECT.SYNC_FILE) return pointerOf(open.object);
  }
  throw new DmaBufError('EINVAL', call, `fd ${fd} is not an open sync file`);
}

function flagsOf(call: string, arg: object): number {
  const flags = 'flags' in arg ? arg.flags : undefined;
  wantNumber(call, 'arg.flags', flags);
  if (Number.isInteger(flags) && flags >= 0) return flags;
  throw new DmaBufError('EINVAL', call, `flags ${flags}`);
}

function usageOf(call: string, arg: object): { readonly read: boolean; readonly write: boolean } {
  const flags = flagsOf(call, arg);
  if (flags > DMA_BUF_SYNC_RW || flags === 0) {
    throw new DmaBufError('EINVAL', call, `flags ${flags}: READ (1), WRITE (2) or both`);
  }
  return { read: (flags & DMA_BUF_SYNC_READ) !== 0, write: (flags & DMA_BUF_SYNC_WRITE) !== 0 };
}

function unknown(request: number, why: string): DmaBufError {
  const number = `0x${(request >>> 0).toString(16)}`;
  return new DmaBufError('ENOTTY', 'ioctl', `request ${number}: ${why}`);
}
