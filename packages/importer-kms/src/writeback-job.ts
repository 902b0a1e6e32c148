/**
 * What a writeback job asks for, as its payload carries it: the geometry of the framebuffer that its
 * one buffer is, and the part that was on screen. It is carried whole, so that the framebuffer may be
 * removed while the job waits.
 */
import { DmaBufError } from '@dmabuf/core';
import { DRM_FORMAT_RGB565 } from './fourcc.js';
import { PRIMARY_FORMATS } from './plane.js';
import type { ScanoutFrame } from './scanout-frame.js';

/** Pixels and bytes. */
export interface WritebackCommand {
  readonly fourcc: number;
  readonly pitch: number;
  readonly offset: number;
  readonly width: number;
  readonly height: number;
}

/** Payload of a job that only comes after all before it. */
export const BARRIER = 0;

/** The payload of a command. */
export function encodeWriteback(command: WritebackCommand): unknown {
  const { fourcc, pitch, offset, width, height } = command;
  return [fourcc, pitch, offset, width, height];
}

/** The command of a payload, 'barrier', or EINVAL. */
export function decodeWriteback(payload: unknown): WritebackCommand | 'barrier' {
  if (payload === BARRIER) return 'barrier';
  const fields: unknown[] = Array.isArray(payload) ? payload : [];
  if (fields.length === 5 && fields.every((each) => isSize(each))) {
    const [fourcc = 0, pitch = 0, offset = 0, width = 0, height = 0] = fields.filter(isSize);
    const known = PRIMARY_FORMATS.includes(fourcc) && width > 0 && height > 0;
    const cpp = fourcc === DRM_FORMAT_RGB565 ? 2 : 4;
    if (known && pitch >= width * cpp && pitch % cpp === 0 && offset % cpp === 0) {
      return { fourcc, pitch, offset, width, height };
    }
  }
  const detail = 'the payload is no command of a writeback; use queueWriteback of Display';
  throw new DmaBufError('EINVAL', 'writeback', detail);
}

/** Bytes of the buffer that {@link copyFrame} reads. */
export function frameExtent(command: WritebackCommand): number {
  const cpp = command.fourcc === DRM_FORMAT_RGB565 ? 2 : 4;
  return (command.height - 1) * command.pitch + command.width * cpp;
}

/**
 * Copies a frame out of a buffer, as 32-bit pixels, into `old`'s memory if that fits, and returns it.
 * EINVAL when the frame is not inside the buffer.
 */
export function copyFrame(
  bytes: Uint8Array<ArrayBufferLike>,
  command: WritebackCommand,
  old: Uint32Array | undefined,
): ScanoutFrame & { readonly pixels: Uint32Array } {
  const extent = frameExtent(command);
  if (command.offset + extent > bytes.byteLength) {
    const detail = `the frame ends at byte ${command.offset + extent} of a buffer of ${bytes.byteLength}`;
    throw new DmaBufError('EINVAL', 'writeback', detail);
  }
  const at = bytes.byteOffset + command.offset;
  if (command.fourcc === DRM_FORMAT_RGB565) {
    return copyRgb565(new Uint16Array(bytes.buffer, at, extent / 2), command, old);
  }
  const words = new Uint32Array(bytes.buffer, at, extent / 4);
  const pixels = old?.length === words.length ? old : new Uint32Array(words.length);
  pixels.set(words);
  return { width: command.width, height: command.height, pitch: command.pitch, pixels };
}

/** 5:6:5 to 8:8:8, the upper bits repeated below, as vkms does. */
function copyRgb565(
  source: Uint16Array<ArrayBufferLike>,
  command: WritebackCommand,
  old: Uint32Array | undefined,
): ScanoutFrame & { readonly pixels: Uint32Array } {
  const { width, height, pitch } = command;
  const pixels = old?.length === width * height ? old : new Uint32Array(width * height);
  for (let y = 0; y < height; y++) {
    const from = y * (pitch / 2);
    for (let x = 0; x < width; x++) {
      const pixel = source[from + x] ?? 0;
      const r = pixel >>> 11;
      const g = (pixel >>> 5) & 0x3f;
      const b = pixel & 0x1f;
      const red = (r << 3) | (r >>> 2);
      const green = (g << 2) | (g >>> 4);
      pixels[y * width + x] = (red << 16) | (green << 8) | (b << 3) | (b >>> 2);
    }
  }
  return { width, height, pitch: width * 4, pixels };
}

function isSize(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
