/**
 * VP8 and VP9 encoders: libvpx within FFmpeg's libavcodec (optional package
 * @libav.js/variant-webm-vp9).
 *
 * Synchronous. A picture is copied once, into the AVFrame in wasm memory (NV12 is parted on the way),
 * a packet once out of it. Presentation times are counted in frames, which is what rate control
 * needs; the caller's timestamps are kept beside.
 *
 * libavcodec cannot change the rate of an open libvpx, and a drained one takes no more: in both
 * cases the context is closed and the next picture opens another, with a key frame. After a wasm
 * trap the whole instance is replaced.
 */
import { DmaBufError } from '@dmabuf/core';
import {
  checkBitrate,
  encoderSettings,
  pictureFault,
  type EncodedPacket,
  type Encoded,
  type EncodeOptions,
  type Encoder,
  type EncoderInfo,
  type EncoderOptions,
  type EncoderSettings,
  type RawPicture,
} from './encoder.js';
import {
  AV_PICTURE_TYPE_I,
  AV_PICTURE_TYPE_NONE,
  AV_PIX_FMT_YUV420P,
  AV_PKT_FLAG_KEY,
  AVERROR_EAGAIN,
  AVERROR_EOF,
  loadLibAv,
  probeLibAv,
  type LibAv,
} from './libav-api.js';
import { writeI420, type PlaneLayout } from './planes.js';
import type { PictureFourcc } from './codec.js';

const TAKES: readonly PictureFourcc[] = ['YU12', 'NV12'];

/** av_frame_get_buffer's choice of alignment. */
const ALIGN_DEFAULT = 0;

/** Pictures that libvpx looks ahead where it may. */
const LOOK_AHEAD = 16;

/** What differs between the codecs that libavcodec encodes for us. */
export interface LibAvEncoderCodec {
  readonly name: string;
  /** libavcodec's name of the encoder. */
  readonly avcodecName: string;
  /** libvpx's options for each deadline. */
  readonly options: Readonly<Record<EncoderSettings['deadline'], Readonly<Record<string, string>>>>;
}

/** One libavcodec context with its frame and packet. */
interface Session {
  readonly context: number;
  readonly frame: number;
  readonly packet: number;
  readonly planes: readonly PlaneLayout[];
}

function check(libav: LibAv, code: number, call: string): void {
  if (code >= 0) return;
  throw new DmaBufError('EIO', 'encode', `${call}: ${libav.ff_error_sync(code)}`);
}

function openSession(libav: LibAv, codec: LibAvEncoderCodec, settings: EncoderSettings): Session {
  const { width, height, frameRate, bitrate, gop, deadline } = settings;
  const [, context = 0, frame = 0, packet = 0] = libav.ff_init_encoder_sync(codec.avcodecName, {
    ctx: {
      width,
      height,
      pix_fmt: AV_PIX_FMT_YUV420P,
      bit_rate: bitrate,
      gop_size: gop,
      framerate_num: frameRate.num,
      framerate_den: frameRate.den,
    },
    time_base: [frameRate.den, frameRate.num],
    options: codec.options[deadline],
  });
  libav.AVFrame_width_s_sync(frame, width);
  libav.AVFrame_height_s_sync(frame, height);
  libav.AVFrame_format_s_sync(frame, AV_PIX_FMT_YUV420P);
  check(libav, libav.av_frame_get_buffer_sync(frame, ALIGN_DEFAULT), 'av_frame_get_buffer');
  return { context, frame, packet, planes: framePlanes(libav, frame) };
}

function framePlanes(libav: LibAv, frame: number): PlaneLayout[] {
  return [0, 1, 2].map((i) => ({
    offset: libav.AVFrame_data_a_sync(frame, i),
    pitch: libav.AVFrame_linesize_a_sync(frame, i),
  }));
}

export class LibAvEncoder implements Encoder {
  readonly name: string;
  readonly delay: number;
  readonly mode = 'sync';
  readonly #codec: LibAvEncoderCodec;
  readonly #load: () => Promise<LibAv>;
  #settings: EncoderSettings;
  #libav: LibAv | undefined;
  #session: Session | undefined;
  #closed = false;
  /** Pictures sent to the open context, which are their presentation times. */
  #sent = 0;
  /** Timestamps of the pictures that the context still holds, by presentation time. */
  readonly #held: Map<number, number> = new Map();
  /** Packets that a context gave when it was drained to make room for another. */
  #left: EncodedPacket[] = [];

  private constructor(
    codec: LibAvEncoderCodec,
    load: () => Promise<LibAv>,
    libav: LibAv,
    settings: EncoderSettings,
  ) {
    this.#codec = codec;
    this.#load = load;
    this.#libav = libav;
    this.#settings = settings;
    this.#session = openSession(libav, codec, settings);
    this.name = `libav.js (${codec.avcodecName})`;
    this.delay = settings.deadline === 'realtime' ? 0 : LOOK_AHEAD;
  }

  /** Opens an encoder; `load` gives an instance of libav.js, now and after a trap. */
  static async open(
    codec: LibAvEncoderCodec,
    load: () => Promise<LibAv>,
    options: EncoderOptions,
  ): Promise<LibAvEncoder> {
    const settings = encoderSettings(options);
    return new LibAvEncoder(codec, load, await load(), settings);
  }

  encode(picture: RawPicture, options: EncodeOptions): Encoded | Promise<Encoded> {
    const libav = this.#open('encode');
    const fault = pictureFault(picture, this.#settings, TAKES);
    if (fault !== undefined) return { packets: [], fault };
    try {
      this.#session ??= openSession(libav, this.#codec, this.#settings);
      this.#send(libav, this.#session, picture, options);
      return { packets: this.#receive(libav, this.#session), fault: undefined };
    } catch (error) {
      return this.#recover(libav, error);
    }
  }

  setBitrate(bitsPerSecond: number): void {
    const libav = this.#open('setBitrate');
    const bitrate = checkBitrate(bitsPerSecond);
    if (bitrate === this.#settings.bitrate) return;
    this.#settings = { ...this.#settings, bitrate };
    this.#left = this.#drain(libav);
  }

  setQuality(_quality: number): void {
    this.#open('setQuality');
    const detail = `${this.#codec.name} has a bitrate instead of a quality: call setBitrate`;
    throw new DmaBufError('EOPNOTSUPP', 'setQuality', detail);
  }

  flush(): Encoded | Promise<Encoded> {
    const libav = this.#open('flush');
    try {
      return { packets: this.#drain(libav), fault: undefined };
    } catch (error) {
      return this.#recover(libav, error);
    }
  }

  close(): void {
    if (this.#libav !== undefined) this.#end(this.#libav);
    this.#closed = true;
    this.#libav = undefined;
    this.#left = [];
  }

  #open(call: string): LibAv {
    if (this.#libav === undefined) {
      const why = this.#closed ? 'is closed' : 'could not be loaded again after it trapped';
      throw new DmaBufError('EBADFD', call, `the ${this.#codec.name} encoder ${why}`);
    }
    return this.#libav;
  }

  #send(libav: LibAv, session: Session, picture: RawPicture, options: EncodeOptions): void {
    const { context, frame } = session;
    check(libav, libav.av_frame_make_writable_sync(frame), 'av_frame_make_writable');
    // libvpx may hold on to the last picture's buffer: then this frame lies elsewhere now.
    writeI420(libav.HEAPU8, framePlanes(libav, frame), picture);
    const force = options.forceKeyFrame === true;
    libav.AVFrame_pts_s_sync(frame, this.#sent);
    libav.AVFrame_ptshi_s_sync(frame, 0);
    libav.AVFrame_pict_type_s_sync(frame, force ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE);
    check(libav, libav.avcodec_send_frame_sync(context, frame), 'avcodec_send_frame');
    this.#held.set(this.#sent++, options.timestamp);
  }

  #receive(libav: LibAv, session: Session): EncodedPacket[] {
    const packets = this.#left;
    this.#left = [];
    for (;;) {
      const code = libav.avcodec_receive_packet_sync(session.context, session.packet);
      if (code === AVERROR_EAGAIN || code === AVERROR_EOF) return packets;
      check(libav, code, 'avcodec_receive_packet');
      const at = libav.AVPacket_data_sync(session.packet);
      const size = libav.AVPacket_size_sync(session.packet);
      const pts = libav.AVPacket_pts_sync(session.packet);
      const key = (libav.AVPacket_flags_sync(session.packet) & AV_PKT_FLAG_KEY) !== 0;
      const timestamp = this.#held.get(pts) ?? 0;
      // Packets come by rising time, so what is older was dropped by rate control.
      for (const held of this.#held.keys()) if (held <= pts) this.#held.delete(held);
      packets.push({ data: libav.HEAPU8.slice(at, at + size), timestamp, key });
      libav.av_packet_unref_sync(session.packet);
    }
  }

  /** What the open context still holds; the context is closed. */
  #drain(libav: LibAv): EncodedPacket[] {
    const session = this.#session;
    if (session === undefined) return this.#left.splice(0);
    check(libav, libav.avcodec_send_frame_sync(session.context, 0), 'avcodec_send_frame');
    const packets = this.#receive(libav, session);
    this.#end(libav);
    return packets;
  }

  #end(libav: LibAv): void {
    const session = this.#session;
    this.#session = undefined;
    this.#sent = 0;
    this.#held.clear();
    if (session !== undefined) {
      libav.ff_free_encoder_sync(session.context, session.frame, session.packet);
    }
  }

  /** An error that libavcodec reported costs its context, a trap the instance. */
  #recover(libav: LibAv, error: unknown): Encoded | Promise<Encoded> {
    if (error instanceof DmaBufError) {
      const packets = this.#left.splice(0);
      this.#end(libav);
      return { packets, fault: error };
    }
    return this.#reload(error);
  }

  async #reload(error: unknown): Promise<Encoded> {
    const packets = this.#left.splice(0);
    this.#session = undefined;
    this.#sent = 0;
    this.#held.clear();
    this.#libav = undefined;
    const libav = await this.#load();
    if (!this.#closed) this.#libav = libav;
    const what = error instanceof Error ? error.message : String(error);
    const detail = `libvpx trapped (${what}); a new instance begins with a key frame`;
    return { packets, fault: new DmaBufError('EIO', 'encode', detail) };
  }
}

function encoderInfo(fourcc: string, description: string, codec: LibAvEncoderCodec): EncoderInfo {
  return {
    fourcc,
    description,
    takes: TAKES,
    control: 'bitrate',
    probe: () => probeLibAv(),
    open: (options) => LibAvEncoder.open(codec, () => loadLibAv(codec.name), options),
  };
}

/** What libavcodec needs to know of each codec; `open` uses it, tests use it with a loader. */
export const VP8_ENCODER: LibAvEncoderCodec = {
  name: 'VP8',
  avcodecName: 'libvpx',
  options: {
    // Negative: this speed, and not the one that libvpx finds by timing itself, which on a busy machine costs 5 dB.
    realtime: { deadline: 'realtime', 'cpu-used': '-6', 'lag-in-frames': '0', 'auto-alt-ref': '0' },
    // A hidden alternate reference would be a packet without a picture of its own.
    good: {
      deadline: 'good',
      'cpu-used': '1',
      'lag-in-frames': `${LOOK_AHEAD}`,
      'auto-alt-ref': '0',
    },
  },
};
export const VP9_ENCODER: LibAvEncoderCodec = {
  name: 'VP9',
  avcodecName: 'libvpx-vp9',
  options: {
    realtime: { deadline: 'realtime', 'cpu-used': '8', 'lag-in-frames': '0' },
    good: { deadline: 'good', 'cpu-used': '2', 'lag-in-frames': `${LOOK_AHEAD}` },
  },
};

/** VP8, if the optional package is installed. */
export const vp8Encoder: EncoderInfo = encoderInfo('VP80', 'VP8', VP8_ENCODER);
/** VP9, if the optional package is installed. */
export const vp9Encoder: EncoderInfo = encoderInfo('VP90', 'VP9', VP9_ENCODER);
