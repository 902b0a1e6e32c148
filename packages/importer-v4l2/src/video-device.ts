/**
 * VideoDevice: one open file of a video device, which is one codec (V4L2's stateful decoder and encoder,
 * Documentation/userspace-api/media/v4l/dev-decoder.rst, dev-encoder.rst), as an application holds it.
 *
 * Runs in the calling thread. Any number of threads may hold the same file (`handle`, `fromHandle`); it is
 * closed once, for all of them. A decoder is fed in one of two ways: by the calls of V4L2 (StreamingDevice),
 * or by queueDecode, which queues as far ahead as the job table allows (design D8a).
 */
import { DmaBufError, type Fence, type Machine } from '@dmabuf/core';
import type { Rect } from './bitstream/picture-format.js';
import { captureFormat, type CaptureFormat } from './capture-format.js';
import { codecOf } from './codec/index.js';
import { Controls, type ControlSpec } from './controls.js';
import { DecodeQueue, type DecodeRequest } from './decode-queue.js';
import { DecoderFormats } from './decoder-formats.js';
import { FILE, readGeometry } from './file-table.js';
import { decoderSelection, noTarget } from './selection.js';
import { Streams } from './streams.js';
import { type DeviceParts, StreamingDevice } from './streaming-device.js';
import {
  fourccName,
  isCapture,
  V4L2_CID_MIN_BUFFERS_FOR_CAPTURE,
  V4L2_CTRL_FLAG_READ_ONLY,
  V4L2_CTRL_FLAG_VOLATILE,
  V4L2_CTRL_TYPE_INTEGER,
  V4L2_DEC_CMD_START,
  V4L2_DEC_CMD_STOP,
  V4L2_PIX_FMT_YUV420,
  VIDEO_MAX_FRAME,
} from './videodev2.js';
import { VideoFile, type VideoHandle } from './video-file.js';

/** What to decode. */
export interface FormatRequest {
  readonly output: {
    /** `'H264'`, `'VP80'`, `'VP90'` */
    readonly fourcc: string;
    /** Parameter sets that the stream itself may lack (H.264: SPS and PPS, Annex B). */
    readonly header?: Uint8Array<ArrayBufferLike>;
  };
  /** Visible size, where the application knows it from elsewhere than the header. */
  readonly capture?: { readonly width: number; readonly height: number; readonly fourcc?: string };
  /** How many CAPTURE buffers the application is going to queue: more than the decoder holds back. */
  readonly depth?: number;
}

/** What is decoded, and into what. */
export interface VideoFormat {
  /** Undefined before setFormat. */
  readonly output: { readonly fourcc: string } | undefined;
  /** Of the newest picture; before it as setFormat was told; undefined where nobody has said. */
  readonly capture: CaptureFormat | undefined;
}

/** `struct v4l2_decoder_cmd`, `struct v4l2_encoder_cmd`: flags, speed and format are always 0 here. */
export interface CodecCommand {
  /** V4L2_DEC_CMD_*, V4L2_ENC_CMD_* */
  readonly cmd: number;
  readonly flags?: number;
}

export class VideoDevice extends StreamingDevice {
  readonly #queue: DecodeQueue;

  private constructor(parts: DeviceParts) {
    super(parts);
    this.#queue = new DecodeQueue(parts.file);
  }

  /**
   * Opens a video device: a codec of its own, beside those of other files, on the worker of the device that has
   * the fewest. The caller closes it. Does not block.
   * ENOENT: no such device; ENODEV: it is no video device; EMFILE: all its files are open; ENOSPC: no free context.
   */
  static open(machine: Machine, path: string = '/dev/video0'): VideoDevice {
    return VideoDevice.#of(VideoFile.openAs(machine, path, 'decoder'));
  }

  /** A file that another thread opened. EBADF when it has been closed. Does not block. */
  static fromHandle(machine: Machine, handle: VideoHandle): VideoDevice {
    return VideoDevice.#of(new VideoFile(machine, handle));
  }

  static #of(file: VideoFile): VideoDevice {
    const formats = new DecoderFormats(file);
    const controls: Controls = new Controls(decoderControls(file), (id, value) =>
      device.controlSet(id, value),
    );
    const streams = new Streams(file, { formats, minCapture: 0, parameters: () => [] });
    const device = new VideoDevice({ file, formats, controls, streams });
    return device;
  }

  /**
   * Opens the decoder of a format, as S_FMT of both queues does, with what else is known of the stream.
   * Blocks until it is there: for the first one of its kind up to a second. A refused call changes nothing.
   *
   * EINVAL: no decoder here takes the format, or the stream that its header describes (the message
   * says what is accepted), or `depth` is not more than the decoder holds back; ENOENT: its package
   * is not installed; EBUSY: jobs are in flight; EBADF: closed.
   */
  setFormat(format: FormatRequest): VideoFormat {
    const call = 'VIDIOC_S_FMT';
    this.file.check(call);
    const { output, capture, depth = 0 } = format;
    const codec = codecOf(output.fourcc);
    if (capture?.fourcc !== undefined && capture.fourcc !== V4L2_PIX_FMT_YUV420) {
      const detail = `CAPTURE format '${capture.fourcc}'; the decoders here give '${V4L2_PIX_FMT_YUV420}'`;
      throw new DmaBufError('EINVAL', call, detail);
    }
    if (format.depth !== undefined && (!Number.isInteger(depth) || depth < 1)) {
      throw new DmaBufError('EINVAL', call, `a depth of ${depth} CAPTURE buffers; 1 at least`);
    }
    const stated = output.header === undefined ? undefined : codec.inspect(output.header).stream;
    const size = capture ?? stated;
    if (size !== undefined) captureFormat(size.width, size.height);
    const header = output.header === undefined ? null : Buffer.from(output.header);
    const { width, height } = size ?? { width: 0, height: 0 };
    this.file.locked(() => {
      this.file.ioctl(call, [width, height, depth, output.fourcc, header]);
      this.#queue.begin();
    });
    return this.getFormat();
  }

  /** What is decoded, and into what, in one call. EBADF. Does not block. */
  getFormat(): VideoFormat {
    this.file.check('VIDIOC_G_FMT');
    const { door, record } = this.file;
    const fourcc = door.words.load(record + FILE.FOURCC);
    const { width, height } = readGeometry(door.words, record);
    return {
      output: fourcc === 0 ? undefined : { fourcc: fourccName(fourcc) },
      capture: width === 0 ? undefined : captureFormat(width, height),
    };
  }

  /**
   * Queues a packet, and the buffer for its picture. Never waits for either. The fence is that of
   * the picture, or without `capture` that of the packet.
   *
   * The fence fails with EIO (V4L2_BUF_FLAG_ERROR) where there is no sound picture of this timestamp:
   * the buffer's content is then poisoned, and what was queued to read it is cancelled, nothing else.
   * With EPIPE, and all later ones until `reset`, when a picture is larger than its buffer; with
   * EINVAL likewise when the stream turns out to be one that the decoder does not do; with ECANCELED
   * after `reset` or `close`. When the worker dies: with EOWNERDEAD what it had in hand, with EIO what
   * comes before the next key frame; then decoding goes on.
   *
   * Throws EINVAL: no format was set, the range is empty or leaves the bitstream buffer, the timestamp
   * does not grow, one buffer is to be both; EBADF: a buffer or the file is closed; EBUSY: the file has buffers of
   * REQBUFS; EPIPE, EINVAL: the stream is over (see above); ENOSPC: the job table is full. A refused call queues
   * nothing, but for one case: ENOSPC may cost the earlier content of `capture`.
   */
  queueDecode(request: DecodeRequest): Fence {
    return this.#queue.queue(request);
  }

  /**
   * Seek of what queueDecode queued: cancels it (its fences fail with ECANCELED, those of CAPTURE buffers
   * that are still in use when they come free) and goes on with the next key frame. Ends EPIPE and EINVAL.
   * Timestamps may start anew. Blocks for one round trip. EBADF.
   */
  reset(): void {
    this.#queue.reset();
  }

  /**
   * VIDIOC_DECODER_CMD. STOP drains: what was queued on OUTPUT is decoded, the last CAPTURE buffer has LAST (it
   * may be empty), an EOS event follows; then nothing is decoded until START, or STREAMOFF and STREAMON of
   * either queue. Has no effect unless both queues stream. START also goes on after a change of size, with
   * the buffers that there are. EINVAL: another command; EBUSY: a drain is under way.
   */
  decoderCmd({ cmd }: CodecCommand): Required<CodecCommand> {
    const call = 'VIDIOC_DECODER_CMD';
    this.file.check(call);
    const known = this.tryDecoderCmd({ cmd });
    if (cmd === V4L2_DEC_CMD_STOP) this.streams.stop(call);
    else this.streams.start(call);
    return known;
  }

  /** VIDIOC_TRY_DECODER_CMD: the command as it would be carried out. EINVAL: another one. */
  tryDecoderCmd({ cmd }: CodecCommand): Required<CodecCommand> {
    if (cmd === V4L2_DEC_CMD_STOP || cmd === V4L2_DEC_CMD_START) return { cmd, flags: 0 };
    throw new DmaBufError(
      'EINVAL',
      'VIDIOC_DECODER_CMD',
      `command ${cmd}; there are START and STOP`,
    );
  }

  /** VIDIOC_G_SELECTION, of CAPTURE. EINVAL: no such target, or of OUTPUT. */
  gSelection(type: number, target: number): Rect {
    const call = 'VIDIOC_G_SELECTION';
    this.file.check(call);
    if (!isCapture(type)) throw noTarget(call, target);
    const size = readGeometry(this.file.door.words, this.file.record);
    const { codedWidth, codedHeight } = size;
    const { width, height } = this.gFmt(type);
    const whole = width === codedWidth && height === codedHeight;
    return decoderSelection(target, size, whole);
  }
}

function decoderControls({ door, record }: VideoFile): ControlSpec[] {
  return [
    {
      id: V4L2_CID_MIN_BUFFERS_FOR_CAPTURE,
      type: V4L2_CTRL_TYPE_INTEGER,
      name: 'Min Number of Capture Buffers',
      minimum: 1,
      maximum: VIDEO_MAX_FRAME,
      step: 1,
      default_value: 1,
      flags: V4L2_CTRL_FLAG_READ_ONLY | V4L2_CTRL_FLAG_VOLATILE,
      volatile: () => 1 + door.words.get(record + FILE.REORDER),
    },
  ];
}
