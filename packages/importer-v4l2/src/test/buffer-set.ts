/**
 * The buffers of one queue as an application has them, MMAP or DMABUF, and their memory.
 */
import type { DmaBuf, Machine } from '@dmabuf/core';
import {
  type QueuedBuffer,
  type StreamingDevice,
  type V4l2BufferInfo,
  type V4l2Plane,
  V4L2_MEMORY_DMABUF,
  V4L2_MEMORY_MMAP,
} from '../index.js';

/** How an application gets its buffers. */
export interface BufferOptions {
  /** V4L2_MEMORY_MMAP (default) or V4L2_MEMORY_DMABUF. */
  readonly memory?: number;
  /** By CREATE_BUFS, one after the other, instead of REQBUFS. */
  readonly create?: boolean;
}

export class BufferSet {
  readonly type: number;
  readonly memory: number;
  /** How many there are. */
  readonly count: number;
  readonly #video: StreamingDevice;
  /** DMABUF: the application's own memory, by index and plane. */
  readonly #own: DmaBuf[][] = [];

  constructor(
    machine: Machine,
    video: StreamingDevice,
    type: number,
    count: number,
    options: BufferOptions = {},
  ) {
    const { memory = V4L2_MEMORY_MMAP, create = false } = options;
    this.#video = video;
    this.type = type;
    this.memory = memory;
    if (create) {
      for (let i = 0; i < count; i++) video.createBufs({ count: 1, type, memory });
      this.count = count;
    } else {
      this.count = video.reqbufs({ count, type, memory }).count;
    }
    if (memory !== V4L2_MEMORY_DMABUF) return;
    const { planes } = video.gFmt(type);
    for (let i = 0; i < this.count; i++) {
      this.#own.push(planes.map(({ sizeimage }) => machine.alloc(sizeimage)));
    }
  }

  /** The planes of a buffer as QBUF takes them. */
  planes(index: number, bytesused: readonly number[] = []): V4l2Plane[] {
    return this.#video.querybuf(this.type, index).planes.map((_, i) => {
      const fd = this.#own[index]?.[i]?.fd;
      return {
        ...(fd === undefined ? {} : { m: { fd } }),
        ...(bytesused[i] === undefined ? {} : { bytesused: bytesused[i] }),
      };
    });
  }

  queue(index: number, options: { bytesused?: number[]; timestamp?: number } = {}): QueuedBuffer {
    const { type, memory } = this;
    const { bytesused, timestamp = 0 } = options;
    const planes = this.planes(index, bytesused);
    return this.#video.qbuf({ index, type, memory, planes, timestamp });
  }

  /** Queues them all. */
  queueAll(): void {
    for (let i = 0; i < this.count; i++) this.queue(i);
  }

  /** Writes the planes of a buffer that the application has. */
  write(index: number, contents: readonly Uint8Array<ArrayBufferLike>[]): void {
    contents.forEach((content, plane) => {
      this.#access(index, plane, true, (bytes) => bytes.set(content));
    });
  }

  /** What is in a buffer that was dequeued, plane by plane. */
  read(buffer: V4l2BufferInfo): Uint8Array[] {
    return buffer.planes.map(({ bytesused }, plane) => {
      let copy = new Uint8Array(0);
      this.#access(buffer.index, plane, false, (bytes) => {
        copy = Uint8Array.from(bytes.subarray(0, bytesused));
      });
      return copy;
    });
  }

  /** Gives the application's own memory back. */
  close(): void {
    for (const buffer of this.#own.flat()) buffer.close();
  }

  #access(
    index: number,
    plane: number,
    write: boolean,
    use: (bytes: Uint8Array<ArrayBufferLike>) => void,
  ): void {
    const how = write ? { write: true, discard: true } : { read: true };
    const own = this.#own[index]?.[plane];
    if (own !== undefined) {
      using access = own.access(how);
      use(access.bytes);
      return;
    }
    const { m } = this.#video.querybuf(this.type, index).planes[plane] ?? {};
    using mapping = this.#video.mmap(m?.mem_offset ?? -1);
    const access = mapping.prepareAccess(how);
    use(access.bytes);
    access.finish();
  }
}
