/**
 * What a recording must hold, computed without the pipeline: mediabunny and the codec, then the
 * documented formulas of conversion (kernels/color.ts), scaling (kernels/scale-map.ts) and Y4M
 * (y4m.ts), written down once more, pixel by pixel.
 */
import type { CodecInfo } from '@dmabuf/importer-v4l2';
import type { ClipPacket } from './clip.js';

/** A decoded picture, planes tightly packed as I420. */
export interface Picture {
  readonly timestamp: number;
  readonly width: number;
  readonly height: number;
  readonly matrix: string;
  readonly range: string;
  readonly planes: Uint8Array;
}

/** What a decoder of its own makes of the packets: for each that shows one a picture, or undefined. */
export async function decode(
  codec: CodecInfo,
  header: Uint8Array<ArrayBufferLike> | undefined,
  packets: readonly ClipPacket[],
): Promise<(Picture | undefined)[]> {
  const decoder = await codec.open(header === undefined ? {} : { header });
  const out: (Picture | undefined)[] = [];
  for (const { data, timestamp, shown } of packets) {
    const { pictures } = await decoder.decode({ data, timestamp });
    const [picture] = pictures;
    const good = picture !== undefined && !picture.damaged;
    if (good) {
      const { width, height, colour } = picture;
      const chroma = ((width + 1) >> 1) * ((height + 1) >> 1);
      const planes = new Uint8Array(width * height + 2 * chroma);
      picture.copyTo(planes, [
        { offset: 0, pitch: width },
        { offset: width * height, pitch: (width + 1) >> 1 },
        { offset: width * height + chroma, pitch: (width + 1) >> 1 },
      ]);
      out.push({ timestamp, width, height, matrix: colour.matrix, range: colour.range, planes });
    } else if (shown) {
      out.push(undefined);
    }
  }
  await decoder.close();
  return out;
}

const clamp = (value: number): number => Math.min(255, Math.max(0, value));

/** Q13 integers of YCbCr to RGB, limited range. */
const MATRICES: Readonly<Record<string, readonly [number, number, number, number]>> = {
  bt709: [14686, -1747, -4366, 17305],
  bt601: [13075, -3209, -6660, 16525],
};

/** One 0xRRGGBB word a pixel, chroma replicated. */
export function toRgb(picture: Picture): Uint32Array {
  const { width, height, planes, matrix, range } = picture;
  const coefficients = MATRICES[matrix];
  if (coefficients === undefined || range !== 'limited') {
    throw new Error(`the helper has no formula for ${matrix}, ${range} range`);
  }
  const [crv, cgu, cgv, cbu] = coefficients;
  const half = (width + 1) >> 1;
  const cb = width * height;
  const cr = cb + half * ((height + 1) >> 1);
  const out = new Uint32Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = (y >> 1) * half + (x >> 1);
      const luma = 9539 * ((planes[y * width + x] ?? 0) - 16);
      const u = (planes[cb + at] ?? 0) - 128;
      const v = (planes[cr + at] ?? 0) - 128;
      const r = clamp((luma + crv * v + 4096) >> 13);
      const g = clamp((luma + cgu * u + cgv * v + 4096) >> 13);
      const b = clamp((luma + cbu * u + 4096) >> 13);
      out[y * width + x] = (r << 16) | (g << 8) | b;
    }
  }
  return out;
}

interface Size {
  readonly width: number;
  readonly height: number;
}

/** A picture on a black screen: the largest rectangle of its shape, centred, bilinear. */
export function onScreen(pixels: Uint32Array, size: Size, screen: Size): Uint32Array {
  const wide = size.width * screen.height >= screen.width * size.height;
  const width = wide ? screen.width : Math.round((size.width * screen.height) / size.height);
  const height = wide ? Math.round((size.height * screen.width) / size.width) : screen.height;
  const left = Math.floor((screen.width - width) / 2);
  const top = Math.floor((screen.height - height) / 2);
  const out = new Uint32Array(screen.width * screen.height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = (top + y) * screen.width + left + x;
      out[at] =
        width === size.width && height === size.height
          ? (pixels[y * width + x] ?? 0)
          : sample(pixels, size, axis(x, size.width, width), axis(y, size.height, height));
    }
  }
  return out;
}

interface Position {
  readonly index: number;
  readonly next: number;
  readonly weight: number;
}

function axis(i: number, source: number, destination: number): Position {
  const step = Math.floor((source * 65536) / destination);
  const p = Math.min(Math.max(i * step + (step >> 1) - 32768, 0), (source - 1) * 65536);
  const index = p >> 16;
  return { index, next: Math.min(index + 1, source - 1), weight: (p >> 8) & 255 };
}

function sample(pixels: Uint32Array, size: Size, x: Position, y: Position): number {
  const at = (column: number, row: number): number => pixels[row * size.width + column] ?? 0;
  const corners = [
    at(x.index, y.index),
    at(x.next, y.index),
    at(x.index, y.next),
    at(x.next, y.next),
  ];
  let word = 0;
  for (const shift of [0, 8, 16]) {
    const [a = 0, b = 0, c = 0, d = 0] = corners.map((pixel) => (pixel >> shift) & 255);
    const upper = (256 - x.weight) * a + x.weight * b;
    const lower = (256 - x.weight) * c + x.weight * d;
    word |= (((256 - y.weight) * upper + y.weight * lower + 32768) >> 16) << shift;
  }
  return word;
}

/** The three planes of a Y4M frame, BT.709 limited. */
export function toY4m(pixels: Uint32Array): Uint8Array {
  const size = pixels.length;
  const out = new Uint8Array(size * 3);
  for (const [i, pixel] of pixels.entries()) {
    const [r, g, b] = [(pixel >> 16) & 255, (pixel >> 8) & 255, pixel & 255];
    out[i] = (11966 * r + 40254 * g + 4064 * b + 16 * 65536 + 32768) >> 16;
    out[size + i] = (-6596 * r - 22188 * g + 28784 * b + 128 * 65536 + 32768) >> 16;
    out[2 * size + i] = (28784 * r - 26145 * g - 2639 * b + 128 * 65536 + 32768) >> 16;
  }
  return out;
}

/** A Y4M file taken apart, the naive way. */
export function splitY4m(bytes: Uint8Array): { header: string; frames: Uint8Array[] } {
  const end = bytes.indexOf(10);
  const header = Buffer.from(bytes.subarray(0, end)).toString('latin1');
  const [, width = '', height = ''] = /W(\d+) H(\d+)/.exec(header) ?? [];
  const size = Number(width) * Number(height) * 3;
  const frames: Uint8Array[] = [];
  for (let at = end + 1; at < bytes.length; at += 6 + size) {
    const line = Buffer.from(bytes.subarray(at, at + 6)).toString('latin1');
    if (line !== 'FRAME\n') throw new Error(`byte ${at}: '${line}' is no FRAME line`);
    if (at + 6 + size > bytes.length) throw new Error(`frame ${frames.length} is not whole`);
    frames.push(bytes.subarray(at + 6, at + 6 + size));
  }
  return { header, frames };
}
