/**
 * An application that encodes pictures by the calls of V4L2 alone, single-threaded.
 */
import type { Machine } from '@dmabuf/core';
import { pattern } from '../codec/test/raw-clip.js';
import {
  EncoderDevice,
  EPOLLIN,
  EPOLLOUT,
  V4L2_BUF_FLAG_ERROR,
  V4L2_BUF_FLAG_KEYFRAME,
  V4L2_BUF_TYPE_VIDEO_CAPTURE,
  V4L2_BUF_TYPE_VIDEO_OUTPUT,
  V4L2_ENC_CMD_STOP,
  type V4l2BufferInfo,
} from '../index.js';
import { type BufferOptions, BufferSet } from './buffer-set.js';
import { DequeuedCheck } from './dequeued-check.js';
import { none } from './v4l2-player.js';

export const WIDTH = 64;
export const HEIGHT = 48;
/** Nothing takes longer than this, ms. */
const LIMIT = { timeout: 30_000 };

/** A packet that was dequeued. */
export interface Coded {
  readonly timestamp: number;
  readonly key: boolean;
  readonly error: boolean;
  readonly data: Uint8Array;
}

export interface EncoderRunOptions extends BufferOptions {
  readonly outputs?: number;
  readonly captures?: number;
  readonly nopoll?: boolean;
  readonly pixelformat?: 'YU12' | 'NV12';
  /** Bytes of a CAPTURE buffer. */
  readonly sizeimage?: number;
}

export class V4l2Encoder {
  readonly video: EncoderDevice;
  readonly output: number = V4L2_BUF_TYPE_VIDEO_OUTPUT;
  readonly capture: number = V4L2_BUF_TYPE_VIDEO_CAPTURE;
  readonly packets: Coded[] = [];
  readonly outputs: BufferSet;
  readonly captures: BufferSet;
  readonly #free: number[] = [];
  readonly #nopoll: boolean;
  readonly #fed: DequeuedCheck = new DequeuedCheck('OUTPUT');
  readonly #given: DequeuedCheck = new DequeuedCheck('CAPTURE');

  constructor(machine: Machine, fourcc: string, options: EncoderRunOptions = {}) {
    const { outputs = 3, captures = 3, pixelformat = 'YU12', sizeimage } = options;
    const video = EncoderDevice.open(machine);
    const { output, capture } = this;
    this.video = video;
    this.#nopoll = options.nopoll ?? false;
    const planes = sizeimage === undefined ? {} : { planes: [{ sizeimage }] };
    video.sFmt({ type: capture, pixelformat: fourcc, ...planes });
    video.sFmt({ type: output, pixelformat, width: WIDTH, height: HEIGHT });
    this.outputs = new BufferSet(machine, video, output, outputs, options);
    this.captures = new BufferSet(machine, video, capture, captures, options);
    for (let i = 0; i < this.outputs.count; i++) this.#free.push(i);
    this.captures.queueAll();
    video.streamon(output);
    video.streamon(capture);
  }

  /** Queues a picture if there is an OUTPUT buffer for it. */
  feed(timestamp: number, data: Uint8Array = picture(timestamp)): boolean {
    const index = this.#free.shift();
    if (index === undefined) return false;
    this.outputs.write(index, [data]);
    this.outputs.queue(index, { bytesused: [data.length], timestamp });
    return true;
  }

  takeOutput(): V4l2BufferInfo {
    const buffer = this.video.dqbuf(this.output, LIMIT);
    this.#fed.check(buffer);
    this.#free.push(buffer.index);
    return buffer;
  }

  /** The next CAPTURE buffer, which is queued again unless it is LAST. */
  takePacket(): V4l2BufferInfo {
    return this.#taken(this.video.dqbuf(this.capture, LIMIT));
  }

  /** Takes what is done; false once LAST has come. */
  pump(): boolean {
    const { video, output, capture } = this;
    if (!this.#nopoll) {
      const ready = video.poll(EPOLLIN | EPOLLOUT, 5000);
      if ((ready & EPOLLOUT) !== 0) this.takeOutput();
      return (ready & EPOLLIN) === 0 || !EncoderDevice.isLast(this.takePacket());
    }
    const source = none('EAGAIN', () => video.dqbuf(output, { nonblock: true }));
    if (source !== undefined) {
      this.#fed.check(source);
      this.#free.push(source.index);
    }
    const sink = none('EAGAIN', () => video.dqbuf(capture, { nonblock: true }));
    return sink === undefined || !EncoderDevice.isLast(this.#taken(sink));
  }

  /** Encodes pictures 0 to `count`, and drains. */
  *rounds(count: number): Generator<void> {
    let next = 0;
    for (let rounds = 0; rounds < 1_000_000; rounds++) {
      while (next < count && this.feed(next)) next++;
      if (next === count) {
        this.video.encoderCmd({ cmd: V4L2_ENC_CMD_STOP });
        next++;
      }
      yield;
      if (!this.pump()) return;
    }
    throw new Error('the stream does not end');
  }

  encode(count: number): void {
    const rounds = this.rounds(count);
    while (rounds.next().done !== true);
  }

  close(): void {
    this.video.close();
    this.outputs.close();
    this.captures.close();
  }

  #taken(buffer: V4l2BufferInfo): V4l2BufferInfo {
    this.#given.check(buffer);
    const { flags, timestamp } = buffer;
    const error = (flags & V4L2_BUF_FLAG_ERROR) !== 0;
    const empty = error || buffer.planes[0]?.bytesused === 0;
    const [data = new Uint8Array(0)] = empty ? [] : this.captures.read(buffer);
    const key = (flags & V4L2_BUF_FLAG_KEYFRAME) !== 0;
    if (error || data.length > 0) this.packets.push({ timestamp, key, error, data });
    if (!EncoderDevice.isLast(buffer)) this.captures.queue(buffer.index);
    return buffer;
  }
}

/** A picture that moves with its number. */
export function picture(number: number): Uint8Array {
  return Uint8Array.from(pattern(WIDTH, HEIGHT, 3 * number).data);
}
