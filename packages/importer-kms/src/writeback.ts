/**
 * The writeback connector: records what was on screen into sinks (drm_writeback.c's job, with files at
 * its end), and composes frames where more than the primary plane is to be seen.
 *
 * Owned by the writeback worker; sinks end with it, and what they had not closed is lost. A job copies its frame into one of a few slots of the worker's own
 * memory and is done, so that whoever renders next into that framebuffer waits for the copy alone.
 * Slots are encoded one after the other whenever no job waits. When all are full: in `realtime` the
 * frame is given up (its fence says ENOBUFS) and counted; in `max` the job waits until one is free,
 * and with it the pipeline (back-pressure), so that nothing is lost.
 */
import { crc32 } from 'node:zlib';
import { DmaBufError, errno } from '@dmabuf/core';
import type { Words } from '@dmabuf/core/driver';
import {
  type ComposeCommand,
  decodeCompose,
  type DrawCommand,
  type EndCommand,
} from './compose-job.js';
import { Composer } from './compose/composer.js';
import type { FlipSpeed } from './flip-queue.js';
import { FrameCrcs } from './frame-crcs.js';
import { OutputError } from './output-file.js';
import { addDouble, count, REG } from './registers.js';
import type { ScanoutFrame } from './scanout-frame.js';
import type { FrameSink } from './sink.js';
import {
  encodeFailure,
  openRequested,
  type OutputFailure,
  type SinkReport,
} from './sink-request.js';
import { writeFrame } from './write-frame.js';
import { copyFrame, decodeWriteback, frameExtent } from './writeback-job.js';

/** What the writeback needs of a job; core's Job is one. */
export interface WritebackJob {
  readonly payload: unknown;
  readonly seqno: number;
  /** −errno of a dependency that failed, or 0. */
  readonly blocker: number;
  readonly buffers: readonly { readonly bytes: Uint8Array<ArrayBufferLike> }[];
  finish(error?: number): void;
}

/** Where a writeback lives. */
export interface WritebackEnvironment {
  readonly words: Words;
  /** Word offset of the registers. */
  readonly base: number;
  readonly speed: FlipSpeed;
  /** Frames that wait for encoding, at most. */
  readonly slots: number;
}

interface OpenSink {
  readonly sink: FrameSink;
  /** NOT_RECORDED when it was opened. */
  readonly before: number;
  /** Frames that this sink alone refused or skipped. */
  refused: number;
  /** Why it takes no more frames. */
  failure: OutputError | undefined;
}

type Slot = ScanoutFrame & { readonly pixels: Uint32Array };

export class Writeback {
  readonly #env: WritebackEnvironment;
  readonly #words: Words;
  readonly #base: number;
  readonly #crcs: FrameCrcs;
  readonly #sinks: Map<number, OpenSink> = new Map();
  readonly #full: Slot[] = [];
  readonly #free: Uint32Array[] = [];
  /** Made when a frame is first composed. */
  #composer: Composer | undefined;
  /** −errno of a job of the frame that is being composed. */
  #frameError = -errno.ECANCELED;

  constructor(env: WritebackEnvironment) {
    this.#env = env;
    this.#words = env.words;
    this.#base = env.base;
    this.#crcs = new FrameCrcs(env.words, env.base);
    env.words.store(env.base + REG.SINKS, 0);
  }

  /** Copies a frame, or composes one. ENOBUFS: not recorded, as all slots are full; ENODEV: as no sink is open. */
  run(job: WritebackJob): void {
    const compose = decodeCompose(job.payload);
    if (compose !== undefined) {
      this.#compose(job, compose);
      return;
    }
    const command = decodeWriteback(job.payload);
    if (command === 'barrier') return;
    this.#makeRoom();
    const [buffer] = job.buffers;
    if (buffer === undefined) throw new DmaBufError('EINVAL', 'writeback', 'the job has no buffer');
    const frame = copyFrame(buffer.bytes, command, this.#free.pop());
    addDouble(this.#words, this.#base + REG.COPIED, frameExtent(command));
    this.#full.push(frame);
  }

  /** A job of which a dependency failed: of a composed frame all of it fails. */
  failed(job: WritebackJob): void {
    const compose = decodeCompose(job.payload);
    if (compose?.kind === 'clear' || compose?.kind === 'draw') this.#frameError = job.blocker;
    job.finish(job.blocker);
  }

  #compose(job: WritebackJob, command: ComposeCommand): void {
    if (command.kind === 'clear') {
      this.#composer ??= new Composer();
      this.#composer.clear(command.width, command.height);
      this.#frameError = 0;
      return;
    }
    const composer = this.#composer;
    if (composer === undefined || this.#frameError !== 0) {
      const error = this.#frameError;
      if (command.kind === 'end') this.#frameError = -errno.ECANCELED;
      throw DmaBufError.of(error, 'compose', 'a job of the same frame failed');
    }
    if (command.kind === 'draw') this.#draw(composer, job, command);
    else this.#endFrame(composer, job, command);
  }

  #draw(composer: Composer, job: WritebackJob, { fb, state }: DrawCommand): void {
    const [buffer] = job.buffers;
    try {
      if (buffer === undefined) throw new DmaBufError('EINVAL', 'compose', 'the job has no buffer');
      composer.draw({ ...fb, bytes: buffer.bytes }, state);
    } catch (error) {
      if (error instanceof DmaBufError) this.#frameError = error.errno;
      throw error;
    }
  }

  #endFrame(composer: Composer, job: WritebackJob, { record, crc, to }: EndCommand): void {
    this.#frameError = -errno.ECANCELED; // the next frame begins with a clear
    const { pixels, width, height } = composer;
    if (crc) {
      const bytes = new Uint8Array(pixels.buffer, pixels.byteOffset, pixels.byteLength);
      this.#crcs.add(job.seqno, crc32(bytes));
    }
    if (to !== undefined) {
      const [buffer] = job.buffers;
      if (buffer === undefined)
        throw new DmaBufError('EINVAL', 'writeback', 'the job has no buffer');
      writeFrame(buffer.bytes, to, composer);
      addDouble(this.#words, this.#base + REG.COPIED, pixels.byteLength);
    }
    if (!record) return;
    this.#makeRoom();
    const old = this.#free.pop();
    const copy = old?.length === pixels.length ? old : new Uint32Array(pixels.length);
    copy.set(pixels);
    addDouble(this.#words, this.#base + REG.COPIED, pixels.byteLength);
    this.#full.push({ width, height, pitch: width * 4, pixels: copy });
  }

  /** A free slot for one more frame. ENODEV, ENOBUFS. */
  #makeRoom(): void {
    if (this.#sinks.size === 0) this.#giveUp('ENODEV', 'no sink is open; call openSink first');
    if (this.#full.length < this.#env.slots) return;
    if (this.#env.speed === 'max') this.#encodeOne();
    else this.#giveUp('ENOBUFS', 'the writeback is behind; boot with kms({ slots: … }) for more');
  }

  /** Encodes one frame; at once again while there are more. */
  tick(now: number): number {
    if (this.#full.length > 0) this.#encodeOne();
    return this.#full.length > 0 ? now : Infinity;
  }

  /** `OPEN_SINK` → id, `CLOSE_SINK` → {@link SinkReport}; an {@link OutputFailure} where files fail. */
  ioctl(request: string, args: unknown): number | SinkReport | OutputFailure {
    try {
      if (request === 'OPEN_SINK') return this.#open(args);
      if (request === 'CLOSE_SINK') return this.#close(args);
    } catch (error) {
      if (error instanceof OutputError) return encodeFailure(error);
      throw error;
    }
    const detail = `request '${request}' is not one of OPEN_SINK, CLOSE_SINK`;
    throw new DmaBufError('ENOTTY', 'ioctl', detail);
  }

  /** The machine stops: what was copied is written, and every file is whole. */
  stop(): void {
    while (this.#full.length > 0) this.#encodeOne();
    for (const open of this.#sinks.values()) {
      this.#attempt(open, () => open.sink.close());
    }
    this.#sinks.clear();
    this.#words.store(this.#base + REG.SINKS, 0);
  }

  #open(args: unknown): number {
    // Frames from before its opening are not for the new sink.
    while (this.#full.length > 0) this.#encodeOne();
    const sink = openRequested(args);
    const before = this.#words.get(this.#base + REG.NOT_RECORDED);
    const lastSink = this.#base + REG.LAST_SINK;
    const id = this.#words.get(lastSink) + 1;
    this.#words.store(lastSink, id); // an id of an earlier life is never another sink's
    this.#sinks.set(id, { sink, before, refused: 0, failure: undefined });
    this.#words.store(this.#base + REG.SINKS, this.#sinks.size);
    this.#countBytes(sink, 0);
    return id;
  }

  #close(args: unknown): SinkReport {
    const open = typeof args === 'number' ? this.#sinks.get(args) : undefined;
    if (open === undefined) {
      const detail = `no sink ${JSON.stringify(args)} is open; it was closed, or lost when the writeback worker died`;
      throw new DmaBufError('ENOENT', 'writeback', detail);
    }
    while (this.#full.length > 0) this.#encodeOne();
    this.#sinks.delete(Number(args));
    this.#words.store(this.#base + REG.SINKS, this.#sinks.size);
    if (open.failure !== undefined) throw open.failure;
    const { sink, before, refused } = open;
    const bytes = sink.bytes;
    sink.close();
    this.#countBytes(sink, bytes);
    const lost = (this.#words.get(this.#base + REG.NOT_RECORDED) - before) | 0;
    return { recorded: sink.frames, notRecorded: lost + refused, bytes: sink.bytes };
  }

  /** Hands the oldest full slot to all sinks. Those that fail keep what is whole, and take no more. */
  #encodeOne(): void {
    const frame = this.#full.shift();
    if (frame === undefined) return;
    let taken = false;
    for (const open of this.#sinks.values()) {
      const { sink } = open;
      const { bytes, frames } = sink;
      if (open.failure === undefined) this.#attempt(open, () => sink.frame(frame));
      if (sink.frames > frames) taken = true;
      else open.refused++;
      this.#countBytes(sink, bytes);
    }
    if (taken) count(this.#words, this.#base + REG.RECORDED);
    this.#free.push(frame.pixels);
  }

  #attempt(open: OpenSink, run: () => void): void {
    try {
      run();
    } catch (error) {
      // A frame of another size than the stream's: that frame is not for this sink.
      if (error instanceof DmaBufError) return;
      if (!(error instanceof OutputError)) throw error;
      open.failure = error;
      this.#salvage(open.sink);
    }
  }

  /** After a failure: up to the last whole frame. That the disk fails here too changes nothing. */
  #salvage(sink: FrameSink): void {
    try {
      sink.abort();
    } catch (error) {
      if (!(error instanceof OutputError)) throw error;
    }
  }

  #countBytes(sink: FrameSink, before: number): void {
    addDouble(this.#words, this.#base + REG.BYTES, sink.bytes - before);
  }

  #giveUp(code: 'ENOBUFS' | 'ENODEV', detail: string): never {
    count(this.#words, this.#base + REG.NOT_RECORDED);
    throw new DmaBufError(code, 'writeback', detail);
  }
}
