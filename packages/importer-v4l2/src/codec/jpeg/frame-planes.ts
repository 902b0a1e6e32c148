/**
 * The planes that a JPEG picture is decoded into: whole MCUs of each component, one after the other.
 *
 * Owned by one JpegDecoder and kept while pictures stay of one shape.
 */
import type { JpegFrame } from '../../bitstream/jpeg.js';

/** One component's samples. */
export interface ComponentPlane {
  /** Sampling factors: blocks of an MCU. */
  readonly h: number;
  readonly v: number;
  /** Bytes to its first sample, and from row to row. */
  readonly offset: number;
  readonly pitch: number;
  /** Samples that are part of the picture. */
  readonly width: number;
  readonly height: number;
}

export class FramePlanes {
  readonly planes: readonly ComponentPlane[];
  readonly samples: Uint8ClampedArray<ArrayBuffer>;
  readonly mcusPerRow: number;
  readonly mcuRows: number;
  readonly codedWidth: number;
  readonly codedHeight: number;
  readonly #shape: string;

  constructor(frame: JpegFrame) {
    const { width, height, components } = frame;
    const hMax = Math.max(...components.map(({ h }) => h));
    const vMax = Math.max(...components.map(({ v }) => v));
    this.mcusPerRow = Math.ceil(width / (8 * hMax));
    this.mcuRows = Math.ceil(height / (8 * vMax));
    this.codedWidth = this.mcusPerRow * 8 * hMax;
    this.codedHeight = this.mcuRows * 8 * vMax;
    let offset = 0;
    this.planes = components.map(({ h, v }) => {
      const plane = {
        h,
        v,
        offset,
        pitch: this.mcusPerRow * 8 * h,
        width: Math.ceil((width * h) / hMax),
        height: Math.ceil((height * v) / vMax),
      };
      offset += plane.pitch * this.mcuRows * 8 * v;
      return plane;
    });
    this.samples = new Uint8ClampedArray(offset);
    this.#shape = shapeOf(frame);
  }

  /** Whether a picture of this frame header fits exactly. */
  fits(frame: JpegFrame): boolean {
    return this.#shape === shapeOf(frame);
  }
}

function shapeOf({ width, height, components }: JpegFrame): string {
  return `${width}x${height} ${components.map(({ h, v }) => `${h}x${v}`).join(' ')}`;
}
