/**
 * EncoderDevice: one open file of a stateful encoder (Documentation/userspace-api/media/v4l/dev-encoder.rst):
 * raw pictures in on OUTPUT, packets out on CAPTURE.
 *
 * Runs in the calling thread. Controls and the frame rate are this handle's; they go with each picture that is
 * queued on the streaming queue, so that a change has its exact place in the stream.
 */
import { DmaBufError, type Machine } from '@dmabuf/core';
import { Controls, type ControlSpec } from './controls.js';
import { EncoderFormats } from './encoder-formats.js';
import { packParameters } from './encoder-parameters.js';
import type { V4l2Format, V4l2FormatRequest } from './formats.js';
import { type DeviceParts, StreamingDevice } from './streaming-device.js';
import { Streams } from './streams.js';
import type { CodecCommand } from './video-device.js';
import {
  isOutput,
  V4L2_CID_JPEG_COMPRESSION_QUALITY,
  V4L2_CID_MIN_BUFFERS_FOR_OUTPUT,
  V4L2_CID_MPEG_VIDEO_BITRATE,
  V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME,
  V4L2_CID_MPEG_VIDEO_GOP_SIZE,
  V4L2_CTRL_FLAG_EXECUTE_ON_WRITE,
  V4L2_CTRL_FLAG_READ_ONLY,
  V4L2_CTRL_FLAG_WRITE_ONLY,
  V4L2_CTRL_TYPE_BUTTON,
  V4L2_CTRL_TYPE_INTEGER,
  V4L2_ENC_CMD_START,
  V4L2_ENC_CMD_STOP,
} from './videodev2.js';
import { VideoFile, type VideoHandle } from './video-file.js';

/** `struct v4l2_fract`: seconds from picture to picture. */
export interface TimePerFrame {
  readonly numerator: number;
  readonly denominator: number;
}

/** Largest term of a frame rate. */
const MAX_TERM = 1_000_000;

/** The frame rate of a handle. */
interface Rate {
  num: number;
  den: number;
}

export class EncoderDevice extends StreamingDevice {
  readonly #rate: Rate;

  private constructor(parts: DeviceParts, rate: Rate) {
    super(parts);
    this.#rate = rate;
  }

  /**
   * Opens an encoder device: an encoder of its own. The caller closes it. Does not block.
   * ENOENT: no such device; ENODEV: it is no encoder; EMFILE: all its files are open; ENOSPC: no free context.
   */
  static open(machine: Machine, path: string = '/dev/video1'): EncoderDevice {
    return EncoderDevice.#of(VideoFile.openAs(machine, path, 'encoder'));
  }

  /** A file that another thread opened. EBADF when it has been closed. Does not block. */
  static fromHandle(machine: Machine, handle: VideoHandle): EncoderDevice {
    return EncoderDevice.#of(new VideoFile(machine, handle));
  }

  static #of(file: VideoFile): EncoderDevice {
    const formats = new EncoderFormats(file);
    const rate: Rate = { num: 30, den: 1 };
    const controls: Controls = new Controls(CONTROLS, (id, value) => device.controlSet(id, value));
    const parameters = (): readonly number[] =>
      packParameters({
        bitrate: controls.get(V4L2_CID_MPEG_VIDEO_BITRATE),
        gop: controls.get(V4L2_CID_MPEG_VIDEO_GOP_SIZE),
        quality: controls.get(V4L2_CID_JPEG_COMPRESSION_QUALITY),
        frameRate: rate,
        forceKeyFrame: controls.takeButton(V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME),
      });
    const streams = new Streams(file, { formats, minCapture: 0, parameters });
    const device = new EncoderDevice({ file, formats, controls, streams }, rate);
    return device;
  }

  /**
   * VIDIOC_S_FMT. OUTPUT sets the size of both queues, so it is EBUSY while CAPTURE has buffers, too; CAPTURE
   * sets what is made (`planes[0].sizeimage`: the bytes of its buffers). See StreamingDevice.
   */
  override sFmt(request: V4l2FormatRequest): V4l2Format {
    const { queue } = this.streams.sink;
    if (isOutput(request.type) && queue.busy) {
      const detail = `CAPTURE has ${queue.allocated} buffers of the present size; REQBUFS 0 there first`;
      throw new DmaBufError('EBUSY', 'VIDIOC_S_FMT', detail);
    }
    return super.sFmt(request);
  }

  /** VIDIOC_G_PARM: the time from picture to picture that rate control goes by. EINVAL: no such queue. */
  gParm(type: number): TimePerFrame {
    this.streams.of('VIDIOC_G_PARM', type);
    return { numerator: this.#rate.den, denominator: this.#rate.num };
  }

  /**
   * VIDIOC_S_PARM, for the pictures that are queued from here on: another rate begins with a key frame. What is
   * no rate sets the default of 30 pictures a second. Returns what was set. EINVAL: no such queue.
   */
  sParm(type: number, { numerator, denominator }: TimePerFrame): TimePerFrame {
    this.streams.of('VIDIOC_S_PARM', type);
    const fit = (term: number): boolean => Number.isInteger(term) && term > 0 && term <= MAX_TERM;
    const sound = fit(numerator) && fit(denominator);
    this.#rate.num = sound ? denominator : 30;
    this.#rate.den = sound ? numerator : 1;
    return this.gParm(type);
  }

  /**
   * VIDIOC_ENCODER_CMD. STOP drains: what was queued on OUTPUT is encoded, the last CAPTURE buffer has LAST (it
   * may be empty), an EOS event follows; then nothing is encoded until START, or STREAMOFF and STREAMON of
   * either queue. Has no effect unless both queues stream. EINVAL: another command; EBUSY: a drain is under way.
   */
  encoderCmd({ cmd }: CodecCommand): Required<CodecCommand> {
    const call = 'VIDIOC_ENCODER_CMD';
    this.file.check(call);
    const known = this.tryEncoderCmd({ cmd });
    if (cmd === V4L2_ENC_CMD_STOP) this.streams.stop(call);
    else this.streams.start(call);
    return known;
  }

  /** VIDIOC_TRY_ENCODER_CMD: the command as it would be carried out. EINVAL: another one. */
  tryEncoderCmd({ cmd }: CodecCommand): Required<CodecCommand> {
    if (cmd === V4L2_ENC_CMD_STOP || cmd === V4L2_ENC_CMD_START) return { cmd, flags: 0 };
    const detail = `command ${cmd}; there are START and STOP`;
    throw new DmaBufError('EINVAL', 'VIDIOC_ENCODER_CMD', detail);
  }
}

const INTEGER = { type: V4L2_CTRL_TYPE_INTEGER, minimum: 1, step: 1, flags: 0 } as const;

const CONTROLS: readonly ControlSpec[] = [
  {
    ...INTEGER,
    id: V4L2_CID_MIN_BUFFERS_FOR_OUTPUT,
    name: 'Min Number of Output Buffers',
    maximum: 32,
    default_value: 1,
    flags: V4L2_CTRL_FLAG_READ_ONLY,
  },
  {
    ...INTEGER,
    id: V4L2_CID_MPEG_VIDEO_BITRATE,
    name: 'Video Bitrate',
    minimum: 1000,
    maximum: 2 ** 31 - 1,
    default_value: 1_000_000,
  },
  {
    ...INTEGER,
    id: V4L2_CID_MPEG_VIDEO_GOP_SIZE,
    name: 'Video GOP Size',
    maximum: 100_000,
    default_value: 60,
  },
  {
    id: V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME,
    type: V4L2_CTRL_TYPE_BUTTON,
    name: 'Force Key Frame',
    minimum: 0,
    maximum: 0,
    step: 0,
    default_value: 0,
    flags: V4L2_CTRL_FLAG_WRITE_ONLY | V4L2_CTRL_FLAG_EXECUTE_ON_WRITE,
  },
  {
    ...INTEGER,
    id: V4L2_CID_JPEG_COMPRESSION_QUALITY,
    name: 'Compression Quality',
    maximum: 100,
    default_value: 80,
  },
];
