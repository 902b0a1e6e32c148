/** Allocation of a buffer from core's own system heap. */
import { wantFlags, wantNumber, wantObject } from '../args.js';
import { DmaBufError } from '../errno.js';
import { BUFFER_FLAG } from '../memory/layout.js';
import { type BufferServices, checkName, DmaBuf } from './dmabuf.js';
import { pageAlign } from './system-heap.js';

export interface AllocOptions {
  /** At most 31 bytes of UTF-8, for those who look at it. */
  readonly name?: string;
  /** Its memory is allocated at the first map, mmap or job. */
  readonly deferred?: boolean;
}

/** `machine.alloc`, which says what it does and which errnos it has. */
export function allocate(services: BufferServices, bytes: number, options: AllocOptions): DmaBuf {
  wantNumber('alloc', 'bytes', bytes);
  if (!Number.isSafeInteger(bytes) || bytes <= 0) {
    const detail = `a buffer of ${bytes} bytes; give a positive integer`;
    throw new DmaBufError('EINVAL', 'alloc', detail);
  }
  const { kernel, regions, buffers, shadows } = services;
  kernel.check('alloc');
  wantObject('alloc', 'options', options);
  wantFlags('alloc', options, ['deferred']);
  const { name = '', deferred = false } = options;
  checkName(name, 'alloc');
  const region = deferred ? 0 : regions.make(pageAlign(bytes));
  // Of a machine that is not coherent the system heap is cached, as Linux's is.
  const flags = shadows === undefined ? 0 : BUFFER_FLAG.NEEDS_SYNC;
  const info = { region, offset: 0, size: bytes, exporter: 0, flags, name, priv: [] };
  return DmaBuf.fromExport(services, buffers.export(info));
}
