/**
 * Framebuffer: a process's handle of a framebuffer of a display.
 *
 * It has an fd of its own of the buffer (ADDFB2: "the framebuffer keeps its own reference; the handle
 * may be closed right after"), which goes with `Display.rmFramebuffer` or with the process.
 */
import type { Attachment, DmaBuf } from '@dmabuf/core';
import type { FramebufferInfo } from './framebuffer-table.js';

/** What another process needs beside an fd of the buffer: see `Display.framebuffer`. Plain data. */
export interface FramebufferHandle {
  readonly id: number;
}

export class Framebuffer {
  /** DRM object id, unique for the life of the display. */
  readonly id: number;
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  readonly fourcc: number;
  /** Bytes from row to row, and to the first row, per plane. */
  readonly pitches: readonly number[];
  readonly offsets: readonly number[];
  /** The framebuffer's own handle of its buffer: for jobs that render into it. Do not close it. */
  readonly buffer: DmaBuf;
  readonly #attachments: readonly Attachment[];
  #live = true;

  /** By Display alone. `buffer` and the attachments become the framebuffer's. */
  constructor(info: FramebufferInfo, buffer: DmaBuf, attachments: readonly Attachment[]) {
    this.id = info.id;
    this.width = info.width;
    this.height = info.height;
    this.fourcc = info.fourcc;
    this.pitches = info.pitches;
    this.offsets = info.offsets;
    this.buffer = buffer;
    this.#attachments = attachments;
  }

  /** Plain data that names it in another process. */
  get handle(): FramebufferHandle {
    return { id: this.id };
  }

  /** Gives back what this process holds of it. By Display alone, once it is removed. */
  drop(): void {
    if (!this.#live) return;
    this.#live = false;
    for (const attachment of this.#attachments) attachment.detach();
    this.buffer.close();
  }
}
