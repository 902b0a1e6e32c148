/**
 * Memory of the planes of a queue: dma-bufs attached to the device (videobuf2-dma-contig.c).
 *
 * MMAP buffers are allocated here and owned by the queue's thread; DMABUF ones are the application's. Either is
 * kept alive by its attachment, which also hands the memory to the device's worker, so that no job waits
 * for that. Cache maintenance is the exporter's business, as vb2 leaves it to it.
 */
import {
  type Attachment,
  type AttachOptions,
  type BufferUse,
  type DmaBuf,
  type Direction,
  discard,
  DmaBufError,
  type Machine,
  shared,
} from '@dmabuf/core';
import type { DriverDoor } from '@dmabuf/core/driver';
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

/** The device moves the buffer itself, and goes by its record. */
const FOLLOWS: AttachOptions = { moveNotify() {} };

export class DmaPlanes implements Vb2MemOps<DmaPlane> {
  readonly #machine: Machine;
  readonly #actor: number;
  readonly #name: string;
  readonly #direction: Direction;
  /** Where MMAP buffers are those of a device that moves them: the driver's own. */
  readonly #door: DriverDoor | undefined;
  /** Handles of the fds that DMABUF buffers came with. */
  readonly #handles: Map<number, DmaBuf> = new Map();

  /** `door`: buffers are exported by it, and the device may move them. */
  constructor(
    machine: Machine,
    actor: number,
    of: { readonly name: string; readonly output: boolean; readonly door: DriverDoor | undefined },
  ) {
    this.#machine = machine;
    this.#actor = actor;
    this.#name = of.name;
    this.#direction = of.output ? 'to_device' : 'from_device';
    this.#door = of.door;
  }

  alloc(bytes: number): DmaPlane {
    const buffer = this.#make(bytes);
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

  #make(bytes: number): DmaBuf {
    const name = this.#name;
    if (this.#door === undefined) return this.#machine.alloc(bytes, { name });
    const region = this.#door.makeRegion(bytes);
    return this.#door.export({ region, offset: 0, size: bytes, flags: 0, name, priv: [] });
  }

  #attach(buffer: DmaBuf, own: DmaBuf | undefined): DmaPlane {
    // CAPTURE is written: EACCES for an fd that was passed read-only.
    if (this.#direction === 'from_device') buffer.queuePointer('VIDIOC_QBUF', true);
    const moves = own !== undefined && this.#door !== undefined;
    const attachment = buffer.attach(this.#actor, undefined, moves ? FOLLOWS : {});
    try {
      attachment.map(this.#direction);
      return new DmaPlane(attachment, moves ? readOnly(own) : own);
    } catch (error) {
      attachment[Symbol.dispose]();
      throw error;
    }
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

/** Nobody but the device writes into what may be its reference frame: EXPBUF and mmap give away no more than this. */
function readOnly(buffer: DmaBuf): DmaBuf {
  const reader = buffer.dup('read');
  buffer.close();
  return reader;
}
