/**
 * GroupDecoder: streams by a program that decodes whole files, such as ffmpeg. Asynchronous.
 *
 * Packets are collected from one point at which decoding can start afresh to the next, then decoded at
 * once, so that what comes out can be matched with what went in: by number, in display order. The pictures
 * of a group come out with the packet that begins the next one, or with the drain. Where their number is
 * wrong nobody can tell which one is missing, and all of the group are damaged.
 */
import { DmaBufError } from '@dmabuf/core';
import { joinNalUnits } from '../../bitstream/annexb.js';
import { parseY4m, type Y4mFile } from '../../bitstream/y4m.js';
import type { Decoded, Decoder, Packet } from '../codec.js';
import { planarPicture } from '../planar-picture.js';
import { tightLayout } from '../planes.js';
import { parseFault } from '../unsupported.js';
import { joinPrefix, type PeerFormat } from './backend.js';
import { writeIvf } from '../../bitstream/ivf-writer.js';

/** Most packets of a group, for its pictures are all in memory at once. */
const MAX_PACKETS = 300;
const NOTHING: Decoded = Object.freeze({ pictures: [], fault: undefined });

/**
 * Decodes a file of packets to a Y4M file of pictures; `demuxer` is FFmpeg's name of the file's format. Rejects
 * with `EIO`.
 */
export type Transcode = (
  file: Uint8Array<ArrayBufferLike>,
  demuxer: string,
) => Promise<Uint8Array<ArrayBufferLike>>;

/** Elementary streams are packets one after the other; AV1 needs a container. */
const DEMUXERS: Readonly<Record<string, string>> = {
  AV01: 'ivf',
  H264: 'h264',
  HEVC: 'hevc',
  MPG1: 'mpegvideo',
  MPG2: 'mpegvideo',
};

interface Collected {
  readonly data: Uint8Array<ArrayBuffer>;
  readonly timestamp: number;
  readonly shown: boolean;
}

function faulty(detail: string): Decoded {
  return { pictures: [], fault: new DmaBufError('EIO', 'decode', detail) };
}

/** Most parameter sets that are kept: more than any stream has. */
const MAX_SETS = 64;

/** The parameter sets of a stream, the latest last, for every group may rely on any of them. */
class ParameterSets {
  readonly #format: PeerFormat;
  /** By content. */
  readonly #sets: Map<string, Uint8Array<ArrayBuffer>> = new Map();

  constructor(format: PeerFormat) {
    this.#format = format;
  }

  add(data: Uint8Array<ArrayBufferLike>): void {
    for (const set of this.#format.parameterSets?.(data) ?? []) {
      const key = Buffer.from(set).toString('latin1');
      this.#sets.delete(key);
      this.#sets.set(key, Uint8Array.from(set));
      const [oldest] = this.#sets.keys();
      if (this.#sets.size > MAX_SETS && oldest !== undefined) this.#sets.delete(oldest);
    }
  }

  /** Annex B. */
  get bytes(): Uint8Array {
    return joinNalUnits([...this.#sets.values()]);
  }
}

export class GroupDecoder implements Decoder {
  readonly name: string;
  /** In buffers it needs no more than that; in packets it holds back a group. */
  readonly reorderDelay = 1;
  readonly #format: PeerFormat;
  readonly #transcode: Transcode;
  readonly #sets: ParameterSets;
  /** Packets that show nothing go in with the next one. */
  #prefix: Uint8Array<ArrayBufferLike> = new Uint8Array(0);
  #group: Collected[] = [];
  #size: { readonly width: number; readonly height: number } | undefined;
  #closed = false;

  constructor(
    name: string,
    format: PeerFormat,
    header: Uint8Array<ArrayBufferLike> | undefined,
    transcode: Transcode,
  ) {
    this.name = name;
    this.#format = format;
    this.#transcode = transcode;
    this.#sets = new ParameterSets(format);
    if (header === undefined) return;
    if (format.parameterSets === undefined) this.#prefix = Uint8Array.from(header);
    else this.#sets.add(header);
  }

  decode({ data, timestamp }: Packet): Decoded | Promise<Decoded> {
    this.#open('decode');
    if (data.length === 0) {
      return { pictures: [], fault: new DmaBufError('EINVAL', 'decode', 'the packet is empty') };
    }
    let starts: boolean;
    let shown: boolean;
    try {
      const info = this.#format.inspect(data);
      shown = info.shown;
      starts = this.#group.length === 0 ? info.keyframe : this.#format.closed(data);
      this.#sets.add(data);
    } catch (error) {
      return { pictures: [], fault: parseFault(error) };
    }
    if (!shown && this.#format.hasHidden !== true) {
      this.#prefix = joinPrefix(this.#prefix, data);
      return NOTHING;
    }
    if (!starts && this.#group.length === 0)
      return faulty('decoding can start at a key frame only');
    if (!starts && this.#group.length >= MAX_PACKETS) {
      return faulty(`it is more than ${MAX_PACKETS} packets from where its group began`);
    }
    const before = starts ? this.#group : [];
    if (starts) this.#group = [];
    // The caller may change its bytes once this call returns.
    const copy = Uint8Array.from(Buffer.concat([this.#prefix, data]));
    this.#prefix = new Uint8Array(0);
    this.#group.push({ data: copy, timestamp, shown });
    return before.length === 0 ? NOTHING : this.#decodeGroup(before);
  }

  drain(): Decoded | Promise<Decoded> {
    this.#open('drain');
    const group = this.#group;
    this.#group = [];
    return group.length === 0 ? NOTHING : this.#decodeGroup(group);
  }

  reset(): void {
    this.#open('reset');
    this.#group = [];
    this.#prefix = new Uint8Array(0);
  }

  close(): void {
    this.#closed = true;
    this.#group = [];
  }

  async #decodeGroup(group: readonly Collected[]): Promise<Decoded> {
    const shown = group.filter((packet) => packet.shown);
    const times = shown.map(({ timestamp }) => timestamp).sort((a, b) => a - b);
    let file: Y4mFile | undefined;
    let why = '';
    try {
      file = parseY4m(await this.#run(group.map(({ data }) => data)));
    } catch (error) {
      if (!(error instanceof DmaBufError)) throw error;
      why = error.detail;
    }
    if (file !== undefined && file.frames.length > 0) this.#size = file;
    const whole = file?.frames.length === times.length;
    if (!whole && why === '')
      why = `${file?.frames.length ?? 0} of ${times.length} pictures came out`;
    const { width, height } = this.#size ?? {};
    if (width === undefined || height === undefined) return faulty(`${this.name}: ${why}`);
    const { planes } = tightLayout('YU12', width, height);
    const colour = file?.colour ?? { range: 'limited', matrix: 'unspecified' };
    const pictures = times.map((timestamp, i) => {
      const data = (whole ? file?.frames[i] : undefined) ?? new Uint8Array(0);
      const planar = { fourcc: 'YU12', data, planes, width, height } as const;
      return planarPicture(planar, { timestamp, colour, keyframe: i === 0, damaged: !whole });
    });
    return { pictures, fault: undefined };
  }

  #run(packets: readonly Uint8Array<ArrayBuffer>[]): Promise<Uint8Array<ArrayBufferLike>> {
    const { fourcc } = this.#format;
    const demuxer = DEMUXERS[fourcc] ?? 'ivf';
    if (demuxer === 'ivf') return this.#transcode(writeIvf(fourcc, packets), demuxer);
    return this.#transcode(Buffer.concat([this.#sets.bytes, ...packets]), demuxer);
  }

  #open(call: string): void {
    if (this.#closed)
      throw new DmaBufError('EBADFD', call, `the decoder by ${this.name} is closed`);
  }
}
