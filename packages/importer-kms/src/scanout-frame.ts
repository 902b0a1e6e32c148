/**
 * A frame as sinks and views take it: 32-bit pixels in memory, row by row.
 *
 * Owned by whoever calls; sinks and views read it before they return and keep no reference, so
 * that the caller may give the buffer back to its queue at once.
 */
export interface ScanoutFrame {
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  /** Bytes from row to row, a multiple of 4. */
  readonly pitch: number;
  /** XRGB8888 or ARGB8888 as 0xAARRGGBB words, the first one the pixel at the top left. */
  readonly pixels: Uint32Array<ArrayBufferLike>;
}

/** Words from row to row. Throws RangeError where the frame does not fit into its memory. */
export function checkFrame(frame: ScanoutFrame): number {
  const { width, height, pitch, pixels } = frame;
  if (!Number.isInteger(width) || !Number.isInteger(height) || width < 1 || height < 1) {
    throw new RangeError(`a frame of ${width}x${height} pixels`);
  }
  if (pitch % 4 !== 0 || pitch < width * 4) {
    throw new RangeError(`pitch ${pitch} is no multiple of 4 or below ${width * 4}`);
  }
  const stride = pitch / 4;
  const needed = (height - 1) * stride + width;
  if (pixels.length < needed) {
    throw new RangeError(`the frame needs ${needed} pixels of memory, there are ${pixels.length}`);
  }
  return stride;
}
