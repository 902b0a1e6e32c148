/**
 * The device half of a camera: it keeps the beat of the file that streams and serves the ioctls of all. Which files
 * there are is in the driver's words; the source is opened once, by the worker.
 *
 * Synchronous: a frame is written in its turn of the loop, and between two the worker sleeps until the next is due.
 */
import { DmaBufError, errno, type Job } from '@dmabuf/core';
import type { DeviceEnv, DeviceFactory } from '@dmabuf/core/driver';
import { cameraSpec, CameraState } from '../camera-state.js';
import { FILE, fileRecord, MAX_FILES } from '../file-table.js';
import { CameraFile, type CameraParts } from './camera-file.js';
import { openSource } from './frame-source.js';
import { readNumbers } from './requests.js';

/** How often a closed file is looked at until its last job has ended, ms. */
const CLOSING_MS = 20;

const REQUESTS = ['sync', 'failure', 'close'];

class Camera {
  readonly #env: DeviceEnv;
  readonly #parts: CameraParts;
  /** By their place in the table; closed ones too, until their last job has ended. */
  readonly #files: Map<number, CameraFile> = new Map();

  constructor(env: DeviceEnv) {
    const { door, machine, spec } = env;
    const state = new CameraState(door, cameraSpec(spec.info));
    const source = openSource(state.spec, () => state.pattern);
    this.#env = env;
    this.#parts = { machine, door, state, source };
  }

  take(job: Job): void {
    const fields: readonly unknown[] = Array.isArray(job.payload) ? job.payload : [];
    const [tag, ...args] = fields;
    if (tag === 'event') {
      const [, , seen = 0] = readNumbers(args, 3, 'event');
      this.#file(args, 'event').awaitEvent(job, seen);
      return;
    }
    this.#find();
    const file = [...this.#files.values()].find(({ sink }) => sink.id === job.context);
    if (file === undefined) job.finish(-errno.EBADF);
    else file.take(job);
  }

  /** When to look again, ms. */
  tick(now: number): number {
    this.#find();
    let next = Infinity;
    for (const [index, file] of this.#files) {
      next = Math.min(next, file.tick(now));
      if (!file.closing) continue;
      // The last jobs of a closed file may be ended by whoever settles a death, which does not ring here.
      if (file.drained()) this.#files.delete(index);
      else next = Math.min(next, now + CLOSING_MS);
    }
    return next;
  }

  ioctl(request: string, args: unknown): unknown {
    if (!REQUESTS.includes(request)) {
      throw new DmaBufError('ENOTTY', request, `known are ${REQUESTS.join(', ')}`);
    }
    if (request === 'close') this.tick(this.#env.door.now());
    else if (request === 'sync') this.#file(args, request).sync();
    return null;
  }

  /** Looks for files that it does not know yet. */
  #find(): void {
    const { door } = this.#env;
    for (let index = 0; index < MAX_FILES; index++) {
      const record = fileRecord(door, index);
      if (this.#files.has(index) || door.words.load(record + FILE.STATE) === 0) continue;
      const file = CameraFile.of(this.#parts, record);
      if (file !== undefined) this.#files.set(index, file);
    }
  }

  /** The file that `args` begin with. EBADF when it was closed. */
  #file(args: unknown, request: string): CameraFile {
    const [index = -1, generation] = readNumbers(args, 2, request);
    this.#find();
    const file = this.#files.get(index);
    const { door, spec } = this.#env;
    if (file !== undefined && door.words.load(file.record + FILE.STATE) === generation) return file;
    throw new DmaBufError('EBADF', request, `file ${index} of ${spec.path} is closed`);
  }
}

export const createDevice: DeviceFactory = (env) => {
  const camera = new Camera(env);
  return {
    run: (job) => camera.take(job),
    failed: (job) => camera.take(job),
    tick: (now) => camera.tick(now),
    ioctl: (request, args) => camera.ioctl(request, args),
  };
};
