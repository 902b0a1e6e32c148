/** 32-bit pixels and their channels, for the kernels in TypeScript. */

export const OPAQUE = 0xff000000;

/** v to 0..255 without branches, which noise in a picture would mispredict. */
export function clamp8(v: number): number {
  return ((v & ~(v >> 31)) | ((255 - v) >> 31)) & 255;
}

/** An opaque pixel of three channels, clamped. */
export function word(r: number, g: number, b: number): number {
  return OPAQUE | (clamp8(r) << 16) | (clamp8(g) << 8) | clamp8(b);
}
