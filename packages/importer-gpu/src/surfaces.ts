/**
 * Surfaces: image ids of a job resolved to memory, in the device.
 *
 * What an id means is kept until its record is freed; the memory behind it is looked at anew when
 * the buffer has moved. A frame's geometry is read from its buffer's metadata for every job.
 */
import { DmaBufError, type FrameMetadata, type Job, type JobBuffer } from '@dmabuf/core';
import { formatInfo, formatName } from './fourcc.js';
import type { ImageInfo, ImageTable } from './image-table.js';
import { checkImage } from './kernels/check.js';
import type { Image } from './kernels/kernels.js';
import type { Surface } from './step.js';

/** An image of the job in hand. */
export interface JobSurface extends Surface {
  readonly image: Image;
  readonly frame: boolean;
  readonly buffer: JobBuffer;
}

interface Known {
  readonly info: ImageInfo;
  readonly region: number;
  readonly image: Image;
}

export class Surfaces {
  readonly #table: ImageTable;
  readonly #known: Map<number, Known> = new Map();

  constructor(table: ImageTable) {
    this.#table = table;
  }

  /**
   * The image `id` as job `job` has it. ENOENT: no such image; EINVAL: the job does not claim its
   * buffer, or the metadata makes no sense; ENODATA: there is none; EOVERFLOW: larger than stated.
   */
  resolve(id: number, job: Job): JobSurface {
    const info = this.#infoOf(id);
    const buffer = job.buffers.find(
      ({ record }) => record.pointer === info.buffer && record.ino === info.ino,
    );
    if (buffer === undefined) {
      const detail = `image ${id} is one of buffer ${info.ino}, which the job does not claim`;
      throw new DmaBufError('EINVAL', 'gpu_job', detail);
    }
    if (info.frame) {
      const { metadata, bytes } = buffer;
      const surface = frameOf(info, { ino: info.ino, metadata, bytes });
      return { ...surface, frame: true, buffer };
    }
    const image = this.#imageOf(id, info, buffer);
    const { width, height, color } = info;
    return { image, x: 0, y: 0, width, height, color, frame: false, buffer };
  }

  /** Forgets images that are gone, and with them the memory of their buffers. */
  sweep(): void {
    for (const id of this.#known.keys()) {
      if (!this.#table.has(id)) this.#known.delete(id);
    }
  }

  #infoOf(id: number): ImageInfo {
    const known = this.#known.get(id);
    return known !== undefined && this.#table.has(id) ? known.info : this.#table.info(id);
  }

  #imageOf(id: number, info: ImageInfo, buffer: JobBuffer): Image {
    const known = this.#known.get(id);
    const { region, offset } = buffer.record;
    if (known?.region === region && known.image.byteOffset === offset && known.info === info) {
      return known.image;
    }
    const image = placed(buffer.bytes, info);
    this.#known.set(id, { info, region, image });
    return image;
  }
}

/** An image of known geometry where its buffer lies. */
export function placed(
  bytes: Uint8Array<ArrayBufferLike>,
  shape: Pick<Image, 'fourcc' | 'width' | 'height' | 'planes'>,
): Image {
  const { buffer: memory, byteOffset, byteLength } = bytes;
  const { fourcc, width, height, planes } = shape;
  return { memory, byteOffset, byteLength, fourcc, width, height, planes };
}

/** The content of a frame's buffer. */
export interface FrameContent {
  readonly ino: number;
  readonly metadata: FrameMetadata;
  readonly bytes: Uint8Array<ArrayBufferLike>;
}

/** A frame of at most `limit`'s size, as its writer described it. Errors: {@link Surfaces.resolve}. */
export function frameOf(
  limit: { readonly width: number; readonly height: number },
  { ino, metadata: frame, bytes }: FrameContent,
  call: string = 'gpu_job',
): Surface & { readonly image: Image } {
  const refuse = (code: 'EINVAL' | 'ENODATA' | 'EOVERFLOW', what: string): never => {
    throw new DmaBufError(code, call, `the frame in buffer ${ino} ${what}`);
  };
  if (frame.fourcc === 0) {
    return refuse('ENODATA', 'has no description; its writer must set the buffer’s metadata');
  }
  const format = formatInfo(frame.fourcc >>> 0);
  if (format === undefined) {
    return refuse('EINVAL', `is of the unknown format ${formatName(frame.fourcc >>> 0)}`);
  }
  const { left, top, width, height } = visible(frame);
  if (width > limit.width || height > limit.height) {
    const stated = `${limit.width}x${limit.height}`;
    return refuse('EOVERFLOW', `is ${width}x${height}; it was imported as at most ${stated}`);
  }
  const inside =
    left >= 0 && top >= 0 && left + width <= frame.width && top + height <= frame.height;
  if (width < 1 || height < 1 || !inside) {
    const rect = `${width}x${height}+${left}+${top}`;
    return refuse('EINVAL', `shows ${rect} of a picture of ${frame.width}x${frame.height}`);
  }
  const planes = format.planes.map((_, i) => ({
    offset: (frame.offsets[i] ?? 0) >>> 0,
    pitch: frame.pitches[i] ?? 0,
  }));
  const image = placed(bytes, { ...frame, fourcc: frame.fourcc >>> 0, planes });
  checkImage(call, 'the frame’s', image);
  const color = { encoding: frame.matrix, range: frame.range };
  return { image, x: left, y: top, width, height, color };
}

/** The crop, or the whole picture where the writer gave none. */
function visible(frame: FrameMetadata): FrameMetadata['crop'] {
  const { crop, width, height } = frame;
  return crop.width === 0 && crop.height === 0 ? { left: 0, top: 0, width, height } : crop;
}
