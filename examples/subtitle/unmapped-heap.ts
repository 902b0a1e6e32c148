// A heap of your own in a driver module of your own: memory that devices use as any other, and no mmap in its exporter,
// as of many a kernel driver (dma_buf_ops.mmap is optional). Every thread of the machine loads this.
import { BUFFER_FLAG, type Driver } from '@dmabuf/core/driver';
import { createDriver, RangeHeap } from '@dmabuf/exporter-ion';

class UnmappedHeap extends RangeHeap {
  override get bufferFlags(): number {
    return BUFFER_FLAG.NO_MMAP;
  }
}

export const driver: Driver = createDriver({ unmapped: (env) => new UnmappedHeap(env) });
