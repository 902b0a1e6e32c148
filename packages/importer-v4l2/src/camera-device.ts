/**
 * CameraDevice: one open file of a camera, a capture device (Documentation/userspace-api/media/v4l/capture.rst,
 * dev-capture.rst): a test pattern or a Y4M file, frame by frame at the rate of the machine's clock.
 *
 * Runs in the calling thread. There is one camera, however many files: format, frame rate and pattern are the
 * device's, and one file at a time has buffers or frames queued ahead (`EBUSY` for the others).
 */
import { DmaBuf, DmaBufError, discard, type Fence, type Machine } from '@dmabuf/core';
import { CameraFormats } from './camera-formats.js';
import { cameraLayout } from './camera-pixels.js';
import {
  cameraSpec,
  CameraState,
  MAX_INTERVAL,
  MIN_INTERVAL,
  UNITS_PER_SECOND,
} from './camera-state.js';
import { Controls, type ControlSpec } from './controls.js';
import { PATTERNS } from './device/test-pattern.js';
import type { SinkPayload } from './device/stream-jobs.js';
import type { TimePerFrame } from './encoder-device.js';
import { FILE } from './file-table.js';
import type { FrameSizes } from './formats.js';
import { type DeviceParts, StreamingDevice } from './streaming-device.js';
import { Streams } from './streams.js';
import {
  V4L2_CID_TEST_PATTERN,
  V4L2_CTRL_TYPE_MENU,
  V4L2_FRMIVAL_TYPE_CONTINUOUS,
  V4L2_INPUT_TYPE_CAMERA,
} from './videodev2.js';
import { VideoFile, type VideoHandle } from './video-file.js';

/** `struct v4l2_frmivalenum`, continuous. */
export interface FrameIntervals {
  readonly type: number;
  readonly min: TimePerFrame;
  readonly max: TimePerFrame;
}

/** `struct v4l2_input`. */
export interface VideoInput {
  readonly index: number;
  readonly name: string;
  readonly type: number;
  /** V4L2_IN_ST_*; 0: fine. */
  readonly status: number;
}

export class CameraDevice extends StreamingDevice {
  readonly #state: CameraState;
  readonly #sizes: CameraFormats;

  private constructor(
    parts: DeviceParts & { readonly formats: CameraFormats },
    state: CameraState,
  ) {
    super(parts);
    this.#sizes = parts.formats;
    this.#state = state;
  }

  /**
   * Opens a camera. The caller closes it. Does not block.
   * ENOENT: no such device; ENODEV: it is no camera; EMFILE: all its files are open; ENOSPC: no free context.
   */
  static open(machine: Machine, path: string = '/dev/video2'): CameraDevice {
    return CameraDevice.#of(VideoFile.openAs(machine, path, 'camera'));
  }

  /** A file that another thread opened. EBADF when it has been closed. Does not block. */
  static fromHandle(machine: Machine, handle: VideoHandle): CameraDevice {
    return CameraDevice.#of(new VideoFile(machine, handle));
  }

  static #of(file: VideoFile): CameraDevice {
    const spec = cameraSpec(file.machine.device(file.handle.path).info);
    const state = new CameraState(file.door, spec);
    const formats = new CameraFormats(file, state);
    const specs = spec.file === '' ? [patternControl(state)] : [];
    const controls: Controls = new Controls(specs, (id, value) => {
      state.pattern = value;
      device.controlSet(id, value);
    });
    const streams = new Streams(file, {
      formats,
      minCapture: 0,
      parameters: () => [],
      exclusively: (call, take) => state.exclusively(call, file, take),
    });
    const device = new CameraDevice({ file, formats, controls, streams }, state);
    return device;
  }

  /** VIDIOC_ENUM_FRAMESIZES: of a file its own size, of a test pattern any even one. EINVAL: no such format. */
  override enumFramesizes(pixelformat: string): FrameSizes {
    return this.#sizes.sizes(pixelformat);
  }

  /** VIDIOC_ENUM_FRAMEINTERVALS: any from 1 ms to 1 s. EINVAL: no such format, or size. */
  enumFrameintervals(pixelformat: string, width: number, height: number): FrameIntervals {
    const { min_width, max_width, min_height, max_height } = this.enumFramesizes(pixelformat);
    const fits = width >= min_width && width <= max_width && height >= min_height;
    if (!fits || height > max_height) {
      const detail = `no pictures of ${width}x${height} here; see VIDIOC_ENUM_FRAMESIZES`;
      throw new DmaBufError('EINVAL', 'VIDIOC_ENUM_FRAMEINTERVALS', detail);
    }
    const type = V4L2_FRMIVAL_TYPE_CONTINUOUS;
    return { type, min: perFrame(MIN_INTERVAL), max: perFrame(MAX_INTERVAL) };
  }

  /** VIDIOC_G_PARM: the time from frame to frame. EINVAL: no such queue. */
  gParm(type: number): TimePerFrame {
    this.streams.of('VIDIOC_G_PARM', type);
    return perFrame(this.#state.interval);
  }

  /**
   * VIDIOC_S_PARM: the time from frame to frame, to 100 ns, 1 ms to 1 s; what is no time sets that which the camera was
   * made with. Returns what was set. EINVAL: no such queue; EBUSY: a file has buffers, or frames queued ahead.
   */
  sParm(type: number, { numerator, denominator }: TimePerFrame): TimePerFrame {
    this.streams.of('VIDIOC_S_PARM', type);
    const units = Math.round((numerator * UNITS_PER_SECOND) / denominator);
    const sound = Number.isFinite(units) && units > 0;
    this.#state.exclusively(
      'VIDIOC_S_PARM',
      this.file,
      () => {
        this.#state.interval = sound ? Math.min(Math.max(units, MIN_INTERVAL), MAX_INTERVAL) : 0;
      },
      true,
    );
    return this.gParm(type);
  }

  /** VIDIOC_ENUMINPUT: there is one. EINVAL: another index. */
  enumInput(index: number): VideoInput {
    this.file.check('VIDIOC_ENUMINPUT');
    if (index !== 0) throw noInput('VIDIOC_ENUMINPUT', index);
    const name = this.#state.spec.file === '' ? 'Test pattern' : 'Y4M file';
    return { index, name, type: V4L2_INPUT_TYPE_CAMERA, status: 0 };
  }

  /** VIDIOC_G_INPUT. */
  gInput(): number {
    this.file.check('VIDIOC_G_INPUT');
    return 0;
  }

  /** VIDIOC_S_INPUT. EINVAL: there is only input 0. */
  sInput(index: number): number {
    this.file.check('VIDIOC_S_INPUT');
    if (index !== 0) throw noInput('VIDIOC_S_INPUT', index);
    return index;
  }

  /**
   * The queued form (design D8a): the next frame that finds `capture` free is written into it; returns its fence. As
   * many as the tables allow can be queued on a handful of buffers, each behind whoever reads that buffer. The camera
   * runs from the first of them until nothing is queued when a frame comes; a frame for which no buffer is free is left out, which the
   * `sequence` of the next one's metadata shows. The fence: `ENODATA` behind the end of a file that does not loop,
   * `EIO` when it cannot be read, `ECANCELED` after `close`. Does not block.
   *
   * EINVAL: the buffer is smaller than the format needs; EBUSY: a file has buffers of REQBUFS, or another one has frames
   * queued ahead; ENOSPC: the job table is full.
   */
  queueCapture({ capture }: { readonly capture: DmaBuf }): Fence {
    const call = 'queue_capture';
    this.file.check(call);
    if (!(capture instanceof DmaBuf)) throw new TypeError('queueCapture: capture must be a DmaBuf');
    const { fourcc, width, height } = this.#state.format;
    const sizeimage = cameraLayout(fourcc, width, height).byteLength;
    if (capture.size < sizeimage) {
      const detail = `a buffer of ${capture.size} bytes; ${fourcc} of ${width}x${height} needs ${sizeimage}`;
      throw new DmaBufError('EINVAL', call, detail);
    }
    capture.deliverTo(this.file.actor, call);
    return this.#state.exclusively(call, this.file, () => {
      const { door, record, sink } = this.file;
      if (door.words.load(record + FILE.SINK_OWNER) !== 0) {
        throw new DmaBufError(
          'EBUSY',
          call,
          'this file has buffers of REQBUFS; use QBUF, or free them',
        );
      }
      const payload: SinkPayload = ['sink', -1, 0, [[0, 0, sizeimage]]];
      return sink.submit({ buffers: [discard(capture)], payload });
    });
  }
}

function perFrame(units: number): TimePerFrame {
  const common = gcd(units, UNITS_PER_SECOND);
  return { numerator: units / common, denominator: UNITS_PER_SECOND / common };
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

function noInput(call: string, index: number): DmaBufError {
  return new DmaBufError('EINVAL', call, `input ${index}; there is only input 0`);
}

function patternControl(state: CameraState): ControlSpec {
  return {
    id: V4L2_CID_TEST_PATTERN,
    type: V4L2_CTRL_TYPE_MENU,
    name: 'Test Pattern',
    minimum: 0,
    maximum: PATTERNS.length - 1,
    step: 1,
    default_value: 0,
    flags: 0,
    menu: PATTERNS,
    volatile: () => state.pattern,
  };
}
