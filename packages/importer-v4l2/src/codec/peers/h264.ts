/**
 * H.264 beyond what is decoded here (High and Main profile, interlaced, B slices), by a peer where there is
 * one: the decoder of our own begins, and what it refuses before its first picture goes to the peer.
 */
import { DmaBufError } from '@dmabuf/core';
import {
  NAL_PPS,
  NAL_SLICE,
  NAL_SLICE_IDR,
  NAL_SPS,
  splitNalUnits,
} from '../../bitstream/annexb.js';
import { H264ParameterSets } from '../../bitstream/h264-slice.js';
import type { CodecInfo, Decoded, Decoder, OpenOptions, Packet, PacketInfo } from '../codec.js';
import { h264StreamInfo } from '../h264-support.js';
import { UnsupportedStream } from '../unsupported.js';
import type { PeerFormat } from './backend.js';

type Bytes = Uint8Array<ArrayBufferLike>;

/** Parameter sets that stand apart from pictures are kept for the peer, up to so many bytes. */
const MAX_HEADER_BYTES = 1 << 16;

function isIdr(data: Bytes): boolean {
  return splitNalUnits(data).some(({ type }) => type === NAL_SLICE_IDR);
}

/** Headers of any profile: nothing is refused. */
function inspectAny(data: Bytes): PacketInfo {
  const units = splitNalUnits(data);
  if (units.length === 0) {
    const detail = `the packet of ${data.length} bytes has no start code: Annex B is needed`;
    throw new DmaBufError('EINVAL', 'decode', detail);
  }
  const keyframe = units.some(({ type }) => type === NAL_SLICE_IDR);
  const shown = keyframe || units.some(({ type }) => type === NAL_SLICE);
  const first = units.find(({ type }) => type === NAL_SPS);
  const sps = first === undefined ? undefined : new H264ParameterSets().add(first)?.sps;
  return { keyframe, shown, stream: sps === undefined ? undefined : h264StreamInfo(sps) };
}

export const h264Format: PeerFormat = {
  fourcc: 'H264',
  description: 'H.264',
  inspect: inspectAny,
  closed: isIdr,
  parameterSets: (data) =>
    splitNalUnits(data)
      .filter(({ type }) => type === NAL_SPS || type === NAL_PPS)
      .map((nal) => nal.data),
};

/** How a peer is found and opened. */
interface Peers {
  present(): boolean;
  open(header: Bytes | undefined): Promise<Decoder>;
}

class FallbackDecoder implements Decoder {
  #decoder: Decoder;
  readonly #peers: Peers;
  /** Nothing has come out of our own decoder yet, and it has refused nothing. */
  #undecided = true;
  /** What went into it so far. */
  #before: Uint8Array<ArrayBuffer>[] = [];
  #bytes = 0;

  constructor(own: Decoder, peers: Peers, header: Bytes | undefined) {
    this.#decoder = own;
    this.#peers = peers;
    this.#keep(header ?? new Uint8Array(0));
  }

  get name(): string {
    return this.#decoder.name;
  }
  get reorderDelay(): number {
    return this.#decoder.reorderDelay;
  }

  decode(packet: Packet): Decoded | Promise<Decoded> {
    const decoded = this.#decoder.decode(packet);
    if (!this.#undecided || decoded instanceof Promise) return decoded;
    const { fault, pictures } = decoded;
    if (fault instanceof UnsupportedStream && this.#peers.present()) return this.#change(packet);
    if (pictures.length > 0) this.#decide();
    else if (fault === undefined) this.#keep(packet.data);
    return decoded;
  }

  drain(): Decoded | Promise<Decoded> {
    return this.#decoder.drain();
  }

  reset(): void | Promise<void> {
    return this.#decoder.reset();
  }

  close(): void | Promise<void> {
    return this.#decoder.close();
  }

  #keep(data: Bytes): void {
    this.#bytes += data.length;
    if (this.#bytes > MAX_HEADER_BYTES) this.#decide();
    else if (data.length > 0) this.#before.push(Uint8Array.from(data));
  }

  #decide(): void {
    this.#undecided = false;
    this.#before = [];
  }

  async #change(packet: Packet): Promise<Decoded> {
    const header = Buffer.concat(this.#before);
    this.#decide();
    const peer = await this.#peers.open(header.length === 0 ? undefined : header);
    await this.#decoder.close();
    this.#decoder = peer;
    return peer.decode(packet);
  }
}

/** H.264 by our own decoder, with peers for what it refuses. */
export function h264WithPeers(own: CodecInfo, peers: Peers): CodecInfo {
  return {
    ...own,
    inspect(data) {
      try {
        return own.inspect(data);
      } catch (error) {
        if (error instanceof UnsupportedStream && peers.present()) return inspectAny(data);
        throw error;
      }
    },
    async open(options: OpenOptions = {}) {
      if (options.drains === false) return own.open(options);
      try {
        return new FallbackDecoder(await own.open(options), peers, options.header);
      } catch (error) {
        if (error instanceof UnsupportedStream && peers.present())
          return peers.open(options.header);
        throw error;
      }
    },
  };
}
