/**
 * Test pictures (vivid-tpg's, drivers/media/common/v4l2-tpg): a background, a white box that moves 4 pixels a frame,
 * and the frame's number in the upper left corner. BT.601, limited range.
 */
import { cameraLayout, type Colour, isPacked, packedBytes } from '../camera-pixels.js';
import type { CameraFormat } from '../camera-state.js';
import type { FrameSource } from './frame-source.js';

/** Names of V4L2_CID_TEST_PATTERN's values. */
export const PATTERNS: readonly string[] = ['75% Colorbar', 'Horizontal Gradient', 'Black'];

const WHITE: Colour = [235, 128, 128];
const BLACK: Colour = [16, 128, 128];
/** EIA bars of 75 %: white, yellow, cyan, green, magenta, red, blue, black. */
const BARS: readonly Colour[] = [
  [180, 128, 128],
  [162, 44, 142],
  [131, 156, 44],
  [112, 72, 58],
  [84, 184, 198],
  [65, 100, 212],
  [35, 212, 114],
  BLACK,
];

/** Rows of three dots of the digits 0 to 9. */
const DIGITS: readonly (readonly number[])[] = [
  [7, 5, 5, 5, 7],
  [2, 6, 2, 2, 7],
  [7, 1, 7, 4, 7],
  [7, 1, 7, 1, 7],
  [5, 5, 7, 1, 1],
  [7, 4, 7, 1, 7],
  [7, 4, 7, 5, 7],
  [7, 1, 1, 1, 1],
  [7, 5, 7, 5, 7],
  [7, 5, 7, 1, 7],
];
/** Digits that are shown. */
const PLACES = 6;

export class TestPattern implements FrameSource {
  readonly frames: number = Infinity;
  readonly #pattern: () => number;
  /** The background, and what it is for. */
  #background: { readonly key: string; readonly bytes: Uint8Array } | undefined;

  constructor(pattern: () => number) {
    this.#pattern = pattern;
  }

  write(number: number, format: CameraFormat, dst: Uint8Array<ArrayBufferLike>): number {
    const bytes = this.#backgroundOf(format);
    dst.set(bytes);
    const canvas = new Canvas(dst, format);
    const { width, height } = format;
    const side = Math.max(2, (Math.min(width, height) >> 3) & ~1);
    const room = Math.max(2, width - side);
    canvas.fill((4 * number) % room, ((height - side) >> 1) & ~1, side, side, WHITE);
    counter(canvas, number, height);
    return bytes.length;
  }

  #backgroundOf(format: CameraFormat): Uint8Array {
    const pattern = this.#pattern();
    const { fourcc, width, height } = format;
    const key = `${fourcc} ${width}x${height} ${pattern}`;
    if (this.#background?.key !== key) {
      const bytes = new Uint8Array(cameraLayout(fourcc, width, height).byteLength);
      background(new Canvas(bytes, format), pattern, width, height);
      this.#background = { key, bytes };
    }
    return this.#background.bytes;
  }
}

function background(canvas: Canvas, pattern: number, width: number, height: number): void {
  for (let x = 0; x < width; x += 2) {
    const bar = BARS[Math.floor((x * BARS.length) / width)] ?? BLACK;
    const grey: Colour = [16 + Math.round((219 * x) / Math.max(1, width - 2)), 128, 128];
    canvas.fill(x, 0, 2, height, [bar, grey, BLACK][pattern] ?? bar);
  }
}

function counter(canvas: Canvas, number: number, height: number): void {
  const dot = Math.max(2, Math.floor(height / 60) & ~1);
  canvas.fill(0, 0, (4 * PLACES + 1) * dot, 7 * dot, BLACK);
  const text = String(number % 10 ** PLACES).padStart(PLACES, '0');
  for (let place = 0; place < PLACES; place++) {
    DIGITS[Number(text[place])]?.forEach((row, y) => {
      for (let x = 0; x < 3; x++) {
        if (((row >> (2 - x)) & 1) === 0) continue;
        canvas.fill((4 * place + 1 + x) * dot, (y + 1) * dot, dot, dot, WHITE);
      }
    });
  }
}

/** Rectangles on even pixels and rows of a picture, so that any chroma is whole; what is outside of it is left out. */
class Canvas {
  readonly #dst: Uint8Array<ArrayBufferLike>;
  readonly #format: CameraFormat;
  readonly #at: readonly { readonly offset: number; readonly pitch: number }[];

  constructor(dst: Uint8Array<ArrayBufferLike>, format: CameraFormat) {
    const { fourcc, width, height } = format;
    this.#dst = dst;
    this.#format = format;
    this.#at = cameraLayout(fourcc, width, height).planes;
  }

  fill(left: number, top: number, w: number, h: number, colour: Colour): void {
    const [luma, u, v] = colour;
    const { width, height, fourcc } = this.#format;
    const right = Math.min(left + w, width);
    const bottom = Math.min(top + h, height);
    if (right <= left) return;
    if (isPacked(fourcc)) {
      const pixel = packedBytes(fourcc, colour);
      const step = fourcc === 'YUYV' ? 2 : pixel.length;
      this.#rows(0, step * left, step * right, top, bottom, (row) => {
        for (let x = 0; x < row.length; x++) row[x] = pixel[x % pixel.length] ?? 0;
      });
      return;
    }
    this.#rows(0, left, right, top, bottom, (row) => row.fill(luma));
    const chroma = [left >> 1, (right + 1) >> 1, top >> 1, (bottom + 1) >> 1] as const;
    if (fourcc === 'YU12') {
      this.#rows(1, ...chroma, (row) => row.fill(u));
      this.#rows(2, ...chroma, (row) => row.fill(v));
      return;
    }
    const [from, to, first, end] = chroma;
    this.#rows(1, 2 * from, 2 * to, first, end, (row) => {
      for (let x = 0; x < row.length; x += 2) {
        row[x] = u;
        row[x + 1] = v;
      }
    });
  }

  #rows(
    plane: number,
    from: number,
    to: number,
    top: number,
    bottom: number,
    paint: (row: Uint8Array<ArrayBufferLike>) => void,
  ): void {
    const { offset, pitch } = this.#at[plane] ?? { offset: 0, pitch: 0 };
    for (let y = top; y < bottom; y++) {
      const row = offset + y * pitch;
      paint(this.#dst.subarray(row + from, row + to));
    }
  }
}
