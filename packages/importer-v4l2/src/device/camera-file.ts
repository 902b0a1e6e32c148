/**
 * CameraFile: one open file of a camera, as the worker sees it: the buffers that wait for a frame, in the order in
 * which they were queued, and the beat of its frames.
 *
 * Frame n comes (n + 1) intervals after streaming began, whether or not a buffer waits: without one it is dropped, and
 * its number with it. EPOCH and NEXT_FRAME are in the record, so that a worker that is started again keeps the beat;
 * frames that fell into the gap are dropped. EPOCH is a double: a value that a death tore is not between 0 and now, and
 * then the beat begins anew. Buffers that wait outlive the worker (`defer({ again })`): nothing has come of them.
 */
import { type Context, errno, type Job, type Machine } from '@dmabuf/core';
import type { DriverDoor } from '@dmabuf/core/driver';
import { frameMetadata } from '../capture-format.js';
import { cameraLayout } from '../camera-pixels.js';
import type { CameraState } from '../camera-state.js';
import { eventHead, raiseEvent } from '../event-ring.js';
import { FILE } from '../file-table.js';
import { V4L2_EVENT_EOS } from '../videodev2.js';
import { closeContexts, contextOf } from './file-contexts.js';
import type { FrameSource } from './frame-source.js';
import { type Result, STOP } from './m2m.js';
import { type Fill, StreamSink } from './stream-jobs.js';

/** Part of an interval that a clock may be short of a beat and still be on it. */
const SLACK = 1e-6;

export interface CameraParts {
  readonly machine: Machine;
  readonly door: DriverDoor;
  readonly state: CameraState;
  readonly source: FrameSource;
}

interface Frame extends Result {
  readonly sequence: number;
}

export class CameraFile {
  readonly record: number;
  readonly sink: Context;
  readonly #source: Context;
  readonly #parts: CameraParts;
  #waiting: StreamSink<Frame>[] = [];
  /** Jobs that wait for an event. */
  readonly #listeners: Job[] = [];

  private constructor(parts: CameraParts, record: number, source: Context, sink: Context) {
    this.#parts = parts;
    this.record = record;
    this.#source = source;
    this.sink = sink;
  }

  /** The file of a record. Undefined when its contexts have ended with its process: the record is then free. */
  static of(parts: CameraParts, record: number): CameraFile | undefined {
    const { machine, door } = parts;
    const { words } = door;
    const source = contextOf(machine, words.get(record + FILE.SOURCE));
    const sink = contextOf(machine, words.get(record + FILE.SINK));
    if (source !== undefined && sink !== undefined) {
      return new CameraFile(parts, record, source, sink);
    }
    if (words.load(record + FILE.STATE) < 0) words.store(record + FILE.STATE, 0);
    return undefined;
  }

  get closing(): boolean {
    return this.#parts.door.words.load(this.record + FILE.STATE) <= 0;
  }

  /** Takes a buffer in. Throws EINVAL for a job that is none. */
  take(job: Job): void {
    if (job.blocker !== 0) return job.finish(job.blocker);
    const place = { door: this.#parts.door, record: this.record };
    const sink = new StreamSink<Frame>(job, place, this.#fill);
    job.defer({ again: true });
    if (this.closing || sink.seqno <= this.#cut) return sink.end(-errno.ECANCELED, 0);
    job.waitUntil(Infinity); // however long no frame comes, the device does not hang
    this.#waiting.push(sink);
    return undefined;
  }

  /** Keeps a job until an event is raised that its sender has not seen. */
  awaitEvent(job: Job, seen: number): void {
    if (eventHead(this.#parts.door.words, this.record + FILE.EVENTS) !== seen) return job.finish();
    job.defer({ again: true });
    job.waitUntil(Infinity);
    this.#listeners.push(job);
    return undefined;
  }

  /** Does what STREAMON and STREAMOFF have asked for in the record, and notes that it has. */
  sync(): void {
    const { words } = this.#parts.door;
    const asked = words.load(this.record + FILE.SINK_ON);
    if (words.get(this.record + FILE.SEEN_SINK) === asked) return;
    this.#cancelTo(this.#cut);
    this.#rest();
    if (asked % 2 === 1) this.#begin();
    words.set(this.record + FILE.SEEN_SINK, asked);
  }

  /** Gives out the frame that is due; when the next one is, ms. */
  tick(now: number): number {
    if (this.closing) {
      this.#cancelTo(Infinity);
      for (const job of this.#listeners.splice(0)) job.finish(-errno.EBADF);
      return Infinity;
    }
    this.sync();
    if (!this.#runs) {
      this.#rest();
      return Infinity;
    }
    const { words } = this.#parts.door;
    const epoch = words.getDouble(this.record + FILE.EPOCH);
    if (!(epoch > 0 && epoch <= now)) this.#begin();
    return this.#beat(now);
  }

  /** Closes the contexts of a closed file once its jobs have ended, and frees the record. */
  drained(): boolean {
    if (!closeContexts(this.#parts.machine, [this.#source, this.sink])) return false;
    this.#parts.door.words.store(this.record + FILE.STATE, 0);
    return true;
  }

  #beat(now: number): number {
    const { door, source, state } = this.#parts;
    const { words } = door;
    const interval = state.interval / 10_000;
    const epoch = words.getDouble(this.record + FILE.EPOCH);
    const first = words.get(this.record + FILE.NEXT_FRAME);
    const newest = Math.floor((now - epoch) / interval + SLACK) - 1;
    const end = Math.min(newest + 1, source.frames);
    if (first < end) {
      // What came while the worker was away is gone: only the newest is still there.
      this.#count(FILE.DROPPED, end - 1 - first);
      this.#count(FILE.PACKETS, end - first);
      words.set(this.record + FILE.NEXT_FRAME, end);
      this.#give(end - 1, epoch + end * interval);
    }
    const next = words.get(this.record + FILE.NEXT_FRAME);
    if (next < source.frames) return epoch + (next + 1) * interval;
    this.#end(now);
    return Infinity;
  }

  #give(sequence: number, timestamp: number): void {
    const sink = this.#waiting.shift();
    if (sink === undefined) return this.#count(FILE.DROPPED, 1);
    const copied = sink.put({ sequence, timestamp, damaged: false, geometry: undefined }, false);
    if (copied < 0) return this.#count(FILE.ERRORS, 1);
    this.#count(FILE.DECODED, 1);
    const { words } = this.#parts.door;
    const total = this.record + FILE.COPIED;
    words.setDouble(total, words.getDouble(total) + copied);
    return undefined;
  }

  /** The source has no more: one empty buffer with LAST; what was queued ahead ends, too. */
  #end(now: number): void {
    const { words } = this.#parts.door;
    const sequence = words.get(this.record + FILE.NEXT_FRAME);
    const told = words.load(this.record + FILE.STOP) === STOP.STOPPED;
    if (this.#waiting.length === 0 || (this.#streams && told)) return;
    const ended = this.#streams ? this.#waiting.splice(0, 1) : this.#waiting.splice(0);
    words.store(this.record + FILE.STOP, STOP.STOPPED);
    for (const sink of ended) sink.end(0, now, sequence);
    if (told) return;
    const event = { type: V4L2_EVENT_EOS, changes: 0, timestamp: now };
    raiseEvent(words, this.record + FILE.EVENTS, event);
    for (const job of this.#listeners.splice(0)) job.finish();
  }

  readonly #fill: Fill<Frame> = ({ timestamp }, planes, sequence) => {
    const { source, state } = this.#parts;
    const { format } = state;
    const { width, height, fourcc } = format;
    const copied = source.write(sequence, format, planes[0] ?? new Uint8Array(0));
    // The pattern's own matrix; of a file's colours its size is what there is to go by.
    const matrix = state.spec.file === '' ? 'bt601' : 'unspecified';
    const range = fourcc === 'XR24' || fourcc === 'RGB3' ? 'full' : 'limited';
    const colour = { range, matrix } as const;
    const { planes: layout, byteLength } = cameraLayout(fourcc, width, height);
    const metadata = frameMetadata({ ...format, colour, timestamp }, layout, sequence);
    return {
      bytesused: [byteLength],
      copied,
      flags: 0,
      metadata,
    };
  };

  /** QBUF's, or frames that were queued ahead. */
  get #streams(): boolean {
    return this.#parts.door.words.load(this.record + FILE.SINK_OWNER) !== 0;
  }

  get #runs(): boolean {
    if (this.#streams) return this.#parts.door.words.load(this.record + FILE.SINK_ON) % 2 === 1;
    return this.sink.submitted > this.sink.completed;
  }

  get #cut(): number {
    return this.#parts.door.words.getDouble(this.record + FILE.SINK_CUT);
  }

  #begin(): void {
    const { words } = this.#parts.door;
    const now = this.#parts.door.now();
    words.store(this.record + FILE.NEXT_FRAME, 0);
    // 0 says that it does not stream, and a manual clock begins there.
    words.setDouble(this.record + FILE.EPOCH, Math.max(now, Number.MIN_VALUE));
  }

  #rest(): void {
    const { words } = this.#parts.door;
    words.setDouble(this.record + FILE.EPOCH, 0);
    words.store(this.record + FILE.STOP, STOP.RUNNING);
  }

  #cancelTo(seqno: number): void {
    const ended = this.#waiting.filter((sink) => sink.seqno <= seqno);
    this.#waiting = this.#waiting.filter((sink) => sink.seqno > seqno);
    for (const sink of ended) sink.end(-errno.ECANCELED, 0);
  }

  #count(field: number, by: number): void {
    const { words } = this.#parts.door;
    words.set(this.record + field, words.get(this.record + field) + by);
  }
}
