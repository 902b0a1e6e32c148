/**
 * What REQBUFS, CREATE_BUFS and REMOVE_BUFS ask for and answer (vidioc-reqbufs.rst, vidioc-create-bufs.rst,
 * vidioc-remove-bufs.rst). Pure.
 */
import { DmaBufError } from '@dmabuf/core';
import {
  V4L2_BUF_CAP_SUPPORTS_DMABUF,
  V4L2_BUF_CAP_SUPPORTS_MAX_NUM_BUFFERS,
  V4L2_BUF_CAP_SUPPORTS_MMAP,
  V4L2_BUF_CAP_SUPPORTS_ORPHANED_BUFS,
  V4L2_BUF_CAP_SUPPORTS_REMOVE_BUFS,
  VIDEO_MAX_FRAME,
} from '../videodev2.js';

/** V4L2_BUF_CAP_* of every queue here. */
export const QUEUE_CAPABILITIES: number =
  V4L2_BUF_CAP_SUPPORTS_MMAP |
  V4L2_BUF_CAP_SUPPORTS_DMABUF |
  V4L2_BUF_CAP_SUPPORTS_ORPHANED_BUFS |
  V4L2_BUF_CAP_SUPPORTS_MAX_NUM_BUFFERS |
  V4L2_BUF_CAP_SUPPORTS_REMOVE_BUFS;

/** Answer of REQBUFS and CREATE_BUFS. */
export interface Allocated {
  /** First index that CREATE_BUFS made. */
  readonly index: number;
  readonly count: number;
  /** V4L2_BUF_CAP_* */
  readonly capabilities: number;
  readonly max_num_buffers: number;
}

/** `count` buffers from `index` on. */
export function allocated(index: number, count: number): Allocated {
  const capabilities = QUEUE_CAPABILITIES;
  return { index, count, capabilities, max_num_buffers: VIDEO_MAX_FRAME };
}

/** EINVAL: no number of buffers. */
export function checkCount(call: string, count: number): void {
  if (Number.isInteger(count) && count >= 0) return;
  throw new DmaBufError('EINVAL', call, `a count of ${count}; give a whole number`);
}

/** What CREATE_BUFS asks for beside the count. */
interface Creation {
  readonly memory: number;
  readonly sizes?: readonly number[];
}

/** ENOBUFS: the queue is full; EINVAL: other memory than its buffers are of, or no sizes of planes. */
export function checkCreation(
  call: string,
  { memory, sizes }: Creation,
  buffers: { readonly size: number; readonly memory: number },
): void {
  if (buffers.size >= VIDEO_MAX_FRAME) {
    const detail = `the queue has ${VIDEO_MAX_FRAME} buffers, the most that it can have`;
    throw new DmaBufError('ENOBUFS', call, detail);
  }
  if (buffers.size > 0 && memory !== buffers.memory) {
    throw new DmaBufError('EINVAL', call, `the queue's buffers are of memory ${buffers.memory}`);
  }
  if (sizes === undefined) return;
  if (sizes.length > 0 && sizes.every((size) => size > 0)) return;
  throw new DmaBufError('EINVAL', call, `plane sizes [${sizes.join(', ')}]; each is at least 1`);
}

/** EINVAL: indexes that no queue has. */
export function checkIndexes(call: string, index: number, count: number): void {
  const end = index + count;
  if (Number.isInteger(index) && index >= 0 && end <= VIDEO_MAX_FRAME) return;
  throw new DmaBufError('EINVAL', call, `buffers ${index} to ${end - 1} are out of range`);
}
