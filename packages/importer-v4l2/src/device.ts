/**
 * The device half: a software codec behind a mem-to-mem device (drivers/media/v4l2-core/v4l2-mem2mem.c).
 *
 * One codec for each open file of this worker, served in turn: one packet of one file between two looks at
 * jobs and ioctls. Jobs are started only when they are needed next (`accepts`), so that what waits
 * behind them is not lost when the worker dies; what is coded when, the sessions say. Which files there
 * are is in the driver's words.
 */
import { DmaBufError, type Job } from '@dmabuf/core';
import type { DeviceEnv, DeviceFactory } from '@dmabuf/core/driver';
import { NO_FILE, OpenFile } from './device/open-file.js';
import { readFormat, readNumbers } from './device/requests.js';
import { FILE, fileRecord, MAX_FILES } from './file-table.js';

/** Ioctls of an open file. */
const REQUESTS = ['VIDIOC_S_FMT', 'failure', 'withdraw', 'reset', 'sync'];

/** How often a closed file is looked at until its last job has ended, ms. */
const CLOSING_MS = 20;

class CodecDevice {
  readonly #env: DeviceEnv;
  /** By their place in the table; closed ones too, until their last job has ended. */
  readonly #files: Map<number, OpenFile> = new Map();
  /** Ioctls that wait for a codec are served one after the other. */
  #ioctls: Promise<unknown> = Promise.resolve();
  /** Whose turn it is. */
  #turn = 0;

  constructor(env: DeviceEnv) {
    this.#env = env;
  }

  /** Goes on with the files that an earlier life of this worker had. */
  async resume(): Promise<void> {
    this.#find();
    for (const file of this.#files.values()) await file.reopen();
  }

  accepts(context: number, seqno: number): boolean {
    return this.#byContext(context)?.accepts(context, seqno) ?? true;
  }

  /** Takes a job in, one that was cancelled too. */
  take(job: Job): void {
    const file = this.#byContext(job.context);
    if (file !== undefined) file.take(job);
    else if (!this.#awaitsEvent(job)) job.finish(NO_FILE);
  }

  /** One packet of the next file that has one; when to look again, ms. */
  tick(): number {
    this.#find();
    this.#forget();
    const files = [...this.#files.values()];
    for (let i = 0; i < files.length; i++) {
      const file = files[(this.#turn + i) % files.length];
      if (file?.ready !== true) continue;
      this.#turn = (this.#turn + i + 1) % files.length;
      file.step();
      break;
    }
    if (files.some((file) => file.ready)) return 0;
    // The last jobs of a closed file may be ended by whoever settles a death, which does not ring here.
    return files.some((file) => file.closing) ? this.#env.door.now() + CLOSING_MS : Infinity;
  }

  ioctl(request: string, args: unknown): Promise<unknown> {
    const answer = this.#ioctls.then(() => this.#serve(request, args));
    this.#ioctls = answer.catch(() => {});
    return answer;
  }

  async #serve(request: string, args: unknown): Promise<unknown> {
    if (request === 'close') {
      await this.#closing(args)?.close();
      this.#forget();
      return null;
    }
    if (!REQUESTS.includes(request)) {
      throw new DmaBufError('ENOTTY', request, `known are ${REQUESTS.join(', ')} and close`);
    }
    const file = this.#file(args, request);
    switch (request) {
      case 'VIDIOC_S_FMT':
        await file.setFormat(readFormat(args));
        return null;
      case 'failure':
        return file.failure ?? null;
      case 'withdraw': {
        const [, , seqno] = readNumbers(args, 3, request);
        file.withdraw(seqno ?? 0);
        return null;
      }
      case 'reset':
        await file.reset();
        return null;
      default:
        await file.sync();
        return null;
    }
  }

  /** Looks for files of this worker that it does not know yet. */
  #find(): void {
    const { door, machine } = this.#env;
    for (let index = 0; index < MAX_FILES; index++) {
      const record = fileRecord(door, index);
      if (this.#files.has(index) || door.words.load(record + FILE.STATE) === 0) continue;
      if (door.words.get(record + FILE.ACTOR) !== machine.self) continue;
      const file = OpenFile.of(this.#env, record);
      if (file !== undefined) this.#files.set(index, file);
    }
  }

  /** Closes what the application (or the death of one) has closed; forgets it when its jobs have ended. */
  #forget(): void {
    for (const [index, file] of this.#files) {
      if (!file.closing) continue;
      if (file.drained()) this.#files.delete(index);
      else if (!file.closeBegun) {
        // Whose codec cannot be closed is gone all the same; the device goes on with the other files.
        this.#ioctls = this.#ioctls.then(() => file.close()).catch(() => {});
      }
    }
  }

  #byContext(context: number): OpenFile | undefined {
    const known = this.#lookUp(context);
    if (known !== undefined) return known;
    this.#find();
    return this.#lookUp(context);
  }

  #lookUp(context: number): OpenFile | undefined {
    for (const file of this.#files.values()) {
      if (file.source.id === context || file.sink.id === context) return file;
    }
    return undefined;
  }

  /** A job that waits for an event of a file: it names the file, for its context is the sender's. */
  #awaitsEvent(job: Job): boolean {
    const { payload } = job;
    const fields: readonly unknown[] = Array.isArray(payload) ? payload : [];
    const [tag, ...args] = fields;
    if (tag !== 'event') return false;
    const [, , seen = 0] = readNumbers(args, 3, 'event');
    this.#file(args, 'event').awaitEvent(job, seen);
    return true;
  }

  #closing(args: unknown): OpenFile | undefined {
    this.#find();
    const [index = -1] = readNumbers(args, 2, 'close');
    const file = this.#files.get(index);
    return file?.closing === true ? file : undefined;
  }

  /** The file that `args` begin with. EBADF when it was closed. */
  #file(args: unknown, request: string): OpenFile {
    const [index = -1, generation] = readNumbers(args, 2, request);
    if (!this.#files.has(index)) this.#find();
    const file = this.#files.get(index);
    const { door } = this.#env;
    if (file !== undefined && door.words.get(file.record + FILE.STATE) === generation) return file;
    throw new DmaBufError('EBADF', request, `file ${index} of ${this.#env.spec.path} is closed`);
  }
}

export const createDevice: DeviceFactory = async (env) => {
  const device = new CodecDevice(env);
  await device.resume();
  return {
    run: (job) => device.take(job),
    failed: (job) => device.take(job),
    accepts: (context, seqno) => device.accepts(context, seqno),
    tick: () => device.tick(),
    ioctl: (request, args) => device.ioctl(request, args),
  };
};
