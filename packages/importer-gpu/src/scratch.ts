/**
 * The device's scratch: pool memory that contexts have given it for scaling in wasm. Offered as an
 * fd, which the device holds until the context takes it back or is gone. It runs one job at a
 * time, so the largest one serves all of them.
 */
import { DmaBufError, type DmaBuf, type Machine } from '@dmabuf/core';
import { SCRATCH_TAG } from './ioctl.js';

export interface ScratchRange {
  /** Bytes from the start of the pool. */
  readonly byteOffset: number;
  readonly byteLength: number;
  /** Which buffer it is, and of which context. */
  readonly pointer: number;
  readonly ino: number;
  readonly context: number;
}

export class Scratch {
  readonly #machine: Machine;
  readonly #buffers: Map<number, DmaBuf> = new Map();

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** Takes the buffer that a context has sent. EINVAL: none came, or it lies outside the pool. */
  accept(context: number): void {
    this.#forgetClosed();
    this.#receive();
    const buffer = this.#buffers.get(context);
    if (buffer === undefined) {
      const detail = `context ${context} has sent no buffer, or one outside the pool`;
      throw new DmaBufError('EINVAL', 'gpu_scratch', detail);
    }
  }

  /** Gives a context's buffer back. */
  drop(context: number): void {
    this.#buffers.get(context)?.close();
    this.#buffers.delete(context);
  }

  /** The largest range, undefined when there is none. */
  get range(): ScratchRange | undefined {
    let best: { readonly context: number; readonly buffer: DmaBuf } | undefined;
    for (const [context, buffer] of this.#buffers) {
      if (best === undefined || buffer.size > best.buffer.size) best = { context, buffer };
    }
    if (best === undefined) return undefined;
    const { size, record } = best.buffer;
    const { pointer, ino, offset } = record;
    return { byteOffset: offset, byteLength: size, pointer, ino, context: best.context };
  }

  /** Takes a buffer that the device had in an earlier life. */
  keep(context: number, buffer: DmaBuf): void {
    this.#buffers.set(context, buffer);
  }

  close(): void {
    for (const context of [...this.#buffers.keys()]) this.drop(context);
  }

  /** Takes all fds that have arrived; what is no scratch is closed. */
  #receive(): void {
    for (;;) {
      const received = this.#tryReceive();
      if (received === undefined) return;
      const buffer = this.#machine.dmabuf(received.fd);
      const context = contextOf(received.tag);
      if (context === undefined || !buffer.record.inPool) {
        buffer.close();
        continue;
      }
      this.drop(context);
      this.#buffers.set(context, buffer);
    }
  }

  #tryReceive(): { readonly fd: number; readonly tag: unknown } | undefined {
    try {
      return this.#machine.receiveFd(0);
    } catch (error) {
      if (error instanceof DmaBufError && error.code === 'ETIME') return undefined;
      throw error;
    }
  }

  /** Buffers of contexts that ended without taking them back. */
  #forgetClosed(): void {
    for (const context of [...this.#buffers.keys()]) {
      try {
        this.#machine.contextById(context);
      } catch {
        this.drop(context);
      }
    }
  }
}

function contextOf(tag: unknown): number | undefined {
  if (!Array.isArray(tag) || tag[0] !== SCRATCH_TAG) return undefined;
  const context: unknown = tag[1];
  return typeof context === 'number' ? context : undefined;
}
