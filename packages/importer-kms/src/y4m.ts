/**
 * Y4M (YUV4MPEG2) writer and reader: frames of RGB pixels as 8-bit 4:4:4 Y′CbCr.
 *
 * Owned by the writeback worker. Follows the yuv4mpeg(5) manual page of mjpegtools. Y4M has no
 * RGB, so one lossy step is unavoidable. It is exact integer arithmetic, for each pixel alone
 * (no subsampling), limited range, `>>` flooring:
 *
 *     Y  = (yr·R + yg·G + yb·B +  16·65536 + 32768) >> 16        16 … 235
 *     Cb = (ur·R + ug·G + ub·B + 128·65536 + 32768) >> 16        16 … 240
 *     Cr = (vr·R + vg·G + vb·B + 128·65536 + 32768) >> 16        16 … 240
 *
 * with the coefficients of {@link Y4M_MATRICES}: the standard's, times 219/255 (Y) or 224/255
 * (chroma), times 65536, rounded so that greys are exact (chroma coefficients sum to 0, luma's to
 * 56284: black is 16, white 235). The header says which: `C444 XCOLORRANGE=LIMITED
 * XMATRIX=BT709`. The X or alpha byte is not stored.
 */
import { DmaBufError } from '@dmabuf/core';
import { checkFrame, type ScanoutFrame } from './scanout-frame.js';

/** ITU-R BT.709 (HD video) or BT.601 (SD video). */
export type Y4mMatrix = 'BT709' | 'BT601';

/** Coefficients for R, G, B: of Y, of Cb, of Cr; in units of 1/65536. */
export const Y4M_MATRICES: Readonly<
  Record<Y4mMatrix, Readonly<{ y: Triple; cb: Triple; cr: Triple }>>
> = {
  BT709: { y: [11966, 40254, 4064], cb: [-6596, -22188, 28784], cr: [28784, -26145, -2639] },
  BT601: { y: [16829, 33039, 6416], cb: [-9714, -19070, 28784], cr: [28784, -24103, -4681] },
};

/** Three numbers: for R, G and B. */
export type Triple = readonly [r: number, g: number, b: number];

const { imul } = Math;
const FRAME_LINE = 'FRAME\n';
const LUMA_SUM = 56284;
const LUMA_BIAS = 16 * 65536 + 32768;
const CHROMA_BIAS = 128 * 65536 + 32768;

/** What a Y4M stream holds. */
export interface Y4mFormat {
  readonly width: number;
  readonly height: number;
  /** Frames a second as a fraction; reduced when written. */
  readonly rate: readonly [numerator: number, denominator: number];
  /** Default BT709. */
  readonly matrix?: Y4mMatrix;
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

/** Turns frames into the bytes of a Y4M stream. Allocates once, for one frame. */
export class Y4mEncoder {
  readonly width: number;
  readonly height: number;
  readonly matrix: Y4mMatrix;
  /** The stream's first line; write it once. */
  readonly header: Uint8Array;
  readonly #frame: Uint8Array;

  constructor(format: Y4mFormat) {
    const [numerator, denominator] = format.rate;
    if (!Number.isInteger(numerator) || !Number.isInteger(denominator)) {
      throw new RangeError(`frame rate ${numerator}:${denominator} is not a fraction of integers`);
    }
    if (numerator < 1 || denominator < 1) {
      throw new RangeError(`frame rate ${numerator}:${denominator} is not positive`);
    }
    const { width, height } = format;
    this.width = width;
    this.height = height;
    this.matrix = format.matrix ?? 'BT709';
    const by = gcd(numerator, denominator);
    const rate = `${numerator / by}:${denominator / by}`;
    const extra = `XCOLORRANGE=LIMITED XMATRIX=${this.matrix}`;
    this.header = Buffer.from(`YUV4MPEG2 W${width} H${height} F${rate} Ip A1:1 C444 ${extra}\n`);
    this.#frame = new Uint8Array(FRAME_LINE.length + width * height * 3);
    this.#frame.set(Buffer.from(FRAME_LINE));
  }

  /**
   * One frame, its FRAME line included. The bytes are the encoder's own and hold until the next
   * call: write them out first. Throws EINVAL when the frame is not of the stream's size.
   */
  frame(frame: ScanoutFrame): Uint8Array {
    const stride = checkFrame(frame);
    if (frame.width !== this.width || frame.height !== this.height) {
      throw new DmaBufError(
        'EINVAL',
        'writeback',
        `a frame of ${frame.width}x${frame.height} in a Y4M stream of ` +
          `${this.width}x${this.height}: its size is fixed by the header`,
      );
    }
    const size = this.width * this.height;
    for (let y = 0; y < this.height; y++) {
      const to = FRAME_LINE.length + y * this.width;
      convertRow(frame.pixels, y * stride, this.#frame, to, size, this.width, this.matrix);
    }
    return this.#frame;
  }
}

/** One row of `width` pixels into three planes that are `size` bytes apart. */
function convertRow(
  pixels: Uint32Array<ArrayBufferLike>,
  from: number,
  out: Uint8Array,
  to: number,
  size: number,
  width: number,
  matrix: Y4mMatrix,
): void {
  const { y, cb, cr } = Y4M_MATRICES[matrix];
  const [yr, , yb] = y;
  const [ur, , ub] = cb;
  const [vr, , vb] = cr;
  // The sums over R, G, B are known (LUMA_SUM and 0), so that R − G and B − G save the products
  // with G: the same integers.
  for (let x = 0; x < width; x++) {
    const pixel = pixels[from + x] ?? 0;
    const g = (pixel >>> 8) & 0xff;
    const r = ((pixel >>> 16) & 0xff) - g;
    const b = (pixel & 0xff) - g;
    const at = to + x;
    out[at] = (imul(LUMA_SUM, g) + imul(yr, r) + imul(yb, b) + LUMA_BIAS) >> 16;
    out[at + size] = (imul(ur, r) + imul(ub, b) + CHROMA_BIAS) >> 16;
    out[at + size + size] = (imul(vr, r) + imul(vb, b) + CHROMA_BIAS) >> 16;
  }
}

/** A Y4M file that has been read. */
export interface Y4mFile {
  readonly width: number;
  readonly height: number;
  readonly rate: readonly [numerator: number, denominator: number];
  /** Value of the C tag; `'420jpeg'` where there is none, as the manual page says. */
  readonly chroma: string;
  /** X tags without their X, for example `'MATRIX=BT709'`. */
  readonly comments: readonly string[];
  /** Planes of each frame, tightly packed, as views of the file's bytes. */
  readonly frames: readonly Uint8Array[];
}

function malformed(detail: string): never {
  throw new DmaBufError('EINVAL', 'y4m', detail);
}

function frameBytes(chroma: string, width: number, height: number): number {
  if (chroma === '444') return width * height * 3;
  if (/^420(jpeg|mpeg2|paldv)?$/.test(chroma)) {
    return width * height + 2 * Math.ceil(width / 2) * Math.ceil(height / 2);
  }
  return malformed(`chroma C${chroma} is not one of C444, C420, C420jpeg, C420mpeg2, C420paldv`);
}

function lineAt(bytes: Uint8Array, from: number): string {
  const end = bytes.indexOf(0x0a, from);
  if (end < 0) malformed(`no line end after byte ${from}`);
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, end - from).toString('latin1');
}

/**
 * Reads a whole Y4M file of 8-bit 4:4:4 or 4:2:0 frames. Throws EINVAL saying what is wrong,
 * a last frame that is not whole included.
 */
export function readY4m(bytes: Uint8Array): Y4mFile {
  const header = lineAt(bytes, 0);
  const [magic, ...tags] = header.split(' ');
  if (magic !== 'YUV4MPEG2') malformed(`it begins with ${JSON.stringify(magic)}, not YUV4MPEG2`);
  const tag = (letter: string): string | undefined =>
    tags.find((each) => each.startsWith(letter))?.slice(1);
  const width = Number(tag('W'));
  const height = Number(tag('H'));
  if (!(width > 0 && height > 0)) malformed(`no picture size in ${JSON.stringify(header)}`);
  const [numerator = 0, denominator = 0] = (tag('F') ?? '0:0').split(':').map(Number);
  const chroma = tag('C') ?? '420jpeg';
  const size = frameBytes(chroma, width, height);
  const frames: Uint8Array[] = [];
  for (let at = header.length + 1; at < bytes.length;) {
    const line = lineAt(bytes, at);
    if (!/^FRAME( |$)/.test(line)) malformed(`byte ${at}: ${JSON.stringify(line)} is not FRAME`);
    at += line.length + 1;
    if (at + size > bytes.length) {
      malformed(`frame ${frames.length} has ${bytes.length - at} of ${size} bytes`);
    }
    frames.push(bytes.subarray(at, at + size));
    at += size;
  }
  const comments = tags.filter((each) => each.startsWith('X')).map((each) => each.slice(1));
  return { width, height, rate: [numerator, denominator], chroma, comments, frames };
}
