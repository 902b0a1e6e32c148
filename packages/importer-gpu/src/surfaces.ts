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
    if (info.frame) return { ...frameOf(info, buffer), frame: true, buffer };
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
    const image = placed(buffer, info);
    this.#known.set(id, { info, region, image });
    return image;
  }
}

function placed(
  buffer: JobBuffer,
  shape: Pick<Image, 'fourcc' | 'width' | 'height' | 'planes'>,
): Image {
  const { offset, size } = buffer.record;
  const { fourcc, width, height, planes } = shape;
  const memory = buffer.bytes.buffer;
  return { memory, byteOffset: offset, byteLength: size, fourcc, width, height, planes };
}

/** A frame as its writer described it. */
function frameOf(limit: ImageInfo, buffer: JobBuffer): Surface & { readonly image: Image } {
  const frame = buffer.metadata;
  const refuse = (code: 'EINVAL' | 'ENODATA' | 'EOVERFLOW', what: string): never => {
    throw new DmaBufError(code, 'gpu_job', `the frame in buffer ${buffer.record.ino} ${what}`);
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
  const image = placed(buffer, { ...frame, fourcc: frame.fourcc >>> 0, planes });
  checkImage('gpu_job', 'the frame’s', image);
  const color = { encoding: frame.matrix, range: frame.range };
  return { image, x: left, y: top, width, height, color };
}

/** The crop, or the whole picture where the writer gave none. */
function visible(frame: FrameMetadata): FrameMetadata['crop'] {
  const { crop, width, height } = frame;
  return crop.width === 0 && crop.height === 0 ? { left: 0, top: 0, width, height } : crop;
}
