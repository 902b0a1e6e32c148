/** Other formats than 32-bit pixels, by their definitions: what the kernels are tested against. It shares no code with them. */
import { DRM_FORMAT_P010, DRM_FORMAT_RGB565, DRM_FORMAT_YUYV } from '../fourcc.js';
import type { ColorEncoding, ColorRange } from './color.js';
import { yuvAt } from './harness.test-helper.js';
import type { Image } from './kernels.js';

export const clamp = (v: number): number => Math.min(255, Math.max(0, v));

export interface Matrix {
  readonly kr: number;
  readonly kb: number;
  readonly luma: number;
  readonly chroma: number;
  readonly black: number;
}

export function matrixOf(encoding: ColorEncoding, range: ColorRange): Matrix {
  const [kr, kb] = encoding === 'bt601' ? [0.299, 0.114] : [0.2126, 0.0722];
  const full = range === 'full';
  return { kr, kb, luma: full ? 1 : 219 / 255, chroma: full ? 1 : 224 / 255, black: full ? 0 : 16 };
}

/** R, G, B of samples of `bits` bits, by the rounded matrix and division. */
function toRgb(m: Matrix, bits: number, y: number, cb: number, cr: number): number[] {
  const scale = 2 ** (bits - 8);
  const kg = 1 - m.kr - m.kb;
  const q = (factor: number): number => Math.round(factor * 8192);
  const l = q(1 / m.luma) * (y - m.black * scale);
  const [u, v] = [cb - 128 * scale, cr - 128 * scale];
  const sums = [
    l + q((2 * (1 - m.kr)) / m.chroma) * v,
    l +
      q((-2 * m.kb * (1 - m.kb)) / m.chroma / kg) * u +
      q((-2 * m.kr * (1 - m.kr)) / m.chroma / kg) * v,
    l + q((2 * (1 - m.kb)) / m.chroma) * u,
  ];
  return sums.map((sum) => clamp(Math.floor((sum + 4096 * scale) / (8192 * scale))));
}

/** R, G, B of a pixel of any format that is converted. */
export function rgbAt(bytes: Uint8Array, image: Image, m: Matrix, x: number, y: number): number[] {
  const at = (plane: number, row: number): number => {
    const { offset = 0, pitch = 0 } = image.planes[plane] ?? {};
    return image.byteOffset + offset + row * pitch;
  };
  const word = (index: number): number => (bytes[index] ?? 0) + 256 * (bytes[index + 1] ?? 0);
  if (image.fourcc === DRM_FORMAT_RGB565) {
    const p = word(at(0, y) + 2 * x);
    const [r, g, b] = [Math.floor(p / 2048), Math.floor(p / 32) % 64, p % 32];
    return [r * 8 + Math.floor(r / 4), g * 4 + Math.floor(g / 16), b * 8 + Math.floor(b / 4)];
  }
  if (image.fourcc === DRM_FORMAT_YUYV) {
    const pair = at(0, y) + 4 * Math.floor(x / 2);
    const luma = bytes[pair + 2 * (x % 2)] ?? 0;
    return toRgb(m, 8, luma, bytes[pair + 1] ?? 0, bytes[pair + 3] ?? 0);
  }
  if (image.fourcc !== DRM_FORMAT_P010) return toRgb(m, 8, ...yuvAt(bytes, image, x, y));
  const ten = (index: number): number => Math.floor(word(index) / 64);
  const chroma = at(1, Math.floor(y / 2)) + 4 * Math.floor(x / 2);
  return toRgb(m, 10, ten(at(0, y) + 2 * x), ten(chroma), ten(chroma + 2));
}
