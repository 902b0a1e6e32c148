/**
 * Sinks: where writeback puts the frames that were on screen. A Y4M file, a PNG of the last
 * frame, or a numbered PNG for each.
 *
 * Owned by the writeback worker, never by the worker that keeps vblank: every call blocks on
 * conversion and the file system. A file gets its name only when it is whole.
 */
import { DmaBufError } from '@dmabuf/core';
import { OutputFile } from './output-file.js';
import { writePng } from './png.js';
import { checkFrame, type ScanoutFrame } from './scanout-frame.js';
import { Y4mEncoder, type Y4mFormat } from './y4m.js';

export { OutputError } from './output-file.js';

/** Takes frames one by one. */
export interface FrameSink {
  /** Frames taken whole. */
  readonly frames: number;
  /** Bytes written so far. */
  readonly bytes: number;
  /**
   * Takes one frame and returns when the sink needs its memory no more. On OutputError (a full
   * disk) the frame is not taken; the sink may be aborted, which keeps the frames before it.
   */
  frame(frame: ScanoutFrame): void;
  /** Completes the output and gives it its name. Harmless when called again. */
  close(): void;
  /**
   * Ends early (an interrupt, an error): what is there up to the last whole frame is kept and
   * gets its name; with no frame at all nothing is left behind, and an old file stays.
   */
  abort(): void;
}

/** A Y4M stream in a file. */
export class Y4mSink implements FrameSink {
  readonly #file: OutputFile;
  readonly #encoder: Y4mEncoder;
  #frames = 0;

  /** Opens the file at once: see {@link openSink} for the errors. */
  constructor(file: string, format: Y4mFormat) {
    this.#encoder = new Y4mEncoder(format);
    this.#file = new OutputFile(file);
    this.#file.write(this.#encoder.header);
  }

  get frames(): number {
    return this.#frames;
  }

  get bytes(): number {
    return this.#file.bytes;
  }

  frame(frame: ScanoutFrame): void {
    this.#file.write(this.#encoder.frame(frame));
    this.#file.markWhole();
    this.#frames++;
  }

  /** A stream without frames is kept too: its header is valid Y4M. */
  close(): void {
    this.#file.close();
  }

  abort(): void {
    this.#file.abort();
  }
}

/** The last frame shown, as one PNG that is written at the end. */
export class PngSink implements FrameSink {
  readonly #file: OutputFile;
  #last: { width: number; height: number; pitch: number; pixels: Uint32Array } | undefined;
  #frames = 0;

  /** Opens the file at once: see {@link openSink} for the errors. */
  constructor(file: string) {
    this.#file = new OutputFile(file);
  }

  get frames(): number {
    return this.#frames;
  }

  get bytes(): number {
    return this.#file.bytes;
  }

  /** Copies the frame, row padding included: encoding every frame would be wasted work. */
  frame(frame: ScanoutFrame): void {
    if (!this.#file.isOpen) throw new TypeError(`${this.#file.path} is closed`);
    const words = (frame.height - 1) * checkFrame(frame) + frame.width;
    const pixels = this.#last?.pixels.length === words ? this.#last.pixels : new Uint32Array(words);
    pixels.set(frame.pixels.subarray(0, words));
    this.#last = { width: frame.width, height: frame.height, pitch: frame.pitch, pixels };
    this.#frames++;
  }

  /** With no frame shown there is no picture: then the same as {@link abort}. */
  close(): void {
    if (!this.#file.isOpen) return;
    if (this.#last === undefined) {
      this.#file.abort();
      return;
    }
    try {
      writePng(this.#last, (bytes) => this.#file.write(bytes));
    } catch (error) {
      this.#file.abort();
      throw error;
    }
    this.#file.close();
  }

  abort(): void {
    this.close();
  }
}

/** Every frame as a PNG of its own, numbered from 1 as ffmpeg does. */
export class PngSeriesSink implements FrameSink {
  readonly #pattern: string;
  #next: OutputFile | undefined;
  #frames = 0;
  #bytes = 0;

  /** `pattern` has one `%d` or `%0Nd` in its file name. Opens the first file at once. */
  constructor(pattern: string) {
    this.#pattern = pattern;
    this.#next = new OutputFile(numberedName(pattern, 1));
  }

  get frames(): number {
    return this.#frames;
  }

  get bytes(): number {
    return this.#bytes;
  }

  frame(frame: ScanoutFrame): void {
    const file = this.#next ?? new OutputFile(numberedName(this.#pattern, this.#frames + 1));
    this.#next = undefined;
    try {
      writePng(frame, (bytes) => file.write(bytes));
    } catch (error) {
      file.abort();
      throw error;
    }
    file.close();
    this.#bytes += file.bytes;
    this.#frames++;
  }

  close(): void {
    this.#next?.abort();
    this.#next = undefined;
  }

  abort(): void {
    this.close();
  }
}

const NUMBER_FIELD = /%(?:0(\d{1,2}))?d/;

/** The name of frame `number`: `numberedName('f-%04d.png', 7)` is `'f-0007.png'`. */
export function numberedName(pattern: string, number: number): string {
  return pattern.replace(NUMBER_FIELD, (_field, digits: string | undefined) =>
    String(number).padStart(Number(digits ?? 0), '0'),
  );
}

/**
 * The sink for a file name: `.y4m` for every frame as Y4M, `.png` for the last frame, `.png`
 * with `%d` or `%04d` in its name for every frame.
 *
 * Called by the writeback worker before the first frame, so that what cannot be written is
 * refused before anything runs. The caller owns the sink and must close or abort it. Throws
 * EINVAL for another ending; OutputError EISDIR, EACCES, ENOENT, ENOTDIR, EROFS.
 */
export function openSink(file: string, format: Y4mFormat): FrameSink {
  if (/\.y4m$/i.test(file)) return new Y4mSink(file, format);
  if (/\.png$/i.test(file)) {
    return NUMBER_FIELD.test(file) ? new PngSeriesSink(file) : new PngSink(file);
  }
  throw new DmaBufError(
    'EINVAL',
    'writeback',
    `output ${JSON.stringify(file)}: its name must end in .png (last frame; with %04d in the ` +
      'name every frame) or .y4m (video)',
  );
}
