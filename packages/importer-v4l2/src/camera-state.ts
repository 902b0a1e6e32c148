/**
 * What a camera is set to, in the driver's words behind the table of files: one camera, whatever the number of
 * files (a codec, on the other hand, has one instance a file). It outlives the worker and every handle.
 *
 * Each setting is one word, stored at once, so that whoever dies leaves the old or the new one. Written by
 * S_FMT, S_PARM and S_CTRL in the caller's thread, under L(TABLE) and never while the camera streams
 * (PATTERN: at any time); the device reads them with each frame. 0: what the camera was made with.
 */
import { DmaBufError, type Machine } from '@dmabuf/core';
import type { DriverDoor } from '@dmabuf/core/driver';
import type { Y4mSampling } from './bitstream/y4m.js';
import { CAMERA_FORMATS, type CameraFourcc } from './camera-pixels.js';
import { contextOf } from './device/file-contexts.js';
import { FILE, FILE_TABLE_WORDS, fileRecord, MAX_FILES, tableLock } from './file-table.js';
import type { VideoFile } from './video-file.js';

const CAMERA = {
  FORMAT: 0, // pixel format (index + 1), width << 4, height << 18
  INTERVAL: 1, // from frame to frame, 100 ns (as UVC cameras count)
  PATTERN: 2, // V4L2_CID_TEST_PATTERN
  WORDS: 4,
} as const;

/** Words of a camera's driver. */
export const CAMERA_WORDS: number = FILE_TABLE_WORDS + CAMERA.WORDS;

/** 100 ns in one second. */
export const UNITS_PER_SECOND = 10_000_000;
/** Shortest and longest time from frame to frame, 100 ns: 1000 frames a second, one a second. */
export const MIN_INTERVAL = 10_000;
export const MAX_INTERVAL: number = UNITS_PER_SECOND;

/** What a file can be shown as: no sample of it is made up, and none is left out. */
const FORMATS_OF: Readonly<Record<Y4mSampling, readonly CameraFourcc[]>> = {
  '420': ['YU12', 'NV12'],
  '422': ['YUYV'],
};

/** How a camera was made: `info` of its device, JSON. */
export interface CameraSpec {
  /** Path of a Y4M file; '': a test pattern. */
  readonly file: string;
  /** Of the file's chroma; of no meaning to a test pattern. */
  readonly sampling: Y4mSampling;
  readonly width: number;
  readonly height: number;
  /** 100 ns. */
  readonly interval: number;
  /** At the end of the file it begins anew. */
  readonly loop: boolean;
}

export interface CameraFormat {
  readonly fourcc: CameraFourcc;
  readonly width: number;
  readonly height: number;
}

/** The spec in a device's `info`. EINVAL: there is none. */
export function cameraSpec(info: unknown): CameraSpec {
  const found: unknown =
    typeof info === 'object' && info !== null && 'camera' in info && info.camera;
  if (typeof found === 'object' && found !== null) {
    const spec: Partial<CameraSpec> = found;
    const { file = '', sampling = '420', width = 0, height = 0, interval = 0, loop = true } = spec;
    if (width > 0 && height > 0 && interval > 0) {
      return { file, sampling, width, height, interval, loop };
    }
  }
  throw new DmaBufError('EINVAL', 'open', 'the device node says nothing of a camera');
}

/** A camera's settings, for either half. */
export class CameraState {
  readonly spec: CameraSpec;
  readonly #door: DriverDoor;
  readonly #at: number;

  constructor(door: DriverDoor, spec: CameraSpec) {
    this.#door = door;
    this.#at = door.base + FILE_TABLE_WORDS;
    this.spec = spec;
  }

  /** What S_FMT takes, in the order of ENUM_FMT. */
  get formats(): readonly CameraFourcc[] {
    return this.spec.file === '' ? CAMERA_FORMATS : FORMATS_OF[this.spec.sampling];
  }

  get format(): CameraFormat {
    const word = this.#door.words.load(this.#at + CAMERA.FORMAT);
    const { width, height } = this.spec;
    const fourcc = CAMERA_FORMATS[(word & 15) - 1];
    if (fourcc === undefined) return { fourcc: this.formats[0] ?? 'YU12', width, height };
    return { fourcc, width: (word >>> 4) & 0x3fff, height: word >>> 18 };
  }

  set format({ fourcc, width, height }: CameraFormat) {
    const word = (CAMERA_FORMATS.indexOf(fourcc) + 1) | (width << 4) | (height << 18);
    this.#door.words.store(this.#at + CAMERA.FORMAT, word);
  }

  /** From frame to frame, 100 ns. */
  get interval(): number {
    return this.#door.words.load(this.#at + CAMERA.INTERVAL) || this.spec.interval;
  }

  set interval(units: number) {
    this.#door.words.store(this.#at + CAMERA.INTERVAL, units);
  }

  get pattern(): number {
    return this.#door.words.load(this.#at + CAMERA.PATTERN);
  }

  set pattern(index: number) {
    this.#door.words.store(this.#at + CAMERA.PATTERN, index);
  }

  /**
   * Runs `work` while no other file of the camera can take it (vb2_queue_is_busy). EBUSY: another has buffers, or
   * frames queued ahead. `own`: this file must be idle, too.
   */
  exclusively<T>(call: string, file: VideoFile, work: () => T, own: boolean = false): T {
    const { locks } = this.#door;
    locks.lock(tableLock(this.#door));
    try {
      for (let i = 0; i < MAX_FILES; i++) {
        if (i === file.handle.file && !own) continue;
        if (!busy(file.machine, this.#door, fileRecord(this.#door, i))) continue;
        const whose = i === file.handle.file ? 'this file' : 'another file';
        const detail = `${whose} has buffers of the camera, or frames queued ahead; free them, or close it`;
        throw new DmaBufError('EBUSY', call, detail);
      }
      return work();
    } finally {
      locks.unlock(tableLock(this.#door));
    }
  }
}

function busy(machine: Machine, { words }: DriverDoor, record: number): boolean {
  if (words.load(record + FILE.STATE) === 0) return false;
  if (words.load(record + FILE.SINK_OWNER) !== 0) return true;
  const sink = contextOf(machine, words.get(record + FILE.SINK));
  return sink !== undefined && sink.submitted > sink.completed;
}
