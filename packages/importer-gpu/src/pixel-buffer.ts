/**
 * PixelBuffer: a dma-buf as OpenGL's pixel buffer object. `pack` (glReadPixels with a pack buffer bound) and
 * `unpack` (glTexSubImage2D with an unpack buffer) are jobs of the GPU and return at once; `map`
 * (glMapBufferRange) blocks only if the CPU comes before they are done.
 *
 * It holds an fd of its own, an attachment to the GPU and, from the first `map` on, one CPU mapping, made by the
 * exporter's own op.
 */
import {
  DmaBufError,
  type Attachment,
  type Bracket,
  type DmaBuf,
  type Fence,
  type Mapping,
} from '@dmabuf/core';
import { wantBuffer } from './args.js';
import { blit, copy, type Command } from './command.js';
import type { GpuContext } from './context.js';
import type { GpuSubmitOptions } from './context-options.js';
import { DRM_FORMAT_XRGB8888, packedLayout, type FourCC } from './fourcc.js';
import type { GpuImage, ImageServices } from './image.js';
import { RGB32 } from './kernels/check.js';
import type { ColorSpec } from './kernels/color.js';
import type { Rect } from './kernels/kernels.js';
import { knownFormat, wholeOf } from './plane-rows.js';

/** How pixels go between an image and a pixel buffer. They lie in the buffer without gaps. */
export interface TransferOptions extends Pick<GpuSubmitOptions, 'inFences' | 'onError'> {
  /** Part of the image; default: all of it. */
  readonly rect?: Rect;
  /** Bytes from the start of the buffer; default 0. */
  readonly offset?: number;
  /** Format of the pixels in the buffer; default: the image's own; of a frame XRGB8888. */
  readonly fourcc?: FourCC;
  /** How YCbCr in the buffer is to be read (unpack); default BT.709, limited range. */
  readonly color?: ColorSpec;
}

/** glMapBufferRange's bits. */
export interface MapOptions {
  /** GL_MAP_READ_BIT, GL_MAP_WRITE_BIT: at least one. */
  readonly read?: boolean;
  readonly write?: boolean;
  /** Bytes; default: all of the buffer, or all from `offset` on. */
  readonly offset?: number;
  readonly length?: number;
  /** GL_MAP_INVALIDATE_RANGE_BIT: everything in the range will be overwritten. */
  readonly invalidate?: boolean;
  /** GL_MAP_UNSYNCHRONIZED_BIT: wait for nobody; the caller knows that the range is not in use. */
  readonly unsynchronized?: boolean;
  /** ms to wait for the buffer's queue; 0 = only try. Default: no limit. */
  readonly timeout?: number;
}

export class PixelBuffer {
  /** Its own handle of the buffer. Closed with it. */
  readonly buffer: DmaBuf;
  readonly #context: GpuContext;
  readonly #attachment: Attachment;
  #mapping: Mapping | undefined;
  #open = true;

  /** By `GpuContext.createPixelBuffer` alone. */
  constructor(context: GpuContext, buffer: DmaBuf, { actor }: ImageServices) {
    wantBuffer('createPixelBuffer', 'buffer', buffer);
    this.#context = context;
    this.buffer = buffer.dup();
    try {
      this.#attachment = this.buffer.attach(actor);
    } catch (error) {
      this.buffer.close();
      throw error;
    }
  }

  /**
   * Queues a job that copies pixels of an image into the buffer, converted to `fourcc` if that is another one.
   * Errors as of `GpuContext.submit`; EINVAL: they do not fit behind `offset`.
   */
  pack(image: GpuImage, options: TransferOptions = {}): Fence {
    const from = options.rect ?? wholeOf(image);
    return this.#transfer(image, from, options, (own) => {
      const verbatim = own.fourcc === image.fourcc || isRgb(own, image);
      return verbatim ? copy({ dst: own, src: image, from }) : blit({ dst: own, src: image, from });
    });
  }

  /** Queues a job that copies pixels from the buffer into an image. Errors as of {@link pack}. */
  unpack(image: GpuImage, options: TransferOptions = {}): Fence {
    const to = options.rect ?? wholeOf(image);
    return this.#transfer(image, to, options, (own) => {
      const verbatim = own.fourcc === image.fourcc || isRgb(own, image);
      return verbatim ? copy({ dst: image, to, src: own }) : blit({ dst: image, to, src: own });
    });
  }

  /**
   * Opens the buffer to the CPU; blocks until its jobs are done, unless `unsynchronized`. The caller finishes the
   * bracket (glUnmapBuffer). EINVAL: out of bounds, or neither read nor write; ETIME; EACCES; what the
   * exporter's mmap refuses with; the errno of a writer that failed.
   */
  map(options: MapOptions): Bracket {
    this.#check('map_buffer_range');
    const { invalidate = false, unsynchronized = false, ...range } = options;
    this.#mapping ??= this.#attachment.mmap();
    return this.#mapping.prepareAccess({ ...range, discard: invalidate, sync: !unsynchronized });
  }

  /** Closes it. Jobs that are queued still run. EBUSY while a bracket is open; harmless the second time. */
  close(): void {
    if (!this.#open) return;
    this.#mapping?.close();
    this.#open = false;
    this.#attachment.detach();
    this.buffer.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #transfer(
    image: GpuImage,
    rect: Rect,
    options: TransferOptions,
    commandOf: (own: GpuImage) => Command,
  ): Fence {
    this.#check('pixel_transfer');
    const { offset = 0, color, inFences, onError } = options;
    const { fourcc = image.frame ? DRM_FORMAT_XRGB8888 : image.fourcc } = options;
    knownFormat(fourcc, 'pixel_transfer');
    const { width, height } = rect;
    const planes = packedLayout(fourcc, width, height).planes;
    const own = this.#context.importImage({
      ...{ buffer: this.buffer, fourcc, width, height },
      offsets: planes.map((plane) => plane.offset + offset),
      ...(color === undefined ? {} : { color }),
    });
    try {
      return this.#context.submit({
        commands: [commandOf(own)],
        ...(inFences === undefined ? {} : { inFences }),
        ...(onError === undefined ? {} : { onError }),
      });
    } finally {
      own.close(); // the job holds on to it
    }
  }

  #check(call: string): void {
    if (this.#open) return;
    throw new DmaBufError('ENOENT', call, 'the pixel buffer is closed');
  }
}

function isRgb(...images: readonly GpuImage[]): boolean {
  return images.every(({ fourcc }) => RGB32.includes(fourcc));
}
