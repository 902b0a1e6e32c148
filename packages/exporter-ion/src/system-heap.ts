/**
 * The system heap (ion_system_heap.c): a region of its own for each buffer, so that nobody gets at a
 * buffer who has no fd of it. Core gives a region up with its last buffer; what is kept here is the
 * accounting, and the limit if there is one.
 */
import { DmaBufError } from '@dmabuf/core';
import { pageAlign } from '@dmabuf/core/driver';
import { Heap, type HeapRequest, type HeapUsage, type Placement } from './heap.js';
import { HEAP } from './layout.js';
import { bytesText } from './text.js';

export class SystemHeap extends Heap {
  allocate(request: HeapRequest, record: number): Placement {
    const bytes = pageAlign(request.size);
    this.locked(() => this.#reserve(bytes, record));
    try {
      return { region: this.door.makeRegion(bytes), offset: 0 };
    } catch (error) {
      this.locked(() => this.countFailed());
      throw error;
    }
  }

  protected giveBack(): void {}

  usage(): HeapUsage {
    const total = this.words.getDouble(this.pointer + HEAP.BYTES);
    const free = Math.max(0, total - this.words.getDouble(this.pointer + HEAP.ALLOCATED));
    return { total, free, largest: Math.min(free, this.config.most), dirty: 0, holes: 1 };
  }

  /** Counts a buffer in before its region is made: two threads cannot pass the limit together. */
  #reserve(bytes: number, record: number): void {
    const { free, total } = this.usage();
    if (bytes > this.config.most || bytes > free) {
      this.countFailed();
      const limit =
        bytes > free
          ? `${bytesText(free)} of its ${bytesText(total)} are free; free buffers, or give it a larger size`
          : `a buffer may have ${bytesText(this.config.most)}, half of the host's memory`;
      const detail = `${this.label} cannot give ${bytesText(bytes)}: ${limit}`;
      throw new DmaBufError('ENOMEM', 'ion_alloc', detail);
    }
    this.charge(record, 1, bytes);
  }
}
