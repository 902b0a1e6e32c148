/**
 * A clip: a video file taken apart (by mediabunny, or simple-containers.ts) into what the decoder is fed, one packet a picture
 * as a rule, H.264 turned into Annex B with its parameter sets before every key frame.
 *
 * Runs on the main thread before anything is booted, so that what cannot be played is refused
 * with one line that says what it is and what would be accepted.
 */
import { accessSync, constants, statSync } from 'node:fs';
import { basename } from 'node:path';
import {
  avcToAnnexB,
  codecOfString,
  parseAvcConfig,
  type AvcConfig,
  type CodecInfo,
} from '@dmabuf/importer-v4l2';
import {
  ALL_FORMATS,
  EncodedPacketSink,
  FilePathSource,
  Input,
  type InputVideoTrack,
} from 'mediabunny';
import { BadInput, codeOf, reasonOf } from './bad-input.js';
import { frameRate, type Rate } from './rate.js';
import { readSimple } from './simple-containers.js';

/** What the decoder takes as one packet. */
export interface ClipPacket {
  readonly data: Uint8Array<ArrayBufferLike>;
  /** Presentation time, ms. */
  readonly timestamp: number;
  readonly keyframe: boolean;
  /** False for a packet that gives no picture (a hidden frame). */
  readonly shown: boolean;
}

export interface Clip {
  /** File name without folders. */
  readonly name: string;
  /** V4L2 pixel format of the bitstream: `'H264'`, `'VP80'`, `'VP90'`. */
  readonly fourcc: string;
  /** `'H.264'`, for people. */
  readonly codec: string;
  /** Parameter sets, where the container keeps them apart from the packets (H.264). */
  readonly header: Uint8Array<ArrayBufferLike> | undefined;
  /** Visible size of the first picture. */
  readonly width: number;
  readonly height: number;
  /** The largest size that any key frame has: what CAPTURE buffers must hold. */
  readonly maxWidth: number;
  readonly maxHeight: number;
  readonly rate: Rate;
  readonly packets: readonly ClipPacket[];
  /** Pictures: packets that show one. */
  readonly frames: number;
}

const ACCEPTED =
  'accepted: MP4, MOV, MKV, WebM, MPEG-TS, AVI, IVF with H.264 (Constrained) Baseline, VP8, VP9 or Motion JPEG, and Y4M';

/**
 * Reads the first `limit` pictures of a file. Rejects with BadInput: no such file, not a video, a
 * codec or profile that no decoder here handles, a decoder that is not installed.
 */
export async function readClip(path: string, limit: number = Infinity): Promise<Clip> {
  checkFile(path);
  const simple = refuse(path, () => readSimple(path));
  if (simple !== undefined) {
    const { codec, header, packets } = simple;
    return assemble(path, codec, header, firstPictures(packets, limit));
  }
  const input = new Input({ formats: ALL_FORMATS, source: new FilePathSource(path) });
  try {
    return await demux(path, input, limit);
  } catch (error) {
    if (error instanceof BadInput) throw error;
    throw new BadInput(`${path}: it cannot be read as a video (${reasonOf(error)}); ${ACCEPTED}`);
  } finally {
    input.dispose();
  }
}

function checkFile(path: string): void {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw new BadInput(`${path}: no such file; --input names a video file`);
  if (!stat.isFile()) throw new BadInput(`${path}: it is not a file; --input names a video file`);
  if (stat.size === 0) throw new BadInput(`${path}: the file is empty; ${ACCEPTED}`);
  try {
    accessSync(path, constants.R_OK);
  } catch (error) {
    throw new BadInput(`${path}: it may not be read by this user (${codeOf(error)})`);
  }
}

async function demux(path: string, input: Input, limit: number): Promise<Clip> {
  const track = await videoTrack(path, input);
  const config = await track.getDecoderConfig();
  const codecString = config?.codec ?? (await track.getCodecParameterString());
  if (codecString === null) {
    throw new BadInput(`${path}: its video is in a codec that is not known here; ${ACCEPTED}`);
  }
  const codec = refuse(path, () => codecOfString(codecString));
  const avc = codec.fourcc === 'H264' ? avcConfig(config) : undefined;
  const packets = await readPackets(track, codec, avc, limit);
  const header = avc === undefined ? undefined : avcToAnnexB(new Uint8Array(), avc, true);
  return assemble(path, codec, header, packets);
}

/** Packets up to the one that shows the last of `limit` pictures. */
function firstPictures(packets: readonly ClipPacket[], limit: number): readonly ClipPacket[] {
  let pictures = 0;
  const last = packets.findIndex(({ shown }) => shown && ++pictures === limit);
  return last < 0 ? packets : packets.slice(0, last + 1);
}

function assemble(
  path: string,
  codec: CodecInfo,
  header: Uint8Array<ArrayBufferLike> | undefined,
  packets: readonly ClipPacket[],
): Clip {
  const state = codec.probe();
  if (!state.available) throw new BadInput(`${path}: it is ${codec.description}; ${state.reason}`);
  const { stream } = refuse(path, () => codec.inspect(header ?? firstKey(path, packets)));
  if (stream === undefined) {
    throw new BadInput(`${path}: its ${codec.description} does not begin with a key frame`);
  }
  const largest = largestKey(codec, packets, stream);
  const shown = packets.filter((packet) => packet.shown);
  if (shown.length === 0) throw new BadInput(`${path}: there is not one picture in it`);
  return {
    name: basename(path),
    fourcc: codec.fourcc,
    codec: codec.description,
    header,
    width: stream.width,
    height: stream.height,
    maxWidth: largest.width,
    maxHeight: largest.height,
    rate: frameRate(shown.map(({ timestamp }) => timestamp)),
    packets,
    frames: shown.length,
  };
}

async function videoTrack(path: string, input: Input): Promise<InputVideoTrack> {
  let track: InputVideoTrack | null;
  try {
    track = await input.getPrimaryVideoTrack();
  } catch (error) {
    throw new BadInput(`${path}: it is not a video file (${reasonOf(error)}); ${ACCEPTED}`);
  }
  if (track !== null) return track;
  throw new BadInput(`${path}: there is no video track in it; ${ACCEPTED}`);
}

/** Runs a check of the codec's; what it refuses is bad input. */
function refuse<T>(path: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    throw new BadInput(`${path}: ${reasonOf(error)}; the clips in examples/media play as they are`);
  }
}

/** The avcC, if samples are length-prefixed; mediabunny types it by names of the DOM. */
function avcConfig(config: object | null): AvcConfig | undefined {
  const description: unknown = config === null ? undefined : Reflect.get(config, 'description');
  if (description instanceof ArrayBuffer) return parseAvcConfig(new Uint8Array(description));
  if (!ArrayBuffer.isView(description)) return undefined;
  const { buffer, byteOffset, byteLength } = description;
  return parseAvcConfig(new Uint8Array(buffer, byteOffset, byteLength));
}

async function readPackets(
  track: InputVideoTrack,
  codec: CodecInfo,
  avc: AvcConfig | undefined,
  limit: number,
): Promise<ClipPacket[]> {
  const packets: ClipPacket[] = [];
  let pictures = 0;
  for await (const packet of new EncodedPacketSink(track).packets()) {
    const keyframe = packet.type === 'key';
    const data = avc === undefined ? packet.data : annexB(packet.data, avc, keyframe);
    // A sample of H.264 is a picture, as its container says (ISO/IEC 14496-15), damaged or not.
    const shown = avc !== undefined || showsPicture(codec, data);
    packets.push({ data, timestamp: packet.timestamp * 1000, keyframe, shown });
    if (shown) pictures++;
    if (pictures === limit) break;
  }
  return packets;
}

/** A damaged sample whose lengths make no sense goes to the decoder as it is, which will say so. */
function annexB(
  sample: Uint8Array,
  avc: AvcConfig,
  keyframe: boolean,
): Uint8Array<ArrayBufferLike> {
  try {
    return avcToAnnexB(sample, avc, keyframe);
  } catch {
    return Buffer.concat([Uint8Array.of(0, 0, 0, 1), sample]);
  }
}

/** Whether a packet is to give a picture. One that cannot be parsed is: it will count as damaged. */
function showsPicture(codec: CodecInfo, data: Uint8Array<ArrayBufferLike>): boolean {
  try {
    return codec.inspect(data).shown;
  } catch {
    return true;
  }
}

function firstKey(path: string, packets: readonly ClipPacket[]): Uint8Array<ArrayBufferLike> {
  const key = packets.find(({ keyframe }) => keyframe) ?? packets[0];
  if (key !== undefined) return key.data;
  throw new BadInput(`${path}: there is not one picture in it`);
}

/** The largest visible size of all key frames. */
function largestKey(
  codec: CodecInfo,
  packets: readonly ClipPacket[],
  first: { readonly width: number; readonly height: number },
): { width: number; height: number } {
  let { width, height } = first;
  for (const { keyframe, data } of packets) {
    if (!keyframe) continue;
    try {
      const { stream } = codec.inspect(data);
      // A damaged header may claim any size: what is absurd is the decoder's to refuse.
      if (stream === undefined) continue;
      if (stream.width > 4 * first.width || stream.height > 4 * first.height) continue;
      width = Math.max(width, stream.width);
      height = Math.max(height, stream.height);
    } catch {
      // Damaged: the decoder will flag it.
    }
  }
  return { width, height };
}
