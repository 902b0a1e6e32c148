/**
 * What is accepted of JPEG, checked on the frame header before a picture is decoded.
 */
import { DmaBufError } from '@dmabuf/core';
import type { Colour } from '../bitstream/picture-format.js';
import {
  adobeTransform,
  aviPolarity,
  isFrameHeader,
  JPEG_APP0,
  JPEG_APP14,
  JPEG_EOI,
  JPEG_SOF0,
  JPEG_SOF1,
  JPEG_SOI,
  JPEG_SOS,
  nextSegment,
  parseFrame,
  type JpegFrame,
} from '../bitstream/jpeg.js';
import type { PacketInfo } from './codec.js';
import { UnsupportedStream } from './unsupported.js';

export const MJPEG_ACCEPTS =
  'baseline JPEG, 8-bit, 4:2:0, 4:2:2, 4:4:0, 4:4:4 or grey, whole frames';

/** JFIF's colours, which Motion JPEG has too. */
export const JPEG_COLOUR: Colour = { range: 'full', matrix: 'bt601' };

/** Largest picture side that a buffer is given for. */
const MAX_SIDE = 16384;

/** SOFn of the processes that are not done here (T.81 table B.1). */
const PROCESSES: Readonly<Record<number, string>> = {
  0xc2: 'progressive',
  0xc3: 'lossless',
  0xc5: 'differential sequential',
  0xc6: 'differential progressive',
  0xc7: 'differential lossless',
  0xc9: 'arithmetic-coded sequential',
  0xca: 'arithmetic-coded progressive',
  0xcb: 'arithmetic-coded lossless',
};

function refusal(found: string): UnsupportedStream {
  const remedy = 'convert it (ffmpeg -i FILE -c:v mjpeg -pix_fmt yuvj420p OUT.avi)';
  return new UnsupportedStream('decode', `JPEG: ${found}`, MJPEG_ACCEPTS, remedy);
}

function checkFrame({ marker, precision, width, height, components }: JpegFrame): void {
  if (marker !== JPEG_SOF0 && marker !== JPEG_SOF1) {
    throw refusal(PROCESSES[marker] ?? `process FF${marker.toString(16)}`);
  }
  if (precision !== 8) throw refusal(`${precision}-bit`);
  if (width > MAX_SIDE || height > MAX_SIDE)
    throw refusal(`${width}x${height}, beyond ${MAX_SIDE}`);
  const [luma, cb, cr] = components;
  if (luma === undefined || components.length === 2 || components.length > 3) {
    throw refusal(`of ${components.length} components`);
  }
  if (cb === undefined || cr === undefined) return;
  const rgb = [82, 71, 66].every((id, i) => components[i]?.id === id);
  if (rgb) throw refusal('RGB');
  const ratios = [luma.h / cb.h, luma.v / cb.v];
  const halved = ratios.every((ratio) => ratio === 1 || ratio === 2);
  if (!halved || cb.h !== cr.h || cb.v !== cr.v) {
    throw refusal(`sampling ${components.map(({ h, v }) => `${h}x${v}`).join(', ')}`);
  }
}

/** Two fields in one packet: the picture ends, and another begins. */
function secondPicture(data: Uint8Array<ArrayBufferLike>, from: number): boolean {
  for (let at = from; ;) {
    const i = data.indexOf(0xff, at);
    if (i < 0) return false;
    if (data[i + 1] === JPEG_EOI) return data.indexOf(JPEG_SOI, i + 2) >= 0;
    at = i + 1;
  }
}

/**
 * Reads the headers up to the first scan. Throws UnsupportedStream for what is not decoded here, and
 * `EINVAL` for what is no JPEG.
 */
export function readJpegHeaders(data: Uint8Array<ArrayBufferLike>): JpegFrame {
  if (data[0] !== 0xff || data[1] !== JPEG_SOI) {
    throw new DmaBufError('EINVAL', 'decode', 'no JPEG picture: it does not begin with FFD8');
  }
  let frame: JpegFrame | undefined;
  let field = 0;
  for (let at = 2; ;) {
    const segment = nextSegment(data, at);
    if (segment === undefined || segment.marker === JPEG_EOI) break;
    at = segment.end;
    if (segment.marker === JPEG_APP0) field = aviPolarity(data, segment) ?? field;
    if (segment.marker === JPEG_APP14 && adobeTransform(data, segment) === 0) field = -1;
    if (isFrameHeader(segment.marker)) {
      frame = parseFrame(data, segment);
      checkFrame(frame);
    }
    if (segment.marker !== JPEG_SOS) continue;
    if (frame === undefined) break;
    if (field === -1 && frame.components.length === 3) throw refusal('RGB');
    if (field > 0 && secondPicture(data, at)) throw refusal('interlaced, two fields in a packet');
    return frame;
  }
  throw new DmaBufError('EINVAL', 'decode', 'no JPEG picture: it has no frame header and scan');
}

/** `CodecInfo.inspect` of JPEG. */
export function inspectMjpeg(data: Uint8Array<ArrayBufferLike>): PacketInfo {
  const { width, height, components } = readJpegHeaders(data);
  const hMax = Math.max(...components.map(({ h }) => h));
  const vMax = Math.max(...components.map(({ v }) => v));
  const stream = {
    profile: 'JPEG baseline',
    width,
    height,
    codedWidth: Math.ceil(width / (8 * hMax)) * 8 * hMax,
    codedHeight: Math.ceil(height / (8 * vMax)) * 8 * vMax,
    crop: { left: 0, top: 0, width, height },
    colour: JPEG_COLOUR,
  };
  return { keyframe: true, shown: true, stream };
}
