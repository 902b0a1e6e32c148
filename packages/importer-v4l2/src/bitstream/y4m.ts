/**
 * YUV4MPEG2: raw pictures of 4:2:0, or of 4:2:2 where the reader takes that, with a line of text before the stream and before every picture.
 *
 * Follows the yuv4mpeg(5) manual page of mjpegtools, and FFmpeg's for `XCOLORRANGE`. Frames are views of
 * the input, not copies.
 */
import { DmaBufError } from '@dmabuf/core';
import type { Colour } from './picture-format.js';

type Bytes = Uint8Array<ArrayBufferLike>;

const MAGIC = 'YUV4MPEG2 ';
const FRAME = 'FRAME';
const NEWLINE = 10;
/** No line is longer; more is no Y4M. */
const MAX_LINE = 1024;
const MAX_SIDE = 16384;

/** How chroma is sampled: half as many columns and rows as luma, or half as many columns. */
export type Y4mSampling = '420' | '422';

/** What the stream's first line says. */
export interface Y4mHeader {
  readonly width: number;
  readonly height: number;
  /** Frames a second, as a fraction; 0/0 where it is not known. */
  readonly frameRate: { readonly num: number; readonly den: number };
  readonly colour: Colour;
  readonly sampling: Y4mSampling;
  /** Bytes of the line. */
  readonly bytes: number;
}

export interface Y4mFile extends Y4mHeader {
  /** Tightly packed I420 pictures, each without its line. */
  readonly frames: readonly Bytes[];
  /** The file ends within a frame; what is whole has been returned. */
  readonly truncated: boolean;
}

function bad(detail: string): DmaBufError {
  return new DmaBufError('EINVAL', 'parse_y4m', detail);
}

function startsWith(data: Bytes, at: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (data[at + i] !== text.charCodeAt(i)) return false;
  return true;
}

/** The line at byte `at`, without its end; undefined where it does not end. */
function lineAt(data: Bytes, at: number): string | undefined {
  const end = data.subarray(at, at + MAX_LINE).indexOf(NEWLINE);
  return end < 0 ? undefined : String.fromCharCode(...data.subarray(at, at + end));
}

/** Whether `data` begins like a Y4M stream. */
export function isY4m(data: Bytes): boolean {
  return startsWith(data, 0, MAGIC);
}

/**
 * Reads the stream's first line. Throws `EINVAL` for what is none, or is not 8-bit, progressive, and of a sampling
 * that the reader `takes`.
 */
export function parseY4mHeader(data: Bytes, takes: readonly Y4mSampling[] = ['420']): Y4mHeader {
  const line = isY4m(data) ? lineAt(data, 0) : undefined;
  if (line === undefined)
    throw bad("no Y4M stream: a line that begins with 'YUV4MPEG2 ' is needed");
  const tags = line.split(' ').slice(1);
  const tag = (letter: string): string | undefined =>
    tags.find((found) => found.startsWith(letter))?.slice(1);
  const [width, height] = [side('W', tag('W')), side('H', tag('H'))];
  const format = tag('C') ?? '420';
  // jpeg, mpeg2 and paldv tell where chroma lies, no more.
  const name = /^(?:420(?:jpeg|mpeg2|paldv)?|422)$/.test(format) ? format.slice(0, 3) : '';
  const sampling = takes.find((known) => known === name);
  if (sampling === undefined) {
    const known = takes.map((each) => each.split('').join(':')).join(' or ');
    throw bad(`pictures of format C${format}; 8-bit ${known} is accepted: ffmpeg -pix_fmt yuv420p`);
  }
  const interlacing = tag('I') ?? '?';
  if (!'p?'.includes(interlacing)) throw bad(`interlaced pictures (I${interlacing})`);
  const [num = 0, den = 0] = (tag('F') ?? '0:0').split(':').map(Number);
  const range = tags.includes('XCOLORRANGE=FULL') ? 'full' : 'limited';
  const colour = { range, matrix: 'unspecified' } as const;
  return { width, height, frameRate: { num, den }, colour, sampling, bytes: line.length + 1 };
}

function side(letter: string, text: string | undefined): number {
  const value = /^\d+$/.test(text ?? '') ? Number(text) : 0;
  if (value >= 1 && value <= MAX_SIDE) return value;
  throw bad(`${letter}${text ?? ''}: a whole number from 1 to ${MAX_SIDE} is needed`);
}

/** Bytes of the line `FRAME…` at `at`; 0 where there is none. */
export function y4mFrameLine(data: Bytes, at: number): number {
  if (!startsWith(data, at, FRAME)) return 0;
  const line = lineAt(data, at);
  return line === undefined ? 0 : line.length + 1;
}

/** Reads a Y4M file. Throws `EINVAL` as {@link parseY4mHeader} does; a cut-off tail is only flagged. */
export function parseY4m(data: Bytes): Y4mFile {
  const header = parseY4mHeader(data);
  const { width, height } = header;
  const size = width * height + 2 * ((width + 1) >> 1) * ((height + 1) >> 1);
  const frames: Bytes[] = [];
  let at = header.bytes;
  while (at < data.length) {
    const line = y4mFrameLine(data, at);
    const end = at + line + size;
    if (line === 0 || end > data.length) break;
    frames.push(data.subarray(at + line, end));
    at = end;
  }
  return { ...header, frames, truncated: at !== data.length };
}
