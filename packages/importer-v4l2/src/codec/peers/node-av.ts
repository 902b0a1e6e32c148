/**
 * Streams by FFmpeg as a native module (optional package node-av). Synchronous: packets are sent and frames
 * received by hand, so that a picture is FFmpeg's own frame and the only copy is `copyTo`.
 *
 * Packets are numbered, and frames carry the numbers, so that each picture has the timestamp of the packet
 * that it came from, whatever the order. What comes out after an error is damaged until a key frame.
 */
import { DmaBufError } from '@dmabuf/core';
import type { Colour, ColourMatrix, Rect } from '../../bitstream/picture-format.js';
import type { Decoded, Decoder, Packet, PacketInfo, Picture } from '../codec.js';
import { checkPlanes, copyPlanes, planeSizes, type PlaneLayout } from '../planes.js';
import { parseFault } from '../unsupported.js';
import { joinPrefix, packagePath, type DecoderBackend, type PeerFormat } from './backend.js';
import {
  loadNodeAv,
  NODE_AV,
  type AvContext,
  type AvFrame,
  type AvPacket,
  type NodeAv,
} from './node-av-api.js';

/** FFmpeg's names of the formats. */
const CODEC_IDS: Readonly<Record<string, string>> = {
  AV01: 'AV1',
  H264: 'H264',
  HEVC: 'HEVC',
  MPG1: 'MPEG1VIDEO',
  MPG2: 'MPEG2VIDEO',
  MPG4: 'MPEG4',
};
const AV_PIX_FMT_YUV420P = 0;
const AV_PIX_FMT_YUVJ420P = 12;
const AVCOL_RANGE_JPEG = 2;
/** AVERROR(EAGAIN): 11 on Linux, 35 on macOS. */
const AGAIN = [-11, -35];
const AVERROR_EOF = -541478725;
/** Pictures that streams of these formats hold back, as encoders make them. */
const REORDER = 4;

const MATRICES: ReadonlyMap<number, ColourMatrix> = new Map([
  [1, 'bt709'],
  [5, 'bt601'],
  [6, 'bt601'],
  [7, 'smpte240m'],
  [9, 'bt2020'],
]);

class AvPicture implements Picture {
  readonly timestamp: number;
  readonly damaged: boolean;
  readonly width: number;
  readonly height: number;
  readonly codedWidth: number;
  readonly codedHeight: number;
  readonly crop: Rect;
  readonly colour: Colour;
  readonly fourcc = 'YU12';
  readonly keyframe: boolean;
  readonly #frame: AvFrame;

  constructor(frame: AvFrame, timestamp: number, damaged: boolean) {
    const { width, height, colorRange, colorSpace } = frame;
    this.#frame = frame;
    this.timestamp = timestamp;
    this.damaged = damaged;
    this.width = this.codedWidth = width;
    this.height = this.codedHeight = height;
    this.crop = { left: 0, top: 0, width, height };
    const full = colorRange === AVCOL_RANGE_JPEG || frame.format === AV_PIX_FMT_YUVJ420P;
    this.colour = {
      range: full ? 'full' : 'limited',
      matrix: MATRICES.get(colorSpace) ?? 'unspecified',
    };
    this.keyframe = frame.keyFrame !== 0;
  }

  copyTo(dst: Uint8Array<ArrayBufferLike>, layout: readonly PlaneLayout[]): number {
    const sizes = planeSizes('YU12', this.width, this.height);
    const { data, linesize } = this.#frame;
    const planes = sizes.map((size, i) => ({ offset: 0, pitch: linesize[i] ?? 0, ...size }));
    checkPlanes(dst.length, layout, planes);
    return planes.reduce((copied, plane, i) => {
      const source = data?.[i];
      const to = layout[i];
      if (source === undefined || to === undefined) return copied;
      return copied + copyPlanes(dst, [to], source, [plane]);
    }, 0);
  }
}

/** A packet that has gone in; damaged if what it refers to is. */
interface Pending {
  readonly timestamp: number;
  readonly damaged: boolean;
}

export class NodeAvDecoder implements Decoder {
  readonly name: string;
  readonly reorderDelay: number = REORDER;
  readonly #av: NodeAv;
  readonly #format: PeerFormat;
  readonly #packet: AvPacket;
  /** Parameter sets that go in with the next packet: FFmpeg takes none without a picture. */
  #prefix: Uint8Array<ArrayBufferLike>;
  #context: AvContext | undefined;
  /** Frames of the pictures that the last call returned. */
  readonly #frames: AvFrame[] = [];
  #sent = 0;
  /** Packets whose pictures have not come out, by number. */
  readonly #pending: Map<number, Pending> = new Map();
  /** Nothing to predict from: at first, after a seek and a drain. */
  #waiting = true;
  #tainted = false;

  /** Throws `EIO` where FFmpeg was built without the decoder. */
  constructor(av: NodeAv, format: PeerFormat, header: Uint8Array<ArrayBufferLike> | undefined) {
    const codec = av.decoder(CODEC_IDS[format.fourcc] ?? '');
    if (codec === null || codec === undefined) {
      throw new DmaBufError(
        'EIO',
        'open_codec',
        `${NODE_AV} was built without ${format.description}`,
      );
    }
    const context = av.context();
    context.allocContext3(codec);
    // More threads would hold pictures back.
    context.threadCount = 1;
    const code = context.open2Sync(codec, null);
    if (code < 0) {
      context.freeContext();
      throw new DmaBufError('EIO', 'open_codec', `${NODE_AV}: avcodec_open2 returned ${code}`);
    }
    this.name = `node-av (${format.description})`;
    this.#av = av;
    this.#format = format;
    this.#prefix = Uint8Array.from(header ?? []);
    this.#context = context;
    this.#packet = av.packet();
    this.#packet.alloc();
  }

  decode({ data, timestamp }: Packet): Decoded {
    const context = this.#open('decode');
    this.#release();
    if (data.length === 0) {
      return { pictures: [], fault: new DmaBufError('EINVAL', 'decode', 'the packet is empty') };
    }
    let info: PacketInfo;
    try {
      info = this.#format.inspect(data);
    } catch (error) {
      this.#tainted = true;
      return { pictures: [], fault: parseFault(error) };
    }
    if (!info.shown && this.#format.hasHidden !== true) {
      this.#prefix = joinPrefix(this.#prefix, data);
      return this.#receive(context);
    }
    if (this.#waiting && !info.keyframe)
      return this.#faulty('decoding can start at a key frame only');
    if (info.keyframe) this.#tainted = false;
    const code = this.#send(context, data);
    if (code < 0) return this.#faulty(`FFmpeg finds it damaged (${code})`);
    this.#waiting = false;
    if (info.shown) this.#pending.set(this.#sent, { timestamp, damaged: this.#tainted });
    this.#sent++;
    return this.#receive(context);
  }

  drain(): Decoded {
    const context = this.#open('drain');
    this.#release();
    context.sendPacketSync(null);
    const decoded = this.#receive(context);
    this.#restart(context);
    return decoded;
  }

  reset(): void {
    const context = this.#open('reset');
    this.#release();
    this.#restart(context);
  }

  close(): void {
    this.#release();
    if (this.#context === undefined) return;
    this.#packet.free();
    this.#context.freeContext();
    this.#context = undefined;
  }

  #open(call: string): AvContext {
    if (this.#context !== undefined) return this.#context;
    throw new DmaBufError('EBADFD', call, `the decoder by ${NODE_AV} is closed`);
  }

  #send(context: AvContext, data: Uint8Array<ArrayBufferLike>): number {
    this.#packet.data = Buffer.concat([this.#prefix, data]);
    this.#prefix = new Uint8Array(0);
    this.#packet.pts = BigInt(this.#sent);
    const code = context.sendPacketSync(this.#packet);
    this.#packet.unref();
    return code;
  }

  #receive(context: AvContext): Decoded {
    const pictures: Picture[] = [];
    for (;;) {
      const frame = this.#av.frame();
      frame.alloc();
      const code = context.receiveFrameSync(frame);
      if (code < 0) {
        frame.free();
        if (code === AVERROR_EOF || AGAIN.includes(code)) return { pictures, fault: undefined };
        return { ...this.#faulty(`FFmpeg finds it damaged (${code})`), pictures };
      }
      this.#frames.push(frame);
      if (frame.format !== AV_PIX_FMT_YUV420P && frame.format !== AV_PIX_FMT_YUVJ420P) {
        return { ...this.#faulty('it is not 8-bit 4:2:0'), pictures };
      }
      const packet = this.#packetOf(frame);
      if (packet === undefined) continue;
      const damaged = packet.damaged || frame.decodeErrorFlags !== 0;
      pictures.push(new AvPicture(frame, packet.timestamp, damaged));
    }
  }

  #packetOf({ pts, bestEffortTimestamp }: AvFrame): Pending | undefined {
    const number = Number(pts >= 0n ? pts : bestEffortTimestamp);
    const packet = this.#pending.get(number);
    this.#pending.delete(number);
    return packet;
  }

  #restart(context: AvContext): void {
    context.flushBuffers();
    this.#pending.clear();
    this.#waiting = true;
    this.#tainted = false;
  }

  #release(): void {
    for (const frame of this.#frames.splice(0)) frame.free();
  }

  #faulty(detail: string): Decoded {
    this.#tainted = true;
    return { pictures: [], fault: new DmaBufError('EIO', 'decode', detail) };
  }
}

export const nodeAv: DecoderBackend = {
  name: NODE_AV,
  install: `SKIP_FFMPEG=true npm install ${NODE_AV}@6.1.1`,
  takes: (fourcc) => CODEC_IDS[fourcc] !== undefined,
  present: () => packagePath(NODE_AV) !== undefined,
  open: async (format, header) => new NodeAvDecoder(await loadNodeAv(), format, header),
};
