/**
 * Formats of a camera: raw pictures on CAPTURE. A file's have its own size; a test pattern takes any even one.
 */
import { DmaBufError } from '@dmabuf/core';
import { cameraLayout, type CameraFourcc } from './camera-pixels.js';
import type { CameraFormat, CameraState } from './camera-state.js';
import {
  type FormatDescription,
  type FormatSet,
  type FrameSizes,
  noQueue,
  type V4l2Format,
  type V4l2FormatRequest,
} from './formats.js';
import { isCapture, V4L2_FIELD_NONE, V4L2_FRMSIZE_TYPE_STEPWISE } from './videodev2.js';
import type { VideoFile } from './video-file.js';

const QUEUES = 'a CAPTURE queue (1, 9)';
/** Sides of a test pattern. */
const MIN_SIDE = 16;
const MAX_SIDE = 4096;
/** As v4l_fill_fmtdesc names them. */
const NAMES: Readonly<Record<CameraFourcc, string>> = {
  YU12: 'Planar YUV 4:2:0',
  NV12: 'Y/UV 4:2:0',
  YUYV: 'YUYV 4:2:2',
  XR24: '32-bit BGRX 8-8-8-8',
  RGB3: '24-bit RGB 8-8-8',
};

export class CameraFormats implements FormatSet {
  readonly #file: VideoFile;
  readonly #state: CameraState;

  constructor(file: VideoFile, state: CameraState) {
    this.#file = file;
    this.#state = state;
  }

  enumFmt(type: number): readonly FormatDescription[] {
    if (!isCapture(type)) throw noQueue('VIDIOC_ENUM_FMT', type, QUEUES);
    return this.#state.formats.map((fourcc) => {
      return { fourcc, description: NAMES[fourcc], flags: 0, available: true };
    });
  }

  gFmt(type: number): V4l2Format {
    if (isCapture(type)) return whole(type, this.#state.format);
    throw noQueue('VIDIOC_G_FMT', type, QUEUES);
  }

  tryFmt({ type, pixelformat, width, height }: V4l2FormatRequest): V4l2Format {
    if (!isCapture(type)) throw noQueue('VIDIOC_TRY_FMT', type, QUEUES);
    const now = this.#state.format;
    const fourcc = this.#known(pixelformat) ?? now.fourcc;
    if (this.#state.spec.file !== '') return whole(type, { ...now, fourcc });
    const size = { width: evenSide(width, now.width), height: evenSide(height, now.height) };
    return whole(type, { fourcc, ...size });
  }

  sFmt(request: V4l2FormatRequest): V4l2Format {
    const format = this.tryFmt(request);
    const { width, height, pixelformat } = format;
    const fourcc = this.#known(pixelformat) ?? this.#state.format.fourcc;
    const set = (): void => {
      this.#state.format = { fourcc, width, height };
    };
    this.#state.exclusively('VIDIOC_S_FMT', this.#file, set, true);
    return format;
  }

  /** VIDIOC_ENUM_FRAMESIZES. EINVAL: no such format. */
  sizes(pixelformat: string): FrameSizes {
    if (this.#known(pixelformat) === undefined) {
      throw new DmaBufError('EINVAL', 'VIDIOC_ENUM_FRAMESIZES', `no format '${pixelformat}' here`);
    }
    const { file, width, height } = this.#state.spec;
    const fixed = file !== '';
    return {
      type: V4L2_FRMSIZE_TYPE_STEPWISE,
      min_width: fixed ? width : MIN_SIDE,
      max_width: fixed ? width : MAX_SIDE,
      step_width: fixed ? 1 : 2,
      min_height: fixed ? height : MIN_SIDE,
      max_height: fixed ? height : MAX_SIDE,
      step_height: fixed ? 1 : 2,
    };
  }

  #known(pixelformat: string | undefined): CameraFourcc | undefined {
    return this.#state.formats.find((known) => known === pixelformat);
  }
}

/** A side that a test pattern has. */
export function evenSide(asked: number | undefined, fallback: number): number {
  if (asked === undefined || !Number.isInteger(asked) || asked <= 0) return fallback;
  return Math.min(Math.max(asked & ~1, MIN_SIDE), MAX_SIDE);
}

function whole(type: number, { fourcc, width, height }: CameraFormat): V4l2Format {
  const layout = cameraLayout(fourcc, width, height);
  const planes = [{ sizeimage: layout.byteLength, bytesperline: layout.planes[0]?.pitch ?? 0 }];
  return { type, width, height, pixelformat: fourcc, field: V4L2_FIELD_NONE, planes };
}
