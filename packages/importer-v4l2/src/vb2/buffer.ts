/**
 * Vb2Buffer: one buffer of a queue, its state and its planes (struct vb2_buffer, videobuf2-core.h).
 *
 * Owned by its Vb2Queue, in the thread that owns the queue. What user space is told of it, a plain
 * V4l2Buffer, is a copy.
 */
import {
  V4L2_BUF_FLAG_DONE,
  V4L2_BUF_FLAG_ERROR,
  V4L2_BUF_FLAG_MAPPED,
  V4L2_BUF_FLAG_PREPARED,
  V4L2_BUF_FLAG_QUEUED,
  V4L2_MEMORY_DMABUF,
  V4L2_MEMORY_MMAP,
} from '../videodev2.js';

/** enum vb2_buffer_state. */
export type BufferState =
  | 'DEQUEUED' // user space has it
  | 'PREPARING' // planes are being attached
  | 'QUEUED' // vb2 has it, the driver does not yet
  | 'ACTIVE' // the driver has it
  | 'DONE'
  | 'ERROR';

/** struct v4l2_plane. */
export interface V4l2Plane {
  /** Bytes of content, `data_offset` included. */
  readonly bytesused?: number;
  /** Bytes of the plane's memory; with DMABUF 0 or left out: all of the dma-buf. */
  readonly length?: number;
  readonly data_offset?: number;
  /** MMAP: the cookie for `mmap`. DMABUF: the fd. */
  readonly m?: { readonly mem_offset?: number; readonly fd?: number };
}

/** struct v4l2_buffer. In the single-planar API `planes` has one entry too. */
export interface V4l2Buffer {
  readonly index: number;
  /** V4L2_BUF_TYPE_* */
  readonly type: number;
  /** V4L2_MEMORY_* */
  readonly memory: number;
  readonly planes: readonly V4l2Plane[];
  /** V4L2_BUF_FLAG_* */
  readonly flags?: number;
  readonly field?: number;
  /** ms. */
  readonly timestamp?: number;
  readonly sequence?: number;
  /** Only to be refused with `EBADR`: no device here takes requests. */
  readonly request_fd?: number;
}

/** A buffer as the calls return it: nothing is left out. */
export type V4l2BufferInfo = Required<Omit<V4l2Buffer, 'request_fd' | 'planes'>> & {
  readonly planes: readonly (Required<Omit<V4l2Plane, 'm'>> & {
    readonly m: NonNullable<V4l2Plane['m']>;
  })[];
};

/** Memory of one plane. What it is is the driver's business (Vb2MemOps). */
export interface PlaneMemory {
  readonly size: number;
  /** Which dma-buf it is: the same number for the same one. */
  readonly identity: number;
}

export interface Vb2Plane<M extends PlaneMemory> {
  memory: M | undefined;
  /** DMABUF: as user space numbered it; the same number comes back from DQBUF. */
  fd: number;
  length: number;
  minLength: number;
  bytesused: number;
  dataOffset: number;
}

export class Vb2Buffer<M extends PlaneMemory> {
  readonly index: number;
  readonly type: number;
  readonly memory: number;
  readonly planes: Vb2Plane<M>[];
  state: BufferState = 'DEQUEUED';
  /** Planes are attached and checked: PREPARE_BUF, or since QBUF. */
  prepared = false;
  /** Driver's flags of the last run: KEYFRAME, LAST, … */
  flags = 0;
  field = 0;
  timestamp = 0;
  sequence = 0;

  constructor(index: number, type: number, memory: number, sizes: readonly number[]) {
    this.index = index;
    this.type = type;
    this.memory = memory;
    this.planes = sizes.map((size) => ({
      memory: undefined,
      fd: -1,
      length: memory === V4L2_MEMORY_MMAP ? size : 0,
      minLength: size,
      bytesused: 0,
      dataOffset: 0,
    }));
  }

  /** Its flags as user space sees them (__fill_v4l2_buffer). */
  stateFlags(mapped: boolean): number {
    let flags = this.flags | (mapped ? V4L2_BUF_FLAG_MAPPED : 0);
    if (this.state === 'QUEUED' || this.state === 'ACTIVE') flags |= V4L2_BUF_FLAG_QUEUED;
    if (this.state === 'ERROR') flags |= V4L2_BUF_FLAG_ERROR;
    if (this.state === 'ERROR' || this.state === 'DONE') flags |= V4L2_BUF_FLAG_DONE;
    if (this.prepared && this.state === 'DEQUEUED') flags |= V4L2_BUF_FLAG_PREPARED;
    return flags;
  }

  /** What user space is told. `cookie` gives the mmap offset of a plane. */
  info(flags: number, cookie: (plane: number) => number): V4l2BufferInfo {
    const dmabuf = this.memory === V4L2_MEMORY_DMABUF;
    return {
      index: this.index,
      type: this.type,
      memory: this.memory,
      flags,
      field: this.field,
      timestamp: this.timestamp,
      sequence: this.sequence,
      planes: this.planes.map(({ bytesused, length, dataOffset, fd }, i) => ({
        bytesused,
        length,
        data_offset: dataOffset,
        m: dmabuf ? { fd } : { mem_offset: cookie(i) },
      })),
    };
  }
}
