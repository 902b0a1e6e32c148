/**
 * Clips for the codec tests: packets as a device would be fed them, and ffmpeg's MD5 of every frame.
 *
 * The project's own clips stand in examples/media. A larger set is used where it is present: the
 * folder `shared/media` beside the repository, or the one that DMABUF_MEDIA names.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { splitAccessUnits } from '../../bitstream/access-unit.js';
import { avcToAnnexB, parseAvcConfig } from '../../bitstream/avcc.js';
import { isAvi, parseAvi } from '../../bitstream/avi.js';
import { isIvf, parseIvf } from '../../bitstream/ivf.js';
import type { Decoded, Decoder, Packet, Picture } from '../codec.js';
import { codecOf, codecOfString } from '../index.js';
import { tightLayout } from '../planes.js';

const root = fileURLToPath(new URL('../../../../../', import.meta.url));
const media = process.env['DMABUF_MEDIA'] ?? join(root, '..', 'shared', 'media');

/** Of the larger set of clips those that built-in decoders handle at one size. */
export const STEADY_CLIPS: readonly string[] = [
  'flower_h264_cbp.mp4',
  'car-detection.mp4',
  'test-25fps.vp8',
  'test-25fps.vp9',
  'vp80-00-comprehensive-001.ivf',
  'flower.webm',
  'flower_vp9.webm',
  'flower_mjpeg.avi',
];
/** One that changes its size in mid-stream. */
export const CHANGING_CLIP = 'resolution_change_500frames-vp9.ivf';
/** Those of H.264 that they refuse. */
export const REFUSED_CLIPS = ['flower.mp4', 'test-25fps.h264'] as const;
/** One of AV1, for which the repository installs a decoder. */
export const AV1_CLIP = 'flower_av1.webm';

/** Path of one of the project's own clips, or of the larger set. */
export function clipPath(name: string): string {
  const own = join(root, 'examples', 'media', name);
  return existsSync(own) ? own : join(media, name);
}

/** Whether a clip is there; prints why its tests are skipped otherwise. */
export function hasClip(name: string): boolean {
  if (existsSync(clipPath(name))) return true;
  console.log(`# skip: ${name} is neither in examples/media nor in ${media}`);
  return false;
}

export interface Clip {
  readonly name: string;
  readonly fourcc: string;
  readonly packets: readonly Packet[];
}

/** Splits a clip into packets; timestamps are the packets' numbers. */
export async function loadClip(name: string): Promise<Clip> {
  const path = clipPath(name);
  const bytes = readFileSync(path);
  const number = (data: Uint8Array<ArrayBufferLike>, timestamp: number): Packet => ({
    data,
    timestamp,
  });
  if (isIvf(bytes)) {
    const { fourcc, frames } = parseIvf(bytes);
    return { name, fourcc, packets: frames.map(({ data }, i) => number(data, i)) };
  }
  if (isAvi(bytes)) {
    const { fourcc, frames } = parseAvi(bytes);
    return { name, fourcc, packets: frames.map(({ data }, i) => number(data, i)) };
  }
  if (basename(path).endsWith('.h264')) {
    const units = splitAccessUnits(bytes);
    return { name, fourcc: 'H264', packets: units.map(({ data }, i) => number(data, i)) };
  }
  return { name, ...(await demux(path, number)) };
}

/** mediabunny types this by DOM names that are not there in Node. */
function bytesOf(source: unknown): Uint8Array<ArrayBufferLike> {
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  if (!ArrayBuffer.isView(source)) throw new TypeError('the track has no description');
  return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
}

async function demux(
  path: string,
  number: (data: Uint8Array<ArrayBufferLike>, timestamp: number) => Packet,
): Promise<{ fourcc: string; packets: Packet[] }> {
  const { ALL_FORMATS, EncodedPacketSink, FilePathSource, Input } = await import('mediabunny');
  const input = new Input({ formats: ALL_FORMATS, source: new FilePathSource(path) });
  const track = await input.getPrimaryVideoTrack();
  const config = await track?.getDecoderConfig();
  if (track === null || config === null || config === undefined)
    throw new Error(`no video: ${path}`);
  const isAvc = config.codec.startsWith('avc');
  const avcc = isAvc ? parseAvcConfig(bytesOf(Reflect.get(config, 'description'))) : undefined;
  const packets: Packet[] = [];
  for await (const packet of new EncodedPacketSink(track).packets()) {
    const { data, type } = packet;
    packets.push(
      number(avcc === undefined ? data : avcToAnnexB(data, avcc, type === 'key'), packets.length),
    );
  }
  input.dispose();
  const fourcc = isAvc ? 'H264' : codecOfString(config.codec).fourcc;
  return { fourcc, packets };
}

/** ffmpeg's MD5 of every frame of a clip, planes tightly packed. */
export function frameMd5s(name: string): string[] {
  return readFileSync(`${clipPath(name)}.i420.framemd5`, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.slice(line.lastIndexOf(',') + 1).trim());
}

// check-layers: allow shared-memory -- pictures are copied into shared memory, as a device does
const shared = new WebAssembly.Memory({ initial: 1, maximum: 256, shared: true });

/** MD5 of a picture that went through `copyTo` into shared memory. */
export function pictureMd5(picture: Picture): string {
  const { planes, byteLength } = tightLayout(picture.fourcc, picture.width, picture.height);
  const missing = Math.ceil((byteLength - shared.buffer.byteLength) / 65536);
  if (missing > 0) shared.grow(missing);
  const target = new Uint8Array(shared.buffer, 0, byteLength);
  const copied = picture.copyTo(target, planes);
  if (copied !== byteLength) throw new Error(`copied ${copied} of ${byteLength} bytes`);
  return createHash('md5').update(target).digest('hex');
}

/** Feeds packets one by one and hands each result over before the next is fed. */
export async function feed(
  decoder: Decoder,
  packets: readonly Packet[],
  each: (decoded: Decoded, packet: Packet) => void,
): Promise<void> {
  for (const packet of packets) {
    const result = decoder.decode(packet);
    each(result instanceof Promise ? await result : result, packet);
  }
}

/** MD5s of all pictures of a clip, and their sizes where these change. Throws the first fault. */
export async function decodeClip(name: string): Promise<{ md5s: string[]; sizes: string[] }> {
  const clip = await loadClip(name);
  const decoder = await codecOf(clip.fourcc).open();
  const md5s: string[] = [];
  const sizes: string[] = [];
  await feed(decoder, clip.packets, ({ pictures, fault }, packet) => {
    if (fault !== undefined) throw fault;
    for (const picture of pictures) {
      if (picture.timestamp !== packet.timestamp) {
        throw new Error(`packet ${packet.timestamp} gave the picture of ${picture.timestamp}`);
      }
      md5s.push(pictureMd5(picture));
      const size = `${picture.width}x${picture.height}`;
      if (sizes.at(-1) !== size) sizes.push(size);
    }
  });
  await decoder.close();
  return { md5s, sizes };
}

/** A repeatable generator of numbers in [0, 1): mulberry32. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** A copy of `data` with bytes overwritten, cut short, or cut out: one of the three by chance. */
export function damage(data: Uint8Array<ArrayBufferLike>, next: () => number): Uint8Array {
  const copy = Uint8Array.from(data);
  const at = Math.floor(next() * copy.length);
  const kind = next();
  if (kind < 0.2) return copy.slice(0, at);
  if (kind < 0.4) {
    const end = at + Math.floor(next() * 64);
    return Uint8Array.from([...copy.subarray(0, at), ...copy.subarray(end)]);
  }
  const flips = 1 + Math.floor(next() * 20);
  for (let i = 0; i < flips; i++) copy[Math.floor(next() * copy.length)] = Math.floor(next() * 256);
  return copy;
}

/** A clip's packets with a share of them damaged. */
export function damagePackets(
  packets: readonly Packet[],
  seed: number,
  share = 0.3,
): { packets: Packet[]; hit: Set<number> } {
  const next = random(seed);
  const hit = new Set<number>();
  const out = packets.map(({ data, timestamp }) => {
    if (next() >= share) return { data, timestamp };
    hit.add(timestamp);
    return { data: damage(data, next), timestamp };
  });
  return { packets: out, hit };
}
