/**
 * The device half: a software codec behind a mem-to-mem device (drivers/media/v4l2-core/v4l2-mem2mem.c).
 *
 * One decoder for each open file, all in this worker, served in turn: one packet of one file between
 * two looks at jobs and ioctls. Jobs are taken in as they are granted and kept; what is decoded when,
 * DecoderSession says.
 */
import { DmaBufError, type Context, type Job } from '@dmabuf/core';
import type { DeviceEnv, DeviceFactory } from '@dmabuf/core/driver';
import { NO_FILE, OpenFile } from './device/open-file.js';
import { readFormat, readNumbers } from './device/requests.js';
import { FILE, fileRecord, MAX_FILES } from './file-table.js';

class VideoDecoder {
  readonly #env: DeviceEnv;
  readonly #files: Map<number, OpenFile> = new Map();
  /** Files by the ids of their contexts; closed ones too, until their last job has ended. */
  readonly #byContext: Map<number, OpenFile> = new Map();
  readonly #closed: Set<OpenFile> = new Set();
  /** Ioctls that wait for a codec are served one after the other. */
  #ioctls: Promise<unknown> = Promise.resolve();
  /** Whose turn it is. */
  #turn = 0;

  constructor(env: DeviceEnv) {
    this.#env = env;
  }

  /** Takes a job in, one that was cancelled too. */
  take(job: Job): void {
    const file = this.#byContext.get(job.context);
    if (file !== undefined) file.take(job);
    else job.finish(NO_FILE);
  }

  /** One packet of the next file that has one; when to look again, ms. */
  tick(): number {
    for (const file of this.#closed) this.#forget(file);
    const files = [...this.#files.values()];
    for (let i = 0; i < files.length; i++) {
      const file = files[(this.#turn + i) % files.length];
      if (file?.ready !== true) continue;
      this.#turn = (this.#turn + i + 1) % files.length;
      file.step();
      break;
    }
    return files.some((file) => file.ready) ? 0 : Infinity;
  }

  ioctl(request: string, args: unknown): Promise<unknown> {
    const answer = this.#ioctls.then(() => this.#serve(request, args));
    this.#ioctls = answer.catch(() => {});
    return answer;
  }

  async #serve(request: string, args: unknown): Promise<unknown> {
    switch (request) {
      case 'open':
        return this.#open(args);
      case 'VIDIOC_S_FMT': {
        await this.#file(args, request).setFormat(readFormat(args));
        return null;
      }
      case 'failure':
        return this.#file(args, request).failure ?? null;
      case 'withdraw': {
        const [, , seqno] = readNumbers(args, 3, request);
        this.#file(args, request).withdraw(seqno ?? 0);
        return null;
      }
      case 'reset': {
        const [, , packet, slot] = readNumbers(args, 4, request);
        await this.#file(args, request).reset(packet ?? 0, slot ?? 0);
        return null;
      }
      case 'close':
        return this.#close(args);
      default: {
        const detail = 'known are open, VIDIOC_S_FMT, failure, withdraw, reset and close';
        throw new DmaBufError('ENOTTY', request, detail);
      }
    }
  }

  #open(args: unknown): readonly [file: number, generation: number] {
    const [bitstream = 0, capture = 0] = readNumbers(args, 2, 'open');
    const contexts = { bitstream: this.#context(bitstream), capture: this.#context(capture) };
    const { door, machine } = this.#env;
    let index = 0;
    while (this.#files.has(index)) index++;
    if (index >= MAX_FILES) {
      const detail = `all ${MAX_FILES} decoders of ${this.#env.spec.path} are open; close one`;
      throw new DmaBufError('EMFILE', 'open', detail);
    }
    const record = fileRecord(door, index);
    const generation = door.words.get(record + FILE.GEN) + 1;
    const file = new OpenFile(door, record, contexts, () => door.ring(machine.self));
    door.words.set(record + FILE.GEN, generation);
    door.words.store(record + FILE.STATE, generation);
    this.#files.set(index, file);
    this.#byContext.set(bitstream, file);
    this.#byContext.set(capture, file);
    return [index, generation];
  }

  async #close(args: unknown): Promise<null> {
    const file = this.#file(args, 'close');
    const [index = 0] = readNumbers(args, 2, 'close');
    this.#files.delete(index);
    this.#closed.add(file);
    const { door } = this.#env;
    door.words.store(fileRecord(door, index) + FILE.STATE, 0);
    await file.close();
    this.#forget(file);
    return null;
  }

  /** Lets go of a closed file whose jobs have all ended. */
  #forget(file: OpenFile): void {
    if (!file.drained()) return;
    this.#closed.delete(file);
    this.#byContext.delete(file.bitstream.id);
    this.#byContext.delete(file.capture.id);
  }

  #context(id: number): Context {
    const { machine } = this.#env;
    const context = machine.contextById(id);
    if (context.target === machine.self && !this.#byContext.has(id)) return context;
    const detail = `context ${id} is not a free one of this device`;
    throw new DmaBufError('EINVAL', 'open', detail);
  }

  /** The file that `args` begin with. EBADF when it was closed. */
  #file(args: unknown, request: string): OpenFile {
    const [index = -1, generation] = readNumbers(args, 2, request);
    const file = this.#files.get(index);
    const { door } = this.#env;
    if (file !== undefined && door.words.get(fileRecord(door, index) + FILE.STATE) === generation) {
      return file;
    }
    throw new DmaBufError('EBADF', request, `file ${index} of ${this.#env.spec.path} is closed`);
  }
}

export const createDevice: DeviceFactory = (env) => {
  const decoder = new VideoDecoder(env);
  return {
    run: (job) => decoder.take(job),
    failed: (job) => decoder.take(job),
    tick: () => decoder.tick(),
    ioctl: (request, args) => decoder.ioctl(request, args),
  };
};
