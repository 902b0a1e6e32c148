/**
 * Memory of the planes of a queue: dma-bufs attached to the device (videobuf2-dma-contig.c).
 *
 * MMAP buffers are allocated here and owned by the queue's thread; DMABUF ones are the application's. Either is
 * kept alive by its attachment, which also hands the memory to the device's worker, so that no job waits
 * for that. Cache maintenance is the exporter's business, as vb2 leaves it to it.
 */
import {
  type Attachment,
  type BufferUse,
  type DmaBuf,
  type Direction,
  discard,
  DmaBufError,
  type Machine,
  shared,
} from '@dmabuf/core';
import type { PlaneMemory } from './vb2/buffer.js';
import type { Vb2MemOps } from './vb2/ops.js';

export class DmaPlane implements PlaneMemory {
  readonly size: number;
  readonly identity: number;
  /** MMAP only: the queue's own fd. */
  readonly buffer: DmaBuf | undefined;
  readonly #attachment: Attachment;

  constructor(attachment: Attachment, buffer: DmaBuf | undefined) {
    this.#attachment = attachment;
    this.buffer = buffer;
    this.size = attachment.record.size;
    this.identity = attachment.record.ino;
  }

  /** How a job of the device names it. */
  use(write: boolean): BufferUse {
    const { record } = this.#attachment;
    const claimable = { queuePointer: () => record.queue, deliverTo: () => {} };
    return write ? discard(claimable) : shared(claimable);
  }

  release(): void {
    this.#attachment[Symbol.dispose]();
    this.buffer?.[Symbol.dispose]();
  }
}

export class DmaPlanes implements Vb2MemOps<DmaPlane> {
  readonly #machine: Machine;
  readonly #actor: number;
  readonly #name: string;
  readonly #direction: Direction;
  /** Handles of the fds that DMABUF buffers came with. */
  readonly #handles: Map<number, DmaBuf> = new Map();

  constructor(machine: Machine, actor: number, name: string, output: boolean) {
    this.#machine = machine;
    this.#actor = actor;
    this.#name = name;
    this.#direction = output ? 'to_device' : 'from_device';
  }

  alloc(bytes: number): DmaPlane {
    const buffer = this.#machine.alloc(bytes, { name: this.#name });
    try {
      return this.#attach(buffer, buffer);
    } catch (error) {
      buffer.close();
      throw error;
    }
  }

  lookup(fd: number): PlaneMemory {
    const { record, size } = this.#handle(fd);
    return { size, identity: record.ino };
  }

  attach(fd: number): DmaPlane {
    return this.#attach(this.#handle(fd), undefined);
  }

  mapped({ buffer }: DmaPlane): boolean {
    return buffer !== undefined && buffer.mappings > 0;
  }

  release(memory: DmaPlane): void {
    memory.release();
  }

  #attach(buffer: DmaBuf, own: DmaBuf | undefined): DmaPlane {
    // CAPTURE is written: EACCES for an fd that was passed read-only.
    if (this.#direction === 'from_device') buffer.queuePointer('VIDIOC_QBUF', true);
    const attachment = buffer.attach(this.#actor);
    try {
      attachment.map(this.#direction);
    } catch (error) {
      attachment.detach();
      throw error;
    }
    return new DmaPlane(attachment, own);
  }

  /** The handle of an fd; a new one when the number means another dma-buf by now. */
  #handle(fd: number): DmaBuf {
    const known = this.#handles.get(fd);
    if (known !== undefined) {
      try {
        known.queuePointer('dma_buf_get');
        return known;
      } catch (error) {
        if (!(error instanceof DmaBufError)) throw error;
        this.#handles.delete(fd);
      }
    }
    const handle = this.#machine.dmabuf(fd);
    this.#handles.set(fd, handle);
    return handle;
  }
}
