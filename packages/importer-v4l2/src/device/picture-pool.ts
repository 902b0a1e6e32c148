/**
 * PicturePool: the memory of a decoder that leaves its pictures in place, as memory of dma-bufs (`v4l2({ inPlace })`).
 *
 * The memory is a region of the machine that the device has adopted; a dma-buf of the device's own, over all of it, keeps
 * the region alive while the decoder lives. A CAPTURE buffer that is filled is pointed at the picture
 * (`door.relocate`); the region lives on while any buffer lies there, whether the decoder is closed or its worker dead.
 * When the memory has grown, or the decoder has begun in another one, the next picture is in a new region; buffers in the
 * old one stay there until they are filled again.
 *
 * Which frames are held is read from the buffers' records each time: a buffer holds the frame that it was pointed at
 * until it is pointed elsewhere or its last reference and its last job are gone. Only this device moves it, so what is
 * found free stays free. Owned by the DecoderState, in the device's worker; it has no shared words of its own.
 */
import { DmaBufError, type DmaBuf, type JobBuffer } from '@dmabuf/core';
import type { BufferRecord, DriverDoor } from '@dmabuf/core/driver';
import type { DecoderMemory, PicturePlace } from '../codec/index.js';

/** A buffer that was pointed at a frame, and what tells whether it is still there. */
interface Placed {
  readonly record: BufferRecord;
  readonly ino: number;
  readonly region: number;
}

export class PicturePool {
  readonly #door: DriverDoor;
  #memory: DecoderMemory | undefined;
  /** Over the whole region: it keeps the region alive. */
  #own: DmaBuf | undefined;
  /** By offset in the memory. */
  readonly #placed: Map<number, Placed> = new Map();

  constructor(door: DriverDoor) {
    this.#door = door;
  }

  /** Whether a buffer shows the frame at `offset`. */
  holds(memory: DecoderMemory, offset: number): boolean {
    const placed = memory === this.#memory ? this.#placed.get(offset) : undefined;
    if (placed === undefined) return false;
    const { record, ino, region } = placed;
    return record.ino === ino && record.region === region && record.offset === offset;
  }

  /**
   * Points a buffer that a running job has to itself at a picture. False, and it is where it was: it is not one of the
   * driver's, is pinned or mapped by a CPU, or the machine has no region left.
   */
  place(buffer: JobBuffer, picture: PicturePlace): boolean {
    const { record } = buffer;
    if (record.exporter !== this.#door.index || record.size < picture.byteLength) return false;
    const { offset } = picture;
    try {
      const region = this.#regionOf(picture.memory, offset + record.size);
      this.#door.relocate(buffer, { region, offset });
      this.#placed.set(offset, { record, ino: record.ino, region });
      return true;
    } catch (error) {
      if (error instanceof DmaBufError) return false;
      throw error;
    }
  }

  /**
   * Has the decoder keep out of a buffer that could not be moved and is going to be overwritten, if it lies in a
   * frame. Returns the bytes copied for that. ENOMEM.
   */
  evict({ record }: JobBuffer, picture: PicturePlace): number {
    const { offset, ino } = record;
    const mine = this.#placed.get(offset)?.ino === ino && this.holds(picture.memory, offset);
    return mine ? picture.evict(offset) : 0;
  }

  /** The decoder is gone; buffers that show its pictures keep their memory. */
  close(): void {
    this.#own?.close();
    this.#own = undefined;
    this.#memory = undefined;
    this.#placed.clear();
  }

  /** The region of a memory, of `end` bytes at least. ENOSPC, ENFILE. */
  #regionOf(memory: DecoderMemory, end: number): number {
    const own = this.#own;
    if (memory === this.#memory && own !== undefined && end <= own.size) return own.record.region;
    const region = this.#door.adoptRegion(memory, 'decode');
    const size = memory.buffer.byteLength;
    const info = { region, offset: 0, size, flags: 0, name: 'decoder frames', priv: [] };
    this.#own = this.#door.export(info);
    if (memory !== this.#memory) this.#placed.clear();
    this.#memory = memory;
    own?.close();
    return region;
  }
}
