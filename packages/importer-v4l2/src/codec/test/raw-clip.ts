/**
 * Decoded clips for the encoder tests, and how far what comes back is from them.
 */
import { codecOf, openEncoder } from '../index.js';
import type { EncodedPacket, Encoder, EncoderOptions, RawPicture } from '../encoder.js';
import { tightLayout } from '../planes.js';
import { feed, loadClip } from './clips.js';

/** The pictures of a clip, tightly packed I420. */
export async function rawClip(name: string, limit: number = Infinity): Promise<RawPicture[]> {
  const clip = await loadClip(name);
  const decoder = await codecOf(clip.fourcc).open();
  const pictures: RawPicture[] = [];
  await feed(decoder, clip.packets.slice(0, limit), (decoded) => {
    for (const picture of decoded.pictures) {
      const { width, height, fourcc } = picture;
      const { planes, byteLength } = tightLayout(fourcc, width, height);
      const data = new Uint8Array(byteLength);
      picture.copyTo(data, planes);
      pictures.push({ fourcc, data, planes, width, height });
    }
  });
  await decoder.close();
  return pictures;
}

/** Encodes pictures with timestamps 0, 10, 20, … and drains; throws the first fault. */
export async function encodeAll(
  encoder: Encoder,
  pictures: readonly RawPicture[],
  forced: ReadonlySet<number> = new Set(),
): Promise<EncodedPacket[]> {
  const packets: EncodedPacket[] = [];
  for (const [i, picture] of pictures.entries()) {
    const options = { timestamp: i * 10, forceKeyFrame: forced.has(i) };
    const encoded = await encoder.encode(picture, options);
    if (encoded.fault !== undefined) throw encoded.fault;
    packets.push(...encoded.packets);
  }
  const rest = await encoder.flush();
  if (rest.fault !== undefined) throw rest.fault;
  packets.push(...rest.packets);
  return packets;
}

export interface Quality {
  /** Of all samples of all planes of all pictures, dB: what ffmpeg's psnr filter calls average. */
  readonly psnr: number;
  readonly pictures: number;
  readonly bytes: number;
  readonly keys: number;
}

/** Encodes pictures, decodes the packets, and compares. */
export async function roundTrip(
  fourcc: string,
  pictures: readonly RawPicture[],
  options: Omit<EncoderOptions, 'width' | 'height'>,
): Promise<Quality> {
  const { width = 0, height = 0 } = pictures[0] ?? {};
  const encoder = await openEncoder(fourcc, { ...options, width, height });
  const packets = await encodeAll(encoder, pictures);
  await encoder.close();
  const decoded = await decodeAll(fourcc, packets);
  let squares = 0;
  let samples = 0;
  for (const [timestamp, data] of decoded) {
    const source = pictures[timestamp / 10]?.data;
    if (source?.length !== data.length) throw new Error(`no picture at ${timestamp}`);
    for (let i = 0; i < data.length; i++) squares += ((data[i] ?? 0) - (source[i] ?? 0)) ** 2;
    samples += data.length;
  }
  return {
    psnr: 10 * Math.log10((255 * 255 * samples) / squares),
    pictures: decoded.size,
    bytes: packets.reduce((sum, { data }) => sum + data.length, 0),
    keys: packets.filter(({ key }) => key).length,
  };
}

/** Decodes packets; pictures by timestamp, tightly packed I420. Throws the first fault. */
export async function decodeAll(
  fourcc: string,
  packets: readonly EncodedPacket[],
): Promise<Map<number, Uint8Array>> {
  const decoder = await codecOf(fourcc).open();
  const found = new Map<number, Uint8Array>();
  await feed(decoder, packets, ({ pictures, fault }) => {
    if (fault !== undefined) throw fault;
    for (const picture of pictures) {
      const { planes, byteLength } = tightLayout(picture.fourcc, picture.width, picture.height);
      const data = new Uint8Array(byteLength);
      picture.copyTo(data, planes);
      found.set(picture.timestamp, data);
    }
  });
  await decoder.close();
  return found;
}

/** A moving pattern: gradients that shift, and a bright square on them. */
export function pattern(width: number, height: number, shift: number): RawPicture {
  const { planes, byteLength } = tightLayout('YU12', width, height);
  const data = new Uint8Array(byteLength);
  planes.forEach(({ offset, pitch }, p) => {
    const rows = p === 0 ? height : (height + 1) >> 1;
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < pitch; x++) {
        const square = p === 0 && (x + shift) % 64 < 8 && y % 64 < 8;
        data[offset + y * pitch + x] = square
          ? 220
          : 40 + ((2 * x + y * (p + 1) + 3 * shift) % 150);
      }
    }
  });
  return { fourcc: 'YU12', data, planes, width, height };
}

/** The same picture as NV12, in a buffer with wider rows. */
export function asNv12(picture: RawPicture, padding = 0): RawPicture {
  const { data, planes, width, height } = picture;
  const chromaWidth = (width + 1) >> 1;
  const rows = (height + 1) >> 1;
  const [y, u, v] = planes;
  if (y === undefined || u === undefined || v === undefined) throw new TypeError('no I420');
  const pitch = 2 * chromaWidth + padding;
  const out = new Uint8Array(pitch * (height + rows));
  for (let row = 0; row < height; row++) {
    const from = y.offset + row * y.pitch;
    out.set(data.subarray(from, from + width), row * pitch);
  }
  for (let row = 0; row < rows; row++) {
    for (let x = 0; x < chromaWidth; x++) {
      const to = (height + row) * pitch + 2 * x;
      out[to] = data[u.offset + row * u.pitch + x] ?? 0;
      out[to + 1] = data[v.offset + row * v.pitch + x] ?? 0;
    }
  }
  const layout = [
    { offset: 0, pitch },
    { offset: height * pitch, pitch },
  ];
  return { fourcc: 'NV12', data: out, planes: layout, width, height };
}
