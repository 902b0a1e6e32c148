/**
 * An application that plays a clip by the calls of V4L2 alone, single-threaded: the loop of every decoder
 * test program. Checks what v4l2-compliance checks of each dequeued buffer.
 */
import { createHash } from 'node:crypto';
import { DmaBufError, type Machine } from '@dmabuf/core';
import { frameLayout } from '../capture-format.js';
import type { Packet } from '../codec/codec.js';
import { planeSizes } from '../codec/planes.js';
import {
  EPOLLIN,
  EPOLLOUT,
  EPOLLPRI,
  V4L2_BUF_FLAG_ERROR,
  V4L2_BUF_FLAG_LAST,
  V4L2_BUF_TYPE_VIDEO_CAPTURE,
  V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE,
  V4L2_BUF_TYPE_VIDEO_OUTPUT,
  V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE,
  V4L2_DEC_CMD_STOP,
  V4L2_EVENT_EOS,
  V4L2_EVENT_SOURCE_CHANGE,
  V4L2_SEL_TGT_COMPOSE,
  VideoDevice,
  type V4l2BufferInfo,
} from '../index.js';
import { type BufferOptions, BufferSet } from './buffer-set.js';
import { DequeuedCheck } from './dequeued-check.js';

/** A picture that was dequeued. */
export interface Shown {
  readonly timestamp: number;
  readonly md5: string;
  readonly error: boolean;
  readonly width: number;
}

export interface PlayerOptions extends BufferOptions {
  readonly outputs?: number;
  readonly captures?: number;
  readonly multiplanar?: boolean;
  /** Multi-planar: `'YM12'` for three buffers a picture. */
  readonly pixelformat?: string;
  /** Looks with O_NONBLOCK instead of poll. */
  readonly nopoll?: boolean;
}

/** Nothing takes longer than this, ms. */
const LIMIT = { timeout: 30_000 };

export class V4l2Player {
  readonly video: VideoDevice;
  readonly output: number;
  readonly capture: number;
  readonly shown: Shown[] = [];
  readonly events: string[] = [];
  /** OUTPUT buffers that came back with the ERROR flag, by timestamp. */
  readonly faulty: number[] = [];
  readonly outputs: BufferSet;
  captures: BufferSet | undefined;
  readonly #machine: Machine;
  readonly #free: number[] = [];
  readonly #options: PlayerOptions;
  readonly #fed: DequeuedCheck = new DequeuedCheck('OUTPUT');
  #given: DequeuedCheck = new DequeuedCheck('CAPTURE');
  #started = false;
  #changing = false;

  constructor(machine: Machine, fourcc: string, options: PlayerOptions = {}, path?: string) {
    const { outputs = 3, multiplanar = false } = options;
    this.#machine = machine;
    this.#options = options;
    this.output = multiplanar ? V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE : V4L2_BUF_TYPE_VIDEO_OUTPUT;
    this.capture = multiplanar ? V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE : V4L2_BUF_TYPE_VIDEO_CAPTURE;
    const video = VideoDevice.open(machine, path);
    this.video = video;
    video.subscribeEvent({ type: V4L2_EVENT_SOURCE_CHANGE });
    video.subscribeEvent({ type: V4L2_EVENT_EOS });
    video.sFmt({ type: this.output, pixelformat: fourcc, planes: [{ sizeimage: 1 << 18 }] });
    this.outputs = new BufferSet(machine, video, this.output, outputs, options);
    for (let i = 0; i < this.outputs.count; i++) this.#free.push(i);
    video.streamon(this.output);
  }

  /** Allocates CAPTURE buffers for the present size, queues all, starts. */
  startCapture(): void {
    const { video, capture } = this;
    const { captures = 3, pixelformat } = this.#options;
    if (pixelformat !== undefined) video.sFmt({ type: capture, pixelformat });
    if (this.captures !== undefined) {
      video.reqbufs({ count: 0, type: capture, memory: this.captures.memory });
      this.captures.close();
    }
    this.captures = new BufferSet(this.#machine, video, capture, captures, this.#options);
    this.captures.queueAll();
    video.streamon(capture);
    this.#given = new DequeuedCheck('CAPTURE');
  }

  requeue(index: number): void {
    this.captures?.queue(index);
  }

  /** Queues a packet if there is an OUTPUT buffer for it. */
  feed({ data, timestamp }: Packet): boolean {
    const index = this.#free.shift();
    if (index === undefined) return false;
    this.outputs.write(index, [data]);
    this.outputs.queue(index, { bytesused: [data.length], timestamp });
    return true;
  }

  /** Takes what is done; false once LAST has come. */
  pump(timeout: number): boolean {
    if (this.#options.nopoll === true) return this.#look();
    const { video } = this;
    const ready = video.poll(EPOLLIN | EPOLLOUT | EPOLLPRI, timeout);
    if ((ready & EPOLLPRI) !== 0) this.takeEvents();
    if ((ready & EPOLLOUT) !== 0) this.takeOutput();
    return (ready & EPOLLIN) === 0 || this.takePicture();
  }

  takeOutput(): V4l2BufferInfo {
    const buffer = this.video.dqbuf(this.output, LIMIT);
    this.#fed.check(buffer);
    if ((buffer.flags & V4L2_BUF_FLAG_ERROR) !== 0) this.faulty.push(buffer.timestamp);
    this.#free.push(buffer.index);
    return buffer;
  }

  takeEvents(): void {
    for (;;) {
      const event = none('ENOENT', () => this.video.dqevent());
      if (event === undefined) return;
      this.events.push(`${event.type}:${event.changes}`);
      if (event.type === V4L2_EVENT_SOURCE_CHANGE) this.#changing = true;
    }
  }

  /** Dequeues a picture and queues its buffer again; false when it was LAST. */
  takePicture(): boolean {
    return this.#taken(this.video.dqbuf(this.capture, LIMIT));
  }

  /** Plays all packets and drains. */
  play(packets: readonly Packet[]): void {
    const rounds = this.#rounds(packets);
    while (rounds.next().done !== true);
  }

  /** {@link play}, and waits in the event loop. */
  async playAsync(packets: readonly Packet[]): Promise<void> {
    for (const _ of this.#rounds(packets)) {
      await this.video.pollAsync(EPOLLIN | EPOLLOUT | EPOLLPRI);
    }
  }

  *#rounds(packets: readonly Packet[]): Generator<void> {
    const queue = [...packets];
    let drained = false;
    for (let rounds = 0; rounds < 1_000_000; rounds++) {
      while (queue[0] !== undefined && this.feed(queue[0])) queue.shift();
      if (queue.length === 0 && !drained && this.#started) {
        this.video.decoderCmd({ cmd: V4L2_DEC_CMD_STOP });
        drained = true;
      }
      yield;
      const more = this.pump(5000);
      if (this.#changing && (!more || !this.#started)) this.#setUp();
      else if (!more) return;
    }
    throw new Error('the clip does not end');
  }

  close(): void {
    this.video.close();
    this.outputs.close();
    this.captures?.close();
  }

  #taken(buffer: V4l2BufferInfo): boolean {
    this.#given.check(buffer);
    const last = (buffer.flags & V4L2_BUF_FLAG_LAST) !== 0;
    const used = buffer.planes.reduce((sum, { bytesused }) => sum + bytesused, 0);
    const error = (buffer.flags & V4L2_BUF_FLAG_ERROR) !== 0;
    if (used > 0 || error) {
      const { timestamp } = buffer;
      const { width } = this.video.gFmt(this.capture);
      this.shown.push({ timestamp, md5: error ? '' : this.#md5(buffer), error, width });
    }
    if (!last) this.requeue(buffer.index);
    return !last;
  }

  /** The loop of an application that knows O_NONBLOCK only. */
  #look(): boolean {
    const { video } = this;
    this.takeEvents();
    const source = none('EAGAIN', () => video.dqbuf(this.output, { nonblock: true }));
    if (source !== undefined) {
      this.#fed.check(source);
      this.#free.push(source.index);
    }
    if (!this.#started) return true;
    const sink = none('EAGAIN', () => video.dqbuf(this.capture, { nonblock: true }));
    return sink === undefined || this.#taken(sink);
  }

  /** The size is known, and LAST of the old one is here. */
  #setUp(): void {
    if (this.#started) this.video.streamoff(this.capture);
    this.#started = true;
    this.#changing = false;
    this.startCapture();
  }

  #md5(buffer: V4l2BufferInfo): string {
    const hash = createHash('md5');
    for (const plane of this.captures?.read(buffer) ?? []) {
      for (const rows of this.#visible(plane)) hash.update(rows);
    }
    return hash.digest('hex');
  }

  /** What is visible in a buffer that holds all that is coded; else the whole of it. */
  *#visible(bytes: Uint8Array): Generator<Uint8Array> {
    const { width, height } = this.video.gFmt(this.capture);
    const rect = this.video.gSelection(this.capture, V4L2_SEL_TGT_COMPOSE);
    if (rect.width === width && rect.height === height) {
      yield bytes;
      return;
    }
    const { planes } = frameLayout({ codedWidth: width, codedHeight: height, crop: rect });
    const sizes = planeSizes('YU12', rect.width, rect.height);
    for (const [i, { offset, pitch }] of planes.entries()) {
      const { width: bytesPerRow = 0, rows = 0 } = sizes[i] ?? {};
      for (let row = 0; row < rows; row++) {
        yield bytes.subarray(offset + row * pitch, offset + row * pitch + bytesPerRow);
      }
    }
  }
}

/** What `call` returns; undefined where it fails with `code`. */
export function none<T>(code: string, call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if (error instanceof DmaBufError && error.code === code) return undefined;
    throw error;
  }
}
