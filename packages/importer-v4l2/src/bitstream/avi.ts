/**
 * AVI files: the video frames of the first video stream.
 *
 * Follows Microsoft's "AVI RIFF File Reference" and, for files beyond 1 GiB, OpenDML 1.02: the movi
 * lists of all RIFF chunks one after the other. Indexes are not read, so that a file that was cut off
 * still gives what is whole. Frames are views of the input, not copies.
 */
import { DmaBufError } from '@dmabuf/core';

type Bytes = Uint8Array<ArrayBufferLike>;

const CHUNK_HEADER = 8;

export interface AviFrame {
  readonly data: Bytes;
  /** Frames of the stream before it: an empty chunk repeats a frame, and counts. */
  readonly index: number;
}

export interface AviFile {
  /** Of the bitmap header: `'MJPG'`; `'\0\0\0\0'` is raw RGB. */
  readonly fourcc: string;
  readonly width: number;
  readonly height: number;
  /** Frames a second, as a fraction. */
  readonly frameRate: { readonly num: number; readonly den: number };
  readonly frames: readonly AviFrame[];
  /** The file ends within a chunk; what is whole has been returned. */
  readonly truncated: boolean;
}

/** A chunk or list; `start` is behind the header (of a list: behind its type). */
interface Chunk {
  readonly id: string;
  /** Of a RIFF or LIST, else ''. */
  readonly type: string;
  readonly start: number;
  readonly end: number;
  /** It claims more than its parent has. */
  readonly cut: boolean;
}

interface VideoStream {
  readonly number: number;
  readonly fourcc: string;
  readonly width: number;
  readonly height: number;
  readonly frameRate: { readonly num: number; readonly den: number };
}

function bad(detail: string): DmaBufError {
  return new DmaBufError('EINVAL', 'parse_avi', detail);
}

function name(data: Bytes, at: number): string {
  return String.fromCharCode(...data.subarray(at, at + 4));
}

/** Whether `data` begins like an AVI file. */
export function isAvi(data: Bytes): boolean {
  return name(data, 0) === 'RIFF' && name(data, 8) === 'AVI ';
}

function* chunks(view: DataView, data: Bytes, start: number, end: number): Generator<Chunk> {
  for (let at = start; at + CHUNK_HEADER <= end;) {
    const id = name(data, at);
    const size = view.getUint32(at + 4, true);
    const list = id === 'RIFF' || id === 'LIST';
    const begin = at + CHUNK_HEADER;
    const last = begin + size;
    yield {
      id,
      type: list ? name(data, begin) : '',
      start: list ? begin + 4 : begin,
      end: Math.min(last, end),
      cut: last > end,
    };
    at = last + (size & 1);
  }
}

/** Reads an AVI file. Throws `EINVAL` for what is none, or has no video. */
export function parseAvi(data: Bytes): AviFile {
  if (!isAvi(data)) throw bad('no AVI file: a RIFF header of type AVI is needed');
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const reader = new AviReader(data, view);
  for (const riff of chunks(view, data, 0, data.length)) {
    if (riff.id === 'RIFF' && (riff.type === 'AVI ' || riff.type === 'AVIX')) reader.read(riff);
  }
  return reader.file();
}

class AviReader {
  readonly #data: Bytes;
  readonly #view: DataView;
  readonly #frames: AviFrame[] = [];
  #streams = 0;
  #video: VideoStream | undefined;
  #index = 0;
  #truncated = false;

  constructor(data: Bytes, view: DataView) {
    this.#data = data;
    this.#view = view;
  }

  read(list: Chunk): void {
    for (const chunk of chunks(this.#view, this.#data, list.start, list.end)) {
      if (chunk.type === 'hdrl') this.#headers(chunk);
      else if (chunk.type === 'movi' || chunk.type === 'rec ') this.read(chunk);
      else if (chunk.type === '') this.#frame(chunk);
    }
  }

  file(): AviFile {
    const video = this.#video;
    if (video === undefined) throw bad('there is no video stream in it');
    const { fourcc, width, height, frameRate } = video;
    const frames = this.#frames;
    return { fourcc, width, height, frameRate, frames, truncated: this.#truncated };
  }

  #headers(hdrl: Chunk): void {
    for (const strl of chunks(this.#view, this.#data, hdrl.start, hdrl.end)) {
      if (strl.type !== 'strl') continue;
      const number = this.#streams++;
      const parts = [...chunks(this.#view, this.#data, strl.start, strl.end)];
      const strh = parts.find(({ id }) => id === 'strh');
      const strf = parts.find(({ id }) => id === 'strf');
      if (strh === undefined || strf === undefined || this.#video !== undefined) continue;
      if (name(this.#data, strh.start) !== 'vids') continue;
      this.#video = this.#stream(number, strh, strf);
    }
  }

  /** AVISTREAMHEADER and BITMAPINFOHEADER. */
  #stream(number: number, strh: Chunk, strf: Chunk): VideoStream {
    if (strh.end - strh.start < 28 || strf.end - strf.start < 20) {
      throw bad(`the headers of stream ${number} are too short`);
    }
    const view = this.#view;
    return {
      number,
      fourcc: name(this.#data, strf.start + 16),
      width: view.getInt32(strf.start + 4, true),
      // A picture from top to bottom has a negative height.
      height: Math.abs(view.getInt32(strf.start + 8, true)),
      frameRate: {
        num: view.getUint32(strh.start + 24, true),
        den: view.getUint32(strh.start + 20, true),
      },
    };
  }

  /** `'00dc'` or `'00db'`: the stream's number in two hex digits, and compressed or not. */
  #frame({ id, start, end, cut }: Chunk): void {
    const video = this.#video;
    if (video === undefined || !/^[0-9a-f]{2}d[bc]$/i.test(id)) return;
    if (Number.parseInt(id.slice(0, 2), 16) !== video.number) return;
    const index = this.#index++;
    if (cut) this.#truncated = true;
    else if (end > start) this.#frames.push({ data: this.#data.subarray(start, end), index });
  }
}
