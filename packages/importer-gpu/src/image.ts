/**
 * GpuImage: a dma-buf as the GPU sees it (an EGLImage, EGL_EXT_image_dma_buf_import): format, size,
 * planes. Made by `GpuContext.importImage` and `importFrame`.
 *
 * It holds an fd of its own and an attachment, so the buffer lives as long as the image; the
 * application may close the handle that it imported from. Closing an image that queued jobs use is
 * allowed: they still run.
 */
import {
  DmaBufError,
  type Attachment,
  type DmaBuf,
  type Mapping,
  type MmapOptions,
} from '@dmabuf/core';
import type { DriverDoor } from '@dmabuf/core/driver';
import {
  DRM_FORMATS,
  formatInfo,
  formatName,
  minPitch,
  planeHeight,
  type FourCC,
  type PlaneLayout,
} from './fourcc.js';
import { wantBuffer, wantObject, wrongType } from './args.js';
import type { ImageInfo, ImageTable } from './image-table.js';
import type { RecordHandle } from './record-table.js';
import { checkImage } from './kernels/check.js';
import { DEFAULT_COLOR, type ColorSpec } from './kernels/color.js';
import type { Image } from './kernels/kernels.js';
import { MAX_SIZE } from './kernels/scale-map.js';
import type { Surface } from './step.js';
import { frameOf } from './surfaces.js';

/** The one layout that this GPU takes: rows one after the other. */
export const DRM_FORMAT_MOD_LINEAR: bigint = 0n;

/** What `importImage` is told. */
export interface ImageRequest {
  readonly buffer: DmaBuf;
  readonly fourcc: FourCC;
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  /** Bytes from row to row, per plane; default: rows without gaps. */
  readonly pitches?: readonly number[];
  /** Bytes from the start of the buffer, per plane; default: one plane after the other. */
  readonly offsets?: readonly number[];
  /** Default, and the only one: {@link DRM_FORMAT_MOD_LINEAR}. */
  readonly modifier?: bigint;
  /** How YCbCr is to be read; default BT.709, limited range. */
  readonly color?: ColorSpec;
}

/** What `importFrame` is told. */
export interface FrameRequest {
  readonly buffer: DmaBuf;
  /** The largest visible size that the writer may put there, pixels. */
  readonly width: number;
  readonly height: number;
}

/** What an image needs of the GPU that it is imported into. */
export interface ImageServices {
  readonly door: DriverDoor;
  readonly table: ImageTable;
  /** Actor id of the device. */
  readonly actor: number;
}

export class GpuImage {
  /** Names it in every thread of the machine: `GpuContext.imageById`. */
  readonly id: number;
  /** Actor id of the GPU that it was imported into. */
  readonly actor: number;
  /** 0 for a frame. */
  readonly fourcc: FourCC;
  /** Pixels; of a frame: at most. */
  readonly width: number;
  readonly height: number;
  /** Whether its geometry is read from the buffer's metadata when a job runs. */
  readonly frame: boolean;
  /** The image's own handle of its buffer. Closed with the image. */
  readonly buffer: DmaBuf;
  /** What commands are checked against. */
  readonly surface: Surface;
  readonly #attachment: Attachment;
  readonly #handle: RecordHandle;
  readonly #s: ImageServices;
  #open = true;

  private constructor(
    services: ImageServices,
    handle: RecordHandle,
    info: ImageInfo,
    buffer: DmaBuf,
    attachment: Attachment,
  ) {
    const { fourcc, width, height, frame, color } = info;
    this.#s = services;
    this.#attachment = attachment;
    this.#handle = handle;
    this.id = handle.id;
    this.actor = services.actor;
    this.fourcc = fourcc;
    this.width = width;
    this.height = height;
    this.frame = frame;
    this.buffer = buffer;
    const image = frame ? undefined : describe(services.door, buffer, info);
    this.surface = { image, x: 0, y: 0, width, height, color };
  }

  /** See `GpuContext.importImage`. */
  static import(services: ImageServices, request: ImageRequest): GpuImage {
    wantObject('importImage', 'request', request);
    const { buffer, fourcc, width, height, color = DEFAULT_COLOR } = request;
    wantBuffer('importImage', 'buffer', buffer);
    if (typeof fourcc !== 'number') {
      throw wrongType('importImage', 'fourcc', 'a number, such as DRM_FORMAT_NV12', fourcc);
    }
    const planes = layoutOf(request);
    const { pointer, ino } = buffer.record;
    const info = { buffer: pointer, ino, frame: false, fourcc, width, height, planes, color };
    return GpuImage.#make(services, buffer, info);
  }

  /** See `GpuContext.importFrame`. */
  static importFrame(services: ImageServices, request: FrameRequest): GpuImage {
    wantObject('importFrame', 'request', request);
    const { buffer, width, height } = request;
    wantBuffer('importFrame', 'buffer', buffer);
    for (const side of [width, height]) {
      if (!Number.isInteger(side)) {
        throw new TypeError(`importFrame: width and height must be integers, got ${String(side)}`);
      }
    }
    if (width < 1 || height < 1 || width > MAX_SIZE || height > MAX_SIZE) {
      fail(`frames of up to ${width}x${height}; sizes go from 1x1 to ${MAX_SIZE}x${MAX_SIZE}`);
    }
    const { pointer, ino } = buffer.record;
    const shape = { frame: true, fourcc: 0, width, height, planes: [], color: DEFAULT_COLOR };
    return GpuImage.#make(services, buffer, { buffer: pointer, ino, ...shape });
  }

  /** See `GpuContext.imageById`. */
  static byId(services: ImageServices, id: number, buffer: DmaBuf): GpuImage {
    wantBuffer('imageById', 'buffer', buffer);
    const { table } = services;
    const handle = table.open(id);
    try {
      const info = table.info(id);
      if (info.buffer !== buffer.record.pointer || info.ino !== buffer.record.ino) {
        fail(
          `image ${id} is one of buffer ${info.ino}, fd ${buffer.fd} names buffer ${buffer.record.ino}`,
        );
      }
      return GpuImage.#hold(services, buffer, info, () => handle);
    } catch (error) {
      table.close(handle);
      throw error;
    }
  }

  static #make(services: ImageServices, buffer: DmaBuf, info: ImageInfo): GpuImage {
    if (!info.frame) {
      checkImage('import_image', 'imported', describe(services.door, buffer, info));
    }
    return GpuImage.#hold(services, buffer, info, () => services.table.import(info));
  }

  /** Takes an fd and an attachment; a failure gives both back. */
  static #hold(
    services: ImageServices,
    buffer: DmaBuf,
    info: ImageInfo,
    handleOf: () => RecordHandle,
  ): GpuImage {
    const own = buffer.dup();
    let attachment: Attachment | undefined;
    try {
      attachment = own.attach(services.actor);
      return new GpuImage(services, handleOf(), info, own, attachment);
    } catch (error) {
      attachment?.detach();
      own.close();
      throw error;
    }
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /**
   * A CPU mapping of the buffer, by its exporter's own op and with its refusal (ENODEV, EPERM, …): the one
   * way to one, which the buffer counts (`bufinfo`). The caller closes it. ENOENT: the image is closed.
   */
  mmap(options: MmapOptions = {}): Mapping {
    if (this.#open) return this.#attachment.mmap(options);
    throw new DmaBufError('ENOENT', 'mmap', `image ${this.id} is closed`);
  }

  /** What a frame's buffer holds now, by its metadata. For whoever has a claim on it. Errors as of a job's. */
  describeFrame(call: string): Surface {
    const { record, metadata } = this.buffer;
    const bytes = this.#s.door.view(record.region, record.offset, record.size);
    return frameOf(this, { ino: record.ino, metadata, bytes }, call);
  }

  /**
   * Closes this thread's handle. Jobs that are queued still run; other threads' handles stay.
   * Harmless the second time.
   */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#attachment.detach();
    this.buffer.close();
    // The device may hold on to the memory of an image that is gone: it looks when it is rung.
    if (this.#s.table.close(this.#handle)) this.#s.door.ring(this.actor);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function fail(detail: string): never {
  throw new DmaBufError('EINVAL', 'import_image', detail);
}

/** Planes as asked for, the rest filled in. */
function layoutOf(request: ImageRequest): PlaneLayout[] {
  const { fourcc, width, height, pitches, offsets, modifier = DRM_FORMAT_MOD_LINEAR } = request;
  const format = formatInfo(fourcc);
  if (format === undefined) {
    const known = DRM_FORMATS.map(formatName).join(', ');
    fail(`pixel format ${formatName(fourcc)} is not known here; known are ${known}`);
  }
  if (modifier !== DRM_FORMAT_MOD_LINEAR) {
    fail(`modifier 0x${modifier.toString(16)}; this GPU takes DRM_FORMAT_MOD_LINEAR (0) alone`);
  }
  const count = format.planes.length;
  for (const [what, list] of Object.entries({ pitches, offsets })) {
    if (list !== undefined && list.length !== count) {
      fail(`${list.length} ${what} for ${format.name}, which has ${count} planes`);
    }
  }
  let end = 0;
  return format.planes.map((plane, i) => {
    const pitch = pitches?.[i] ?? minPitch(plane, width);
    const offset = offsets?.[i] ?? end;
    end = offset + pitch * planeHeight(plane, height);
    return { offset, pitch };
  });
}

/** The image as the kernels take it, in this thread. */
function describe(door: DriverDoor, buffer: DmaBuf, info: ImageInfo): Image {
  const { region, offset, size } = buffer.record;
  const { fourcc, width, height, planes } = info;
  const memory = door.view(region, offset, size).buffer;
  return { memory, byteOffset: offset, byteLength: size, fourcc, width, height, planes };
}
