/**
 * Marker segments of a JPEG picture: frame and scan headers, tables, and what APPn markers say.
 *
 * Follows ITU-T T.81 annex B; AVI1 is Microsoft's "OpenDML AVI File Format Extensions", Adobe's
 * marker Adobe's Technical Note 5116. Nothing here decodes; positions are bytes from the start.
 */
import { DmaBufError } from '@dmabuf/core';

export const JPEG_SOI = 0xd8;
export const JPEG_EOI = 0xd9;
export const JPEG_SOF0 = 0xc0;
export const JPEG_SOF1 = 0xc1;
export const JPEG_DHT = 0xc4;
export const JPEG_RST0 = 0xd0;
export const JPEG_SOS = 0xda;
export const JPEG_DQT = 0xdb;
export const JPEG_DRI = 0xdd;
export const JPEG_APP0 = 0xe0;
export const JPEG_APP14 = 0xee;
const JPEG_TEM = 0x01;
const JPEG_JPG = 0xc8;
const JPEG_DAC = 0xcc;

type Bytes = Uint8Array<ArrayBufferLike>;

/** A marker and its parameters: `start` is the first byte behind the length word. */
export interface JpegSegment {
  readonly marker: number;
  readonly start: number;
  readonly end: number;
}

/** A component as the frame header has it. */
export interface JpegComponent {
  readonly id: number;
  /** Sampling factors, 1 to 4. */
  readonly h: number;
  readonly v: number;
  /** Its quantisation table. */
  readonly quantTable: number;
}

/** A frame header (SOFn). */
export interface JpegFrame {
  readonly marker: number;
  readonly precision: number;
  readonly width: number;
  readonly height: number;
  readonly components: readonly JpegComponent[];
}

/** A scan header (SOS), as far as sequential pictures need it. */
export interface JpegScan {
  readonly components: readonly {
    readonly id: number;
    readonly dcTable: number;
    readonly acTable: number;
  }[];
}

/** A Huffman table as it is sent: how many codes of each length, and their symbols by rising code. */
export interface JpegHuffman {
  /** 0: DC, 1: AC. */
  readonly kind: number;
  readonly id: number;
  /** Codes of 1 to 16 bits. */
  readonly counts: Bytes;
  readonly symbols: Bytes;
}

/** A quantisation table, in zigzag order as it is sent. */
export interface JpegQuant {
  readonly id: number;
  readonly steps: Uint16Array;
}

function bad(detail: string): DmaBufError {
  return new DmaBufError('EINVAL', 'parse_jpeg', detail);
}

function byte(data: Bytes, at: number): number {
  const value = data[at];
  if (value === undefined) throw bad(`it ends within a header, at byte ${data.length}`);
  return value;
}

function word(data: Bytes, at: number): number {
  return (byte(data, at) << 8) | byte(data, at + 1);
}

/** Whether a marker stands alone, without parameters. */
function isBare(marker: number): boolean {
  return marker === JPEG_TEM || (marker >= JPEG_RST0 && marker <= JPEG_EOI);
}

/** Whether a marker is a frame header of any kind of JPEG. */
export function isFrameHeader(marker: number): boolean {
  const other = marker === JPEG_DHT || marker === JPEG_JPG || marker === JPEG_DAC;
  return marker >= JPEG_SOF0 && marker <= 0xcf && !other;
}

/** Whether `data` begins like a JPEG picture: SOI and another marker. */
export function isJpeg(data: Bytes): boolean {
  return data[0] === 0xff && data[1] === JPEG_SOI && data[2] === 0xff;
}

/**
 * The next marker at or after byte `at`, fill bytes and stray bytes skipped. Undefined at the end.
 * Throws `EINVAL` for a segment that runs past the end.
 */
export function nextSegment(data: Bytes, at: number): JpegSegment | undefined {
  let i = data.indexOf(0xff, at);
  while (i >= 0) {
    while (data[i] === 0xff) i++;
    const marker = data[i];
    if (marker === undefined) return undefined;
    if (marker !== 0) return segment(data, marker, i + 1);
    i = data.indexOf(0xff, i);
  }
  return undefined;
}

function segment(data: Bytes, marker: number, at: number): JpegSegment {
  if (isBare(marker)) return { marker, start: at, end: at };
  const length = word(data, at);
  const end = at + length;
  if (length < 2 || end > data.length) {
    const name = marker.toString(16);
    throw bad(`segment FF${name} of ${length} bytes at ${at - 2} ends at ${end} of ${data.length}`);
  }
  return { marker, start: at + 2, end };
}

/** Reads a frame header. Throws `EINVAL` where it makes no sense. */
export function parseFrame(data: Bytes, { marker, start, end }: JpegSegment): JpegFrame {
  const count = byte(data, start + 5);
  if (end - start !== 6 + 3 * count || count === 0) {
    throw bad(`a frame header of ${end - start} bytes for ${count} components`);
  }
  const components = Array.from({ length: count }, (_, i): JpegComponent => {
    const at = start + 6 + 3 * i;
    const factors = byte(data, at + 1);
    const [h, v] = [factors >> 4, factors & 15];
    if (h < 1 || h > 4 || v < 1 || v > 4) throw bad(`a component of sampling ${h}x${v}`);
    const quantTable = byte(data, at + 2);
    if (quantTable > 3) throw bad(`a component of quantisation table ${quantTable}; there are 4`);
    return { id: byte(data, at), h, v, quantTable };
  });
  if (new Set(components.map(({ id }) => id)).size !== count) throw bad('two components of one id');
  const height = word(data, start + 1);
  const width = word(data, start + 3);
  if (width === 0 || height === 0) throw bad(`a picture of ${width}x${height}`);
  return { marker, precision: byte(data, start), width, height, components };
}

/** Reads a scan header. Throws `EINVAL` where it makes no sense. */
export function parseScan(data: Bytes, { start, end }: JpegSegment): JpegScan {
  const count = byte(data, start);
  if (count < 1 || count > 4 || end - start !== 4 + 2 * count) {
    throw bad(`a scan header of ${end - start} bytes for ${count} components`);
  }
  const components = Array.from({ length: count }, (_, i) => {
    const tables = byte(data, start + 2 + 2 * i);
    const [dcTable, acTable] = [tables >> 4, tables & 15];
    if (dcTable > 3 || acTable > 3)
      throw bad(`Huffman tables ${dcTable} and ${acTable}; there are 4`);
    return { id: byte(data, start + 1 + 2 * i), dcTable, acTable };
  });
  return { components };
}

/** Reads quantisation tables. Throws `EINVAL` where they make no sense. */
export function parseQuant(data: Bytes, { start, end }: JpegSegment): JpegQuant[] {
  const found: JpegQuant[] = [];
  let at = start;
  while (at < end) {
    const head = byte(data, at++);
    const wide = head >> 4;
    const id = head & 15;
    const size = wide === 0 ? 64 : 128;
    if (wide > 1 || id > 3 || at + size > end)
      throw bad(`a quantisation table ${head.toString(16)}`);
    const first = at;
    const steps = Uint16Array.from({ length: 64 }, (_, i) =>
      wide === 0 ? byte(data, first + i) : word(data, first + 2 * i),
    );
    if (steps.includes(0)) throw bad(`quantisation table ${id} has a step of 0`);
    found.push({ id, steps });
    at += size;
  }
  return found;
}

/** Reads Huffman tables. Throws `EINVAL` where they make no sense. */
export function parseHuffman(data: Bytes, { start, end }: JpegSegment): JpegHuffman[] {
  const found: JpegHuffman[] = [];
  let at = start;
  while (at < end) {
    const head = byte(data, at);
    const [kind, id] = [head >> 4, head & 15];
    const counts = Uint8Array.from({ length: 16 }, (_, i) => byte(data, at + 1 + i));
    const total = counts.reduce((sum, count) => sum + count, 0);
    const next = at + 17 + total;
    if (kind > 1 || id > 3 || total > 256 || next > end) {
      throw bad(`Huffman table ${head.toString(16)} of ${total} codes ends at ${next} of ${end}`);
    }
    // Kraft: more codes than their lengths leave room for would overwrite each other.
    const room = counts.reduce((left, count, i) => left - count * (1 << (15 - i)), 1 << 16);
    if (room < 0) throw bad(`Huffman table ${id} has more codes than fit`);
    found.push({ kind, id, counts, symbols: Uint8Array.from(data.subarray(at + 17, next)) });
    at = next;
  }
  return found;
}

/** Reads a restart interval: MCUs from one RSTn marker to the next, 0 for none. */
export function parseRestart(data: Bytes, { start, end }: JpegSegment): number {
  if (end - start !== 2) throw bad(`a restart interval of ${end - start} bytes`);
  return word(data, start);
}

function text(data: Bytes, start: number, size: number): string {
  return String.fromCharCode(...data.subarray(start, start + size));
}

/** What an APP0 of AVI files says: 0 whole frames, 1 or 2 fields. Undefined: it is another APP0. */
export function aviPolarity(data: Bytes, { start, end }: JpegSegment): number | undefined {
  if (end - start < 5 || text(data, start, 4) !== 'AVI1') return undefined;
  return byte(data, start + 4);
}

/** The colour transform in an APP14 of Adobe's: 0 none, 1 YCbCr, 2 YCCK. Undefined: it is another. */
export function adobeTransform(data: Bytes, { start, end }: JpegSegment): number | undefined {
  if (end - start < 12 || text(data, start, 5) !== 'Adobe') return undefined;
  return byte(data, start + 11);
}
