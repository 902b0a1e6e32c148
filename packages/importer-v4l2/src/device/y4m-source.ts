/**
 * A Y4M file as a camera looks at it: one frame is read at a time, into the buffer itself where that is I420. No sample
 * is made up or left out: 4:2:0 is shown as YU12 and NV12, 4:2:2 as YUYV; there is no format here for 4:4:4.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { DmaBufError } from '@dmabuf/core';
import {
  parseY4mHeader,
  y4mFrameLine,
  type Y4mHeader,
  type Y4mSampling,
} from '../bitstream/y4m.js';
import { writeYuyv } from '../camera-pixels.js';
import type { CameraFormat, CameraSpec } from '../camera-state.js';
import { tightLayout, writeNv12 } from '../codec/planes.js';
import type { FrameSource } from './frame-source.js';

const TAKES: readonly Y4mSampling[] = ['420', '422'];
/** No line of a Y4M file is longer. */
const LINE_BYTES = 1024;

/** The first line of a file. ENOENT; EINVAL: it is no Y4M file that a camera can show. */
export function readY4mHeader(path: string): Y4mHeader {
  const fd = open(path);
  try {
    const head = new Uint8Array(LINE_BYTES);
    return parseY4mHeader(head.subarray(0, readSync(fd, head, 0, LINE_BYTES, 0)), TAKES);
  } finally {
    closeSync(fd);
  }
}

export class Y4mSource implements FrameSource {
  readonly frames: number;
  readonly #fd: number;
  readonly #path: string;
  /** Where the pictures of the file begin. */
  readonly #offsets: readonly number[];
  readonly #bytes: number;
  /** A picture on its way to NV12 or YUYV. */
  readonly #scratch: Uint8Array;

  /** EIO, ENOENT: the file cannot be read, or has no whole frame of that size any more. */
  constructor({ file, sampling, width, height, loop }: CameraSpec) {
    this.#path = file;
    this.#fd = open(file);
    this.#bytes =
      sampling === '420'
        ? tightLayout('YU12', width, height).byteLength
        : (width + 2 * ((width + 1) >> 1)) * height;
    this.#scratch = new Uint8Array(this.#bytes);
    this.#offsets = frameOffsets(this.#fd, this.#bytes);
    if (this.#offsets.length === 0) throw this.#unreadable('it has no whole frame');
    this.frames = loop ? Infinity : this.#offsets.length;
  }

  write(number: number, format: CameraFormat, dst: Uint8Array<ArrayBufferLike>): number {
    const at = this.#offsets[number % this.#offsets.length] ?? 0;
    const { fourcc, width, height } = format;
    const target = fourcc === 'YU12' ? dst : this.#scratch;
    const read = readSync(this.#fd, target, 0, this.#bytes, at);
    if (read !== this.#bytes) throw this.#unreadable(`${read} of ${this.#bytes} bytes at ${at}`);
    if (fourcc === 'YU12') return read;
    if (fourcc === 'YUYV') return read + writeYuyv(dst, this.#scratch, width, height);
    const { planes } = tightLayout('YU12', width, height);
    const picture = { fourcc: 'YU12', data: this.#scratch, planes, width, height } as const;
    return read + writeNv12(dst, tightLayout('NV12', width, height).planes, picture);
  }

  #unreadable(detail: string): DmaBufError {
    return new DmaBufError('EIO', 'camera', `'${this.#path}' cannot be read: ${detail}`);
  }
}

function open(path: string): number {
  try {
    return openSync(path, 'r');
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new DmaBufError('ENOENT', 'camera', `'${path}' cannot be opened: ${why}`);
  }
}

/** Where the pictures begin: each has a line of its own length before it. */
function frameOffsets(fd: number, bytes: number): number[] {
  const { size } = fstatSync(fd);
  const line = new Uint8Array(LINE_BYTES);
  const lineAt = (at: number): Uint8Array =>
    line.subarray(0, readSync(fd, line, 0, LINE_BYTES, at));
  const offsets: number[] = [];
  let at = parseY4mHeader(lineAt(0), TAKES).bytes;
  for (;;) {
    const length = y4mFrameLine(lineAt(at), 0);
    if (length === 0 || at + length + bytes > size) return offsets;
    offsets.push(at + length);
    at += length + bytes;
  }
}
