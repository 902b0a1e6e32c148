/**
 * Metadata of a buffer's content: geometry, crop, colour and timestamp of the frame that is in it.
 *
 * It travels with the buffer (design D8a): jobs that are queued far ahead learn when they run what
 * the writer before them put there. The holder of an exclusive claim writes it, whoever holds any
 * claim reads it.
 */
import type { Kernel } from '../kernel.js';
import { BUFFER } from '../memory/layout.js';

/** A frame's description. Pixels and bytes; `timestamp` in ms. */
export interface FrameMetadata {
  /** DRM or V4L2 fourcc as a number; 0: unknown. */
  readonly fourcc: number;
  /** Coded size. */
  readonly width: number;
  readonly height: number;
  /** Visible part. */
  readonly crop: {
    readonly left: number;
    readonly top: number;
    readonly width: number;
    readonly height: number;
  };
  /** Bytes per line of each plane (three at most). */
  readonly pitches: readonly number[];
  /** Bytes from the start of the buffer to each plane. */
  readonly offsets: readonly number[];
  readonly range: 'limited' | 'full';
  readonly matrix: 'bt601' | 'bt709';
  readonly sequence: number;
  readonly timestamp: number;
}

/** Reads the metadata of the buffer at `buffer`. */
export function readMetadata(kernel: Kernel, buffer: number): FrameMetadata {
  const { words } = kernel;
  const get = (field: number): number => words.get(buffer + field);
  return {
    fourcc: get(BUFFER.META_FOURCC),
    width: get(BUFFER.META_WIDTH),
    height: get(BUFFER.META_HEIGHT),
    crop: {
      left: get(BUFFER.META_CROP),
      top: get(BUFFER.META_CROP + 1),
      width: get(BUFFER.META_CROP + 2),
      height: get(BUFFER.META_CROP + 3),
    },
    pitches: [0, 1, 2].map((i) => get(BUFFER.META_PITCHES + i)),
    offsets: [0, 1, 2].map((i) => get(BUFFER.META_OFFSETS + i)),
    range: get(BUFFER.META_RANGE) === 1 ? 'full' : 'limited',
    matrix: get(BUFFER.META_MATRIX) === 709 ? 'bt709' : 'bt601',
    sequence: get(BUFFER.META_SEQUENCE),
    timestamp: words.getDouble(buffer + BUFFER.META_TIMESTAMP),
  };
}

/** Writes it. Only under an exclusive claim. */
export function writeMetadata(kernel: Kernel, buffer: number, frame: FrameMetadata): void {
  const { words } = kernel;
  words.set(buffer + BUFFER.META_FOURCC, frame.fourcc);
  words.set(buffer + BUFFER.META_WIDTH, frame.width);
  words.set(buffer + BUFFER.META_HEIGHT, frame.height);
  words.set(buffer + BUFFER.META_CROP, frame.crop.left);
  words.set(buffer + BUFFER.META_CROP + 1, frame.crop.top);
  words.set(buffer + BUFFER.META_CROP + 2, frame.crop.width);
  words.set(buffer + BUFFER.META_CROP + 3, frame.crop.height);
  for (let i = 0; i < 3; i++) {
    words.set(buffer + BUFFER.META_PITCHES + i, frame.pitches[i] ?? 0);
    words.set(buffer + BUFFER.META_OFFSETS + i, frame.offsets[i] ?? 0);
  }
  words.set(buffer + BUFFER.META_RANGE, frame.range === 'full' ? 1 : 0);
  words.set(buffer + BUFFER.META_MATRIX, frame.matrix === 'bt709' ? 709 : 601);
  words.set(buffer + BUFFER.META_SEQUENCE, frame.sequence);
  words.setDouble(buffer + BUFFER.META_TIMESTAMP, frame.timestamp);
}
