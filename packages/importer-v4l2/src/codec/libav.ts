/**
 * VP8 and VP9 by libvpx, AV1 by libaom, within FFmpeg's libavcodec (optional packages
 * @libav.js/variant-webm-vp9 and @libav.js/variant-av1-opus).
 *
 * Synchronous: packets are sent and frames received by hand, so that a picture is the AVFrame in
 * wasm memory and the only copy is `copyTo`. A failed packet is a fault, never an exception; what
 * is predicted from it is marked damaged until a key frame. After a wasm trap the instance is
 * given up, and a new one is loaded: the one case in which decode returns a promise.
 */
import { DmaBufError } from '@dmabuf/core';
import type { Colour, Rect } from '../bitstream/picture-format.js';
import type {
  CodecInfo,
  Decoded,
  Decoder,
  OpenOptions,
  Packet,
  PacketInfo,
  Picture,
} from './codec.js';
import {
  AV_PIX_FMT_YUV420P,
  AVERROR_EAGAIN,
  AVERROR_EOF,
  LIBAV_AV1_PACKAGE,
  LIBAV_PACKAGE,
  loadLibAv,
  probeLibAv,
  type LibAv,
} from './libav-api.js';
import { copyPlanes, planeSizes, type PlaneLayout, type SourcePlane } from './planes.js';
import { parseFault } from './unsupported.js';
import { AV1_ACCEPTS, inspectAv1 } from './av1-support.js';
import { VP8_ACCEPTS, VP9_ACCEPTS, inspectVp8, inspectVp9 } from './vpx-support.js';

const UNKNOWN_COLOUR: Colour = { range: 'limited', matrix: 'unspecified' };

/** One libavcodec context with its packet and frame. */
interface Session {
  readonly libav: LibAv;
  readonly context: number;
  readonly packet: number;
  readonly frame: number;
}

function openSession(libav: LibAv, avcodecName: string): Session {
  const [, context = 0, packet = 0, frame = 0] = libav.ff_init_decoder_sync(avcodecName);
  return { libav, context, packet, frame };
}

class LibAvPicture implements Picture {
  readonly timestamp: number;
  readonly width: number;
  readonly height: number;
  readonly crop: Rect;
  readonly colour: Colour;
  readonly fourcc = 'YU12';
  readonly keyframe: boolean;
  readonly damaged: boolean;
  readonly #session: Session;

  constructor(
    session: Session,
    packet: Packet,
    state: { readonly colour: Colour; readonly keyframe: boolean; readonly damaged: boolean },
  ) {
    this.#session = session;
    this.timestamp = packet.timestamp;
    this.width = session.libav.AVFrame_width_sync(session.frame);
    this.height = session.libav.AVFrame_height_sync(session.frame);
    this.crop = { left: 0, top: 0, width: this.width, height: this.height };
    this.colour = state.colour;
    this.keyframe = state.keyframe;
    this.damaged = state.damaged;
  }

  get codedWidth(): number {
    return this.width;
  }
  get codedHeight(): number {
    return this.height;
  }

  copyTo(dst: Uint8Array<ArrayBufferLike>, layout: readonly PlaneLayout[]): number {
    const { libav, frame } = this.#session;
    const planes = planeSizes('YU12', this.width, this.height).map((size, i): SourcePlane => ({
      offset: libav.AVFrame_data_a_sync(frame, i),
      pitch: libav.AVFrame_linesize_a_sync(frame, i),
      ...size,
    }));
    return copyPlanes(dst, layout, libav.HEAPU8, planes);
  }
}

/** What differs between the codecs that libavcodec decodes for us. */
interface LibAvCodec {
  readonly name: string;
  /** libavcodec's name of the decoder. */
  readonly avcodecName: string;
  readonly accepts: string;
  inspect(data: Uint8Array<ArrayBufferLike>): PacketInfo;
}

export class LibAvDecoder implements Decoder {
  readonly name: string;
  readonly reorderDelay = 0;
  readonly #codec: LibAvCodec;
  readonly #load: () => Promise<LibAv>;
  #session: Session | undefined;
  #closed = false;
  #colour = UNKNOWN_COLOUR;
  /** Nothing to predict from: before the first key frame, after a seek. */
  #waiting = true;
  /** References are spoilt by an error since the last key frame. */
  #tainted = false;

  private constructor(codec: LibAvCodec, load: () => Promise<LibAv>, session: Session) {
    this.#codec = codec;
    this.#load = load;
    this.#session = session;
    this.name = `libav.js (${codec.avcodecName})`;
  }

  /** Opens a decoder; `load` gives an instance of libav.js, now and after a trap. */
  static async open(codec: LibAvCodec, load: () => Promise<LibAv>): Promise<LibAvDecoder> {
    return new LibAvDecoder(codec, load, openSession(await load(), codec.avcodecName));
  }

  decode(packet: Packet): Decoded | Promise<Decoded> {
    const session = this.#open('decode');
    if (packet.data.length === 0) {
      const fault = new DmaBufError('EINVAL', 'decode', 'the packet is empty');
      return { pictures: [], fault };
    }
    let info: PacketInfo;
    try {
      info = this.#codec.inspect(packet.data);
    } catch (error) {
      this.#tainted = true;
      return { pictures: [], fault: parseFault(error) };
    }
    if (this.#waiting && !info.keyframe) {
      return this.#fault('decoding can start at a key frame only');
    }
    if (info.keyframe) this.#tainted = false;
    if (info.stream !== undefined) this.#colour = info.stream.colour;
    try {
      return this.#decodeFrame(session, packet, info);
    } catch (error) {
      return this.#recover(error);
    }
  }

  drain(): Decoded {
    this.#open('drain');
    return { pictures: [], fault: undefined };
  }

  reset(): void {
    const { libav, context, frame } = this.#open('reset');
    libav.avcodec_flush_buffers_sync(context);
    libav.avcodec_receive_frame_sync(context, frame);
    this.#waiting = true;
    this.#tainted = false;
  }

  close(): void {
    this.#closed = true;
    const session = this.#session;
    this.#session = undefined;
    session?.libav.ff_free_decoder_sync(session.context, session.packet, session.frame);
  }

  #open(call: string): Session {
    if (this.#session === undefined) {
      const why = this.#closed ? 'is closed' : 'could not be loaded again after it trapped';
      throw new DmaBufError('EBADFD', call, `the ${this.#codec.name} decoder ${why}`);
    }
    return this.#session;
  }

  #fault(detail: string): Decoded {
    this.#tainted = true;
    return { pictures: [], fault: new DmaBufError('EIO', 'decode', detail) };
  }

  #decodeFrame(session: Session, packet: Packet, info: PacketInfo): Decoded {
    const { libav, context } = session;
    libav.av_packet_make_writable_sync(session.packet);
    libav.ff_copyin_packet_sync(session.packet, { data: packet.data });
    const sent = libav.avcodec_send_packet_sync(context, session.packet);
    libav.av_packet_unref_sync(session.packet);
    // One packet gives at most one frame; receiving also drops the frame of the packet before.
    const received = libav.avcodec_receive_frame_sync(context, session.frame);
    const failed = [sent, received].find(
      (code) => code < 0 && code !== AVERROR_EAGAIN && code !== AVERROR_EOF,
    );
    if (failed !== undefined) {
      return this.#fault(`it is damaged (${libav.ff_error_sync(failed)})`);
    }
    this.#waiting = false;
    if (received < 0) {
      return info.shown
        ? this.#fault('there came no picture of it')
        : { pictures: [], fault: undefined };
    }
    if (libav.AVFrame_format_sync(session.frame) !== AV_PIX_FMT_YUV420P) {
      return this.#fault(`it is not 8-bit 4:2:0; accepted is ${this.#codec.accepts}`);
    }
    const { keyframe } = info;
    const state = { colour: this.#colour, keyframe, damaged: this.#tainted };
    return { pictures: [new LibAvPicture(session, packet, state)], fault: undefined };
  }

  /** After a trap the instance's memory is in no known state: take a new one. */
  async #recover(error: unknown): Promise<Decoded> {
    this.#session = undefined;
    this.#waiting = true;
    const libav = await this.#load();
    if (!this.#closed) this.#session = openSession(libav, this.#codec.avcodecName);
    const what = error instanceof Error ? error.message : String(error);
    return this.#fault(
      `${this.#codec.avcodecName} trapped on it (${what}); a new instance waits for a key frame`,
    );
  }
}

function codecInfo(
  fourcc: string,
  description: string,
  codec: LibAvCodec,
  name: string = LIBAV_PACKAGE,
): CodecInfo {
  return {
    fourcc,
    description,
    accepts: codec.accepts,
    probe: () => probeLibAv(name),
    inspect: (data) => codec.inspect(data),
    open: (_options?: OpenOptions) => LibAvDecoder.open(codec, () => loadLibAv(codec.name, name)),
  };
}

/** What libavcodec needs to know of each codec; `open` uses it, tests use it with a loader. */
export const VP8_CODEC: LibAvCodec = {
  name: 'VP8',
  avcodecName: 'libvpx',
  accepts: VP8_ACCEPTS,
  inspect: inspectVp8,
};
export const VP9_CODEC: LibAvCodec = {
  name: 'VP9',
  avcodecName: 'libvpx-vp9',
  accepts: VP9_ACCEPTS,
  inspect: inspectVp9,
};
export const AV1_CODEC: LibAvCodec = {
  name: 'AV1',
  avcodecName: 'libaom-av1',
  accepts: AV1_ACCEPTS,
  inspect: inspectAv1,
};

/** VP8, if the optional package is installed. */
export const vp8: CodecInfo = codecInfo('VP80', 'VP8', VP8_CODEC);
/** VP9, if the optional package is installed. */
export const vp9: CodecInfo = codecInfo('VP90', 'VP9', VP9_CODEC);
/** AV1, if the optional package is installed. */
export const av1: CodecInfo = {
  ...codecInfo('AV01', 'AV1', AV1_CODEC, LIBAV_AV1_PACKAGE),
  optional: true,
};
