/**
 * VideoFile: one open file of a video device, for the calling thread: its record among the driver's words,
 * its lines of jobs, its lock. What applications see of it is VideoDevice.
 *
 * Opening needs no round trip: the worker finds the record when the first job or ioctl comes.
 */
import { type Context, DmaBufError, type Machine } from '@dmabuf/core';
import type { DriverDoor } from '@dmabuf/core/driver';
import { decodesInPlace } from './in-place.js';
import { clearRecord, FILE, fileRecord, MAX_FILES, tableLock } from './file-table.js';

/** An open file as a plain value: what a message carries to another thread. */
export interface VideoHandle {
  readonly path: string;
  readonly file: number;
  readonly generation: number;
  /** Ids of its contexts. */
  readonly bitstream: number;
  readonly capture: number;
}

/** What the device node is: `info` of its entry in the directory. */
export type VideoKind = 'decoder' | 'encoder' | 'camera';

const ARTICLES = { decoder: 'a decoder', encoder: 'an encoder', camera: 'a camera' } as const;
const CLASSES = {
  decoder: 'VideoDevice',
  encoder: 'EncoderDevice',
  camera: 'CameraDevice',
} as const;

/** A device node: the actors that serve its files. */
export interface VideoNode {
  readonly kind: VideoKind;
  readonly driver: string;
  readonly workers: readonly number[];
  /** See DecoderOptions. */
  readonly inPlace: boolean;
}

/** Loading a codec for the first time takes this long at most, ms. */
export const CODEC_LIMIT_MS = 30_000;
/** Deaths of the worker that a call sees through. */
const LIVES = 5;

function infoOf(info: unknown): { kind: VideoKind; node: string } | undefined {
  if (typeof info !== 'object' || info === null || !('v4l2' in info)) return undefined;
  const { v4l2: kind } = info;
  const node = 'node' in info && typeof info.node === 'string' ? info.node : '';
  if (kind === 'decoder' || kind === 'encoder' || kind === 'camera') return { kind, node };
  return undefined;
}

/** The video device of a path. ENOENT; ENODEV: it is no video device. */
export function videoNode(machine: Machine, path: string): VideoNode {
  const { driver, info } = machine.device(path);
  const found = infoOf(info);
  if (found === undefined) {
    throw new DmaBufError('ENODEV', 'open', `'${path}' is no video device (driver '${driver}')`);
  }
  const workers = [...machine.devices.values()]
    .filter((other) => infoOf(other.info)?.node === found.node)
    .map(({ actor }) => actor);
  return { kind: found.kind, driver, workers, inPlace: decodesInPlace(info) };
}

/** The worker with the fewest open files. Under the table's lock. */
function leastLoaded(door: DriverDoor, workers: readonly number[]): number {
  const load = new Map(workers.map((actor) => [actor, 0]));
  for (let file = 0; file < MAX_FILES; file++) {
    const record = fileRecord(door, file);
    const actor = door.words.get(record + FILE.ACTOR);
    if (door.words.load(record + FILE.STATE) === 0) continue;
    if (load.has(actor)) load.set(actor, (load.get(actor) ?? 0) + 1);
  }
  const sorted = [...load].sort(([, a], [, b]) => a - b);
  return sorted[0]?.[0] ?? 0;
}

export class VideoFile {
  /** Its plain value. */
  readonly handle: VideoHandle;
  readonly machine: Machine;
  readonly door: DriverDoor;
  readonly kind: VideoKind;
  /** See DecoderOptions. */
  readonly inPlace: boolean;
  /** The worker that serves it. */
  readonly actor: number;
  /** Word offset of its record. */
  readonly record: number;
  /** OUTPUT's line of jobs. */
  readonly source: Context;
  /** CAPTURE's. */
  readonly sink: Context;

  constructor(machine: Machine, handle: VideoHandle) {
    const { kind, driver, inPlace } = videoNode(machine, handle.path);
    this.handle = handle;
    this.machine = machine;
    this.kind = kind;
    this.inPlace = inPlace;
    this.door = machine.driver(driver);
    this.record = fileRecord(this.door, handle.file);
    if (!this.isOpen) throw this.#closed('open');
    this.actor = this.door.words.get(this.record + FILE.ACTOR);
    this.source = machine.contextById(handle.bitstream);
    this.sink = machine.contextById(handle.capture);
  }

  /**
   * {@link open}, of a device of a kind. ENODEV: it is of another one.
   */
  static openAs(machine: Machine, path: string, kind: VideoKind): VideoFile {
    const found = videoNode(machine, path).kind;
    if (found === kind) return VideoFile.open(machine, path);
    const detail = `'${path}' is ${ARTICLES[found]}; open it with ${CLASSES[found]}.open`;
    throw new DmaBufError('ENODEV', 'open', detail);
  }

  /** Takes a record and makes its contexts. ENOENT, ENODEV; EMFILE: all files are open; ENOSPC: contexts. */
  static open(machine: Machine, path: string): VideoFile {
    const node = videoNode(machine, path);
    const door = machine.driver(node.driver);
    const { locks } = door;
    const name = path.slice(path.lastIndexOf('/') + 1);
    locks.lock(tableLock(door));
    try {
      const actor = leastLoaded(door, node.workers);
      const file = freeFile(door, path);
      const contexts: Context[] = [];
      try {
        for (const line of ['bitstream', 'capture']) {
          contexts.push(machine.createContext(actor, `${name} ${line}`));
        }
        const [source, sink] = contexts;
        const ids = { bitstream: source?.id ?? 0, capture: sink?.id ?? 0 };
        const generation = publishFile(machine, door, file, { actor, ...ids });
        return new VideoFile(machine, { path, file, generation, ...ids });
      } catch (error) {
        for (const context of contexts) context.close();
        throw error;
      }
    } finally {
      locks.unlock(tableLock(door));
    }
  }

  get isOpen(): boolean {
    const { words } = this.door;
    return words.load(this.record + FILE.STATE) === this.handle.generation;
  }

  /** Throws EBADF once it is closed. */
  check(call: string): void {
    if (!this.isOpen) throw this.#closed(call);
  }

  /**
   * Calls the worker: its own arguments come after the file's. All requests may be made twice: one that a
   * worker died over is made again to its next life. ESRCH: it is not started again.
   */
  ioctl(request: string, args: readonly unknown[] = []): unknown {
    const { file, generation } = this.handle;
    for (let lives = LIVES; ; lives--) {
      try {
        return this.machine.ioctl(this.actor, request, [file, generation, ...args], CODEC_LIMIT_MS);
      } catch (error) {
        const died = error instanceof DmaBufError && error.code === 'EOWNERDEAD';
        if (!died || lives === 0) throw error;
      }
    }
  }

  /** Holds the file's lock, so that the two lines of jobs have one order for all threads. */
  locked<T>(work: () => T): T {
    const { locks } = this.door;
    const lock = this.record + FILE.LOCK;
    locks.lock(lock);
    try {
      return work();
    } finally {
      locks.unlock(lock);
    }
  }

  /** Closes it for all threads. Harmless the second time. */
  close(): void {
    if (!this.isOpen) return;
    const { generation } = this.handle;
    const state = this.record + FILE.STATE;
    if (!this.door.words.cas(state, generation, -generation)) return;
    try {
      this.ioctl('close');
    } catch (error) {
      // ESRCH: the worker is not started again; the record is lost with it.
      if (!(error instanceof DmaBufError) || error.code !== 'ESRCH') throw error;
    }
  }

  #closed(call: string): DmaBufError {
    const { path, file } = this.handle;
    return new DmaBufError('EBADF', call, `file ${file} of ${path} is closed`);
  }
}

function freeFile(door: DriverDoor, path: string): number {
  for (let file = 0; file < MAX_FILES; file++) {
    if (door.words.load(fileRecord(door, file) + FILE.STATE) === 0) return file;
  }
  const detail = `all ${MAX_FILES} files of ${path} are open; close one`;
  throw new DmaBufError('EMFILE', 'open', detail);
}

/** Fills a record in, and says last of all that it is open. */
function publishFile(
  machine: Machine,
  door: DriverDoor,
  file: number,
  open: { readonly actor: number; readonly bitstream: number; readonly capture: number },
): number {
  const { words } = door;
  const record = fileRecord(door, file);
  const generation = words.get(record + FILE.GEN) + 1;
  clearRecord(words, record);
  words.set(record + FILE.GEN, generation);
  words.set(record + FILE.ACTOR, open.actor);
  words.set(record + FILE.OWNER, machine.self);
  words.set(record + FILE.SOURCE, open.bitstream);
  words.set(record + FILE.SINK, open.capture);
  words.setDouble(record + FILE.LAST_TIMESTAMP, -Infinity);
  words.store(record + FILE.STATE, generation);
  return generation;
}
