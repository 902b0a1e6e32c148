/**
 * Attachment: a device is going to use a buffer (struct dma_buf_attachment).
 *
 * Attaching checks that the device can reach the memory, tells the exporter, and hands the region to
 * the device's thread, so that no job ever waits for the broker. It keeps the buffer alive.
 */
import { DmaBufError } from '../errno.js';
import { BUFFER } from '../memory/layout.js';
import type { BufferServices } from './dmabuf.js';
import type { BufferRecord, Importer, Reach } from './ops.js';

export class Attachment {
  readonly record: BufferRecord;
  readonly importer: Importer;
  readonly #s: BufferServices;
  #attached = true;

  constructor(services: BufferServices, record: BufferRecord, actor: number, reach: Reach) {
    const { kernel, buffers, regions } = services;
    kernel.mustLive(actor, 'attach');
    this.#s = services;
    this.record = record;
    this.importer = { actor, name: kernel.nameOf(actor), reach };
    checkReach(record, this.importer);
    regions.deliver(record.region, actor);
    buffers.opsOf(record).attach?.(record, this.importer);
    buffers.ref(record.pointer);
    kernel.words.add(record.pointer + BUFFER.ATTACHMENTS, 1);
  }

  /** Ends it. Harmless the second time. Jobs that are queued still run. */
  detach(): void {
    if (!this.#attached) return;
    this.#attached = false;
    const { kernel, buffers } = this.#s;
    buffers.opsOf(this.record).detach?.(this.record, this.importer);
    kernel.words.add(this.record.pointer + BUFFER.ATTACHMENTS, -1);
    buffers.unref(this.record.pointer);
  }

  [Symbol.dispose](): void {
    this.detach();
  }
}

function checkReach(record: BufferRecord, importer: Importer): void {
  const { reach, name } = importer;
  if (reach.pool === true && !record.inPool) {
    throw new DmaBufError(
      'EINVAL',
      'attach',
      `${name} reaches the pool only, buffer ${record.ino} lies outside it; allocate it from a carveout or CMA heap`,
    );
  }
  const align = reach.align ?? 1;
  if (record.offset % align !== 0) {
    throw new DmaBufError(
      'EINVAL',
      'attach',
      `${name} needs buffers aligned to ${align} bytes, buffer ${record.ino} starts at ${record.offset}; allocate with align: ${align}`,
    );
  }
}
