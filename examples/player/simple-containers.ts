/**
 * Containers that mediabunny does not read: AVI (Motion JPEG and others), IVF, and Y4M, which is raw pictures.
 *
 * Such a file is read as a whole; its packets are views of it.
 */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import {
  codecOf,
  codecOfString,
  isAvi,
  isIvf,
  isY4m,
  parseAvi,
  parseIvf,
  parseY4m,
  type CodecInfo,
} from '@dmabuf/importer-v4l2';
import type { ClipPacket } from './clip.js';

type Bytes = Uint8Array<ArrayBufferLike>;

/** A file taken apart. */
export interface SimpleFile {
  readonly codec: CodecInfo;
  /** What the packets lack: the size of raw pictures. */
  readonly header: Bytes | undefined;
  readonly packets: readonly ClipPacket[];
}

const SIGNATURE_BYTES = 16;
const LINE_END = 10;

function signature(path: string): Bytes {
  const file = openSync(path, 'r');
  try {
    const head = new Uint8Array(SIGNATURE_BYTES);
    return head.subarray(0, readSync(file, head));
  } finally {
    closeSync(file);
  }
}

/**
 * Takes a file apart if it is of these; undefined if it is another. Throws `EINVAL` for one that is damaged, or whose
 * format no decoder here takes.
 */
export function readSimple(path: string): SimpleFile | undefined {
  const head = signature(path);
  if (isAvi(head)) return readAvi(readFileSync(path));
  if (isIvf(head)) return readIvf(readFileSync(path));
  return isY4m(head) ? readY4m(readFileSync(path)) : undefined;
}

/** Presentation times, ms, of frames by their numbers; 30 a second where the file does not say. */
function times(rate: { readonly num: number; readonly den: number }): (index: number) => number {
  const { num, den } = rate.num > 0 && rate.den > 0 ? rate : { num: 30, den: 1 };
  return (index) => (1000 * index * den) / num;
}

function packetOf(codec: CodecInfo, data: Bytes, timestamp: number): ClipPacket {
  try {
    const { keyframe, shown } = codec.inspect(data);
    return { data, timestamp, keyframe, shown };
  } catch {
    // Damaged: the decoder will say so.
    return { data, timestamp, keyframe: false, shown: true };
  }
}

function readAvi(bytes: Bytes): SimpleFile {
  const { fourcc, frameRate, frames } = parseAvi(bytes);
  const codec = codecOfString(fourcc.toUpperCase());
  const at = times(frameRate);
  const packets = frames.map(({ data, index }) => packetOf(codec, data, at(index)));
  return { codec, header: undefined, packets };
}

function readIvf(bytes: Bytes): SimpleFile {
  const { fourcc, timeBase, frames } = parseIvf(bytes);
  const codec = codecOfString(fourcc);
  // A timestamp is in units of the time base: as frames of the reciprocal rate.
  const at = times({ num: timeBase.den, den: timeBase.num });
  const packets = frames.map(({ data, timestamp }) => packetOf(codec, data, at(timestamp)));
  return { codec, header: undefined, packets };
}

function readY4m(bytes: Bytes): SimpleFile {
  const { frameRate, frames } = parseY4m(bytes);
  const at = times(frameRate);
  const packets = frames.map((data, i) => ({
    data,
    timestamp: at(i),
    keyframe: true,
    shown: true,
  }));
  const header = bytes.subarray(0, bytes.indexOf(LINE_END) + 1);
  return { codec: codecOf('YU12'), header, packets };
}
