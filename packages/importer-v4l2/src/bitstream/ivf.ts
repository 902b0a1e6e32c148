/**
 * IVF: the container of VP8, VP9 and AV1 test streams: a 32-byte header, then for each frame a
 * 12-byte header and its data.
 *
 * Follows the layout of libvpx's ivfdec.c. Frames are views of the input, not copies.
 */
import { DmaBufError } from '@dmabuf/core';

const FILE_HEADER = 32;
const FRAME_HEADER = 12;

export interface IvfFrame {
  readonly data: Uint8Array<ArrayBufferLike>;
  /** In units of the file's time base. */
  readonly timestamp: number;
}

export interface IvfFile {
  /** `'VP80'`, `'VP90'`, `'AV01'` */
  readonly fourcc: string;
  /** Size as the header states it; streams change it on the way. */
  readonly width: number;
  readonly height: number;
  /** Seconds per timestamp unit, as a fraction. */
  readonly timeBase: { readonly num: number; readonly den: number };
  readonly frames: readonly IvfFrame[];
  /** The file ends within a frame; what is whole has been returned. */
  readonly truncated: boolean;
}

/** Whether `data` begins like an IVF file. */
export function isIvf(data: Uint8Array<ArrayBufferLike>): boolean {
  return data[0] === 0x44 && data[1] === 0x4b && data[2] === 0x49 && data[3] === 0x46; // DKIF
}

/** Reads an IVF file. Throws `EINVAL` for what is none; a cut-off tail is only flagged. */
export function parseIvf(data: Uint8Array<ArrayBufferLike>): IvfFile {
  if (data.length < FILE_HEADER || !isIvf(data)) {
    throw new DmaBufError(
      'EINVAL',
      'parse_ivf',
      'no IVF file: a 32-byte header that begins with DKIF is needed',
    );
  }
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let at = view.getUint16(6, true);
  if (at < FILE_HEADER || at > data.length) {
    throw new DmaBufError('EINVAL', 'parse_ivf', `the IVF header claims ${at} bytes, not 32`);
  }
  const frames: IvfFrame[] = [];
  while (at + FRAME_HEADER <= data.length) {
    const size = view.getUint32(at, true);
    const begin = at + FRAME_HEADER;
    if (begin + size > data.length) break;
    const timestamp = Number(view.getBigUint64(at + 4, true));
    frames.push({ data: data.subarray(begin, begin + size), timestamp });
    at = begin + size;
  }
  return {
    fourcc: String.fromCharCode(...data.subarray(8, 12)),
    width: view.getUint16(12, true),
    height: view.getUint16(14, true),
    timeBase: { num: view.getUint32(20, true), den: view.getUint32(16, true) },
    frames,
    truncated: at !== data.length,
  };
}
