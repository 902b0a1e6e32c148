/**
 * Writes a composed frame into a framebuffer (vkms_writeback.c).
 */
import { DmaBufError } from '@dmabuf/core';
import type { WritebackTarget } from './compose-job.js';
import { DRM_FORMAT_RGB565 } from './fourcc.js';

interface Frame {
  readonly width: number;
  readonly height: number;
  /** 0xFFRRGGBB, row by row without padding. */
  readonly pixels: Uint32Array;
}

/** 32-bit formats as they are; 5:6:5 takes the upper bits. EINVAL: the target is not inside its memory. */
export function writeFrame(
  bytes: Uint8Array<ArrayBufferLike>,
  target: WritebackTarget,
  frame: Frame,
): void {
  const { width, height, pixels } = frame;
  const [pitch = 0] = target.pitches;
  const [offset = 0] = target.offsets;
  const cpp = target.fourcc === DRM_FORMAT_RGB565 ? 2 : 4;
  const end = offset + (height - 1) * pitch + width * cpp;
  const aligned = (bytes.byteOffset + offset) % cpp === 0 && pitch % cpp === 0;
  if (end > bytes.byteLength || pitch < width * cpp || !aligned) {
    const detail = `the framebuffer ends at byte ${end} of a buffer of ${bytes.byteLength}, pitch ${pitch}`;
    throw new DmaBufError('EINVAL', 'writeback', detail);
  }
  for (let y = 0; y < height; y++) {
    const row = pixels.subarray(y * width, (y + 1) * width);
    const at = bytes.byteOffset + offset + y * pitch;
    if (cpp === 4) new Uint32Array(bytes.buffer, at, width).set(row);
    else reduceRow(row, new Uint16Array(bytes.buffer, at, width));
  }
}

function reduceRow(row: Uint32Array, out: Uint16Array<ArrayBufferLike>): void {
  for (let x = 0; x < row.length; x++) {
    const pixel = row[x] ?? 0;
    out[x] = ((pixel >>> 8) & 0xf800) | ((pixel >>> 5) & 0x07e0) | ((pixel >>> 3) & 0x1f);
  }
}
