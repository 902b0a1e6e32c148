/**
 * An application that plays a clip by the calls of V4L2 alone, single-threaded: the loop of every decoder
 * test program. Checks what v4l2-compliance checks of each dequeued buffer.
 */
import { createHash } from 'node:crypto';
import * as assert from 'uvu/assert';
import { DmaBufError, type Machine } from '@dmabuf/core';
import type { Packet } from '../codec/codec.js';
import {
  EPOLLIN,
  EPOLLOUT,
  EPOLLPRI,
  V4L2_BUF_FLAG_DONE,
  V4L2_BUF_FLAG_ERROR,
  V4L2_BUF_FLAG_LAST,
  V4L2_BUF_TYPE_VIDEO_CAPTURE,
  V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE,
  V4L2_BUF_TYPE_VIDEO_OUTPUT,
  V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE,
  V4L2_DEC_CMD_STOP,
  V4L2_EVENT_EOS,
  V4L2_EVENT_SOURCE_CHANGE,
  V4L2_MEMORY_MMAP,
  VideoDevice,
  type V4l2BufferInfo,
} from '../index.js';

/** A picture that was dequeued. */
export interface Shown {
  readonly timestamp: number;
  readonly md5: string;
  readonly error: boolean;
  readonly width: number;
}

export interface PlayerOptions {
  readonly outputs?: number;
  readonly captures?: number;
  readonly multiplanar?: boolean;
  /** Multi-planar: `'YM12'` for three buffers a picture. */
  readonly pixelformat?: string;
}

export class V4l2Player {
  readonly video: VideoDevice;
  readonly output: number;
  readonly capture: number;
  readonly shown: Shown[] = [];
  readonly events: string[] = [];
  /** OUTPUT buffers that came back with the ERROR flag, by timestamp. */
  readonly faulty: number[] = [];
  readonly #free: number[] = [];
  readonly #options: PlayerOptions;
  #sequence = -1;

  constructor(machine: Machine, fourcc: string, options: PlayerOptions = {}, path?: string) {
    const { outputs = 3, multiplanar = false } = options;
    this.#options = options;
    this.output = multiplanar ? V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE : V4L2_BUF_TYPE_VIDEO_OUTPUT;
    this.capture = multiplanar ? V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE : V4L2_BUF_TYPE_VIDEO_CAPTURE;
    const video = VideoDevice.open(machine, path);
    this.video = video;
    video.subscribeEvent({ type: V4L2_EVENT_SOURCE_CHANGE });
    video.subscribeEvent({ type: V4L2_EVENT_EOS });
    video.sFmt({ type: this.output, pixelformat: fourcc, planes: [{ sizeimage: 1 << 18 }] });
    const { count } = video.reqbufs({
      count: outputs,
      type: this.output,
      memory: V4L2_MEMORY_MMAP,
    });
    for (let i = 0; i < count; i++) this.#free.push(i);
    video.streamon(this.output);
  }

  /** Allocates CAPTURE buffers for the present size, queues all, starts. */
  startCapture(): void {
    const { video, capture } = this;
    const { captures = 3, pixelformat } = this.#options;
    if (pixelformat !== undefined) video.sFmt({ type: capture, pixelformat });
    const { count } = video.reqbufs({ count: captures, type: capture, memory: V4L2_MEMORY_MMAP });
    for (let i = 0; i < count; i++) this.requeue(i);
    video.streamon(capture);
    this.#sequence = -1;
  }

  requeue(index: number): void {
    const planes = this.video.querybuf(this.capture, index).planes.map(() => ({}));
    this.video.qbuf({ index, type: this.capture, memory: V4L2_MEMORY_MMAP, planes });
  }

  /** Queues a packet if there is an OUTPUT buffer for it. */
  feed({ data, timestamp }: Packet): boolean {
    const index = this.#free.shift();
    if (index === undefined) return false;
    const { video, output } = this;
    const [plane] = video.querybuf(output, index).planes;
    using mapping = video.mmap(plane?.m.mem_offset ?? -1);
    const access = mapping.prepareAccess({ write: true, discard: true });
    access.bytes.set(data);
    access.finish();
    const planes = [{ bytesused: data.length }];
    video.qbuf({ index, type: output, memory: V4L2_MEMORY_MMAP, planes, timestamp });
    return true;
  }

  /** Takes what is done; false once LAST has come. */
  pump(timeout: number): boolean {
    const { video } = this;
    const ready = video.poll(EPOLLIN | EPOLLOUT | EPOLLPRI, timeout);
    if ((ready & EPOLLPRI) !== 0) this.takeEvents();
    if ((ready & EPOLLOUT) !== 0) this.takeOutput();
    return (ready & EPOLLIN) === 0 || this.takePicture();
  }

  takeOutput(): V4l2BufferInfo {
    const buffer = this.video.dqbuf(this.output);
    if ((buffer.flags & V4L2_BUF_FLAG_ERROR) !== 0) this.faulty.push(buffer.timestamp);
    this.#free.push(buffer.index);
    return buffer;
  }

  takeEvents(): void {
    for (;;) {
      try {
        const { type, changes } = this.video.dqevent();
        this.events.push(`${type}:${changes}`);
        if (type === V4L2_EVENT_SOURCE_CHANGE) this.#changing = true;
      } catch (error) {
        if (error instanceof DmaBufError && error.code === 'ENOENT') return;
        throw error;
      }
    }
  }

  /** Dequeues a picture and queues its buffer again; false when it was LAST. */
  takePicture(): boolean {
    const buffer = this.video.dqbuf(this.capture);
    this.#check(buffer);
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

  /** Plays all packets and drains. */
  play(packets: readonly Packet[]): void {
    const queue = [...packets];
    let drained = false;
    for (let rounds = 0; rounds < 100_000; rounds++) {
      while (queue[0] !== undefined && this.feed(queue[0])) queue.shift();
      if (queue.length === 0 && !drained && this.#started) {
        this.video.decoderCmd({ cmd: V4L2_DEC_CMD_STOP });
        drained = true;
      }
      const more = this.pump(5000);
      if (this.#changing && (!more || !this.#started)) this.#setUp();
      else if (!more) return;
    }
    throw new Error('the clip does not end');
  }

  #started = false;
  #changing = false;

  /** The size is known, and LAST of the old one is here. */
  #setUp(): void {
    if (this.#started) this.video.streamoff(this.capture);
    this.#started = true;
    this.#changing = false;
    this.startCapture();
  }

  #check({ flags, planes, sequence, field, timestamp }: V4l2BufferInfo): void {
    assert.is(flags & V4L2_BUF_FLAG_DONE, 0);
    const last = (flags & V4L2_BUF_FLAG_LAST) !== 0;
    const error = (flags & V4L2_BUF_FLAG_ERROR) !== 0;
    for (const { bytesused, length, data_offset } of planes) {
      assert.ok(bytesused <= length);
      assert.ok(last || error || bytesused > 0);
      assert.ok(data_offset === 0 || data_offset < bytesused);
    }
    assert.ok(sequence > this.#sequence, `sequence ${sequence} after ${this.#sequence}`);
    this.#sequence = sequence;
    assert.is(field, 1);
    assert.ok(timestamp >= 0);
  }

  #md5({ index, planes }: V4l2BufferInfo): string {
    const hash = createHash('md5');
    for (const { m, bytesused } of planes) {
      const mapping = this.video.mmap(m.mem_offset ?? -1);
      const access = mapping.prepareAccess({ read: true });
      hash.update(access.bytes.subarray(0, bytesused));
      access.finish();
      mapping.close();
    }
    assert.ok(index >= 0);
    return hash.digest('hex');
  }
}
