/**
 * Jobs of QBUF as a session sees them: OUTPUT buffers, CAPTURE buffers, the marker of a drain.
 *
 * The driver half packs their payloads (MemToMemQueue); any process may submit to a context, so what arrives
 * is checked again here. Before a job ends its result is written for DQBUF (results.ts).
 */
import { DmaBufError, type FrameMetadata, type Job, errno } from '@dmabuf/core';
import { TRACE_KIND, type DriverDoor } from '@dmabuf/core/driver';
import { fileResult } from '../file-table.js';
import { writeResult, type Finished } from '../results.js';
import { V4L2_BUF_FLAG_ERROR, V4L2_BUF_FLAG_LAST } from '../videodev2.js';
import type { Result, Sink, Source } from './m2m.js';

/** Where a plane lies: which of the job's buffers, bytes from its start, bytes. */
export type PlanePayload = readonly [buffer: number, offset: number, length: number];

/** Payload of an OUTPUT buffer's job; `sequence` counts them since STREAMON, `parameters` are an encoder's. */
export type SourcePayload = readonly [
  tag: 'source',
  index: number,
  sequence: number,
  timestamp: number,
  planes: readonly PlanePayload[],
  parameters: readonly number[],
];

/** Payload of a CAPTURE buffer's job. An index of −1: no buffer of QBUF (queueCapture), so DQBUF asks for nothing. */
export type SinkPayload = readonly [
  tag: 'sink',
  index: number,
  sequence: number,
  planes: readonly PlanePayload[],
];

/** Payload of the marker that ends a drain. */
export type DrainPayload = readonly [tag: 'drain'];

/** Which job of QBUF this is; undefined: one of queueDecode, or of nobody. */
export function streamTag(job: Job): 'source' | 'sink' | 'drain' | undefined {
  const { payload } = job;
  const fields: readonly unknown[] = Array.isArray(payload) ? payload : [];
  const [tag] = fields;
  return tag === 'source' || tag === 'sink' || tag === 'drain' ? tag : undefined;
}

function malformed(job: Job): DmaBufError {
  const detail = `job ${job.context}:${job.seqno} was not queued by VIDIOC_QBUF`;
  return new DmaBufError('EINVAL', 'stream', detail);
}

function readPlanes(job: Job, value: unknown): readonly PlanePayload[] {
  const list: readonly unknown[] = Array.isArray(value) ? value : [];
  const planes = list.map((entry): PlanePayload => {
    const fields: readonly unknown[] = Array.isArray(entry) ? entry : [];
    const [buffer, offset, length] = fields;
    if (typeof buffer !== 'number' || typeof offset !== 'number' || typeof length !== 'number') {
      throw malformed(job);
    }
    return [buffer, offset, length];
  });
  if (planes.length > 0) return planes;
  throw malformed(job);
}

function planeBytes(job: Job, plane: PlanePayload | undefined): Uint8Array<ArrayBufferLike> {
  const [buffer, offset, length] = plane ?? [0, 0, 0];
  return job.buffer(buffer).bytes.subarray(offset, offset + length);
}

/** What both kinds need: the door for results and the trace, the file's record. */
export interface JobPlace {
  readonly door: DriverDoor;
  readonly record: number;
}

/** `at`: where DQBUF looks for it; undefined where nobody does. */
function finish(
  place: JobPlace,
  job: Job,
  at: number | undefined,
  fence: number,
  result: Finished,
): void {
  if (at !== undefined) writeResult(place.door.words, at, job.seqno, result);
  job.finish(fence);
}

/** An OUTPUT buffer, or a drain. Its run on the codec is a slice in the trace. */
export class StreamSource implements Source {
  readonly seqno: number;
  readonly drain: boolean;
  readonly lost: number;
  readonly timestamp: number = 0;
  /** What the driver half said of the buffer: an encoder's parameters. */
  readonly parameters: readonly number[] = [];
  readonly #job: Job;
  readonly #place: JobPlace;
  readonly #index: number = 0;
  readonly #sequence: number = 0;
  readonly #planes: readonly PlanePayload[] = [];
  #begun = false;

  /** Throws `EINVAL` for a payload that is none. */
  constructor(job: Job, place: JobPlace) {
    const { payload } = job;
    const fields: readonly unknown[] = Array.isArray(payload) ? payload : [];
    const [tag, index, sequence, timestamp, planes, parameters] = fields;
    this.#job = job;
    this.#place = place;
    this.seqno = job.seqno;
    this.lost = job.blocker;
    this.drain = tag === 'drain';
    if (this.drain) return;
    if (typeof index !== 'number' || typeof timestamp !== 'number') throw malformed(job);
    if (typeof sequence !== 'number') throw malformed(job);
    this.#index = index;
    this.#sequence = sequence;
    this.timestamp = timestamp;
    this.#planes = readPlanes(job, planes);
    const list: readonly unknown[] = Array.isArray(parameters) ? parameters : [];
    this.parameters = list.filter((value) => typeof value === 'number');
  }

  /** The bytes of the coded packet. */
  get data(): Uint8Array<ArrayBufferLike> {
    return planeBytes(this.#job, this.#planes[0]);
  }

  /** The bytes of each plane of a picture. */
  get planes(): readonly Uint8Array<ArrayBufferLike>[] {
    return this.#planes.map((plane) => planeBytes(this.#job, plane));
  }

  begin(): void {
    this.#begun = true;
    this.#place.door.trace(TRACE_KIND.START, this.seqno, this.#job.context, 0);
  }

  end(error: number): void {
    if (this.#begun) this.#place.door.trace(TRACE_KIND.END, this.seqno, this.#job.context, 0);
    if (this.drain) {
      this.#job.finish(error);
      return;
    }
    const at = fileResult(this.#place.record, true, this.#index);
    const flags = error === 0 ? 0 : V4L2_BUF_FLAG_ERROR;
    const { timestamp } = this;
    const finished = { timestamp, flags, sequence: this.#sequence, error, bytesused: [] };
    finish(this.#place, this.#job, at, error, finished);
  }
}

/** What a result's copy into a CAPTURE buffer says. */
export interface Filled {
  /** Bytes of each plane. */
  readonly bytesused: readonly number[];
  /** Bytes that were copied. */
  readonly copied: number;
  /** V4L2_BUF_FLAG_* */
  readonly flags: number;
  readonly metadata: FrameMetadata | undefined;
}

/**
 * Copies a result into the planes of a buffer, or moves the buffers of its job to where the result is; throws EINVAL where
 * it does not fit, touching nothing.
 */
export type Fill<T> = (
  result: T,
  planes: readonly Uint8Array<ArrayBufferLike>[],
  sequence: number,
  job: Job,
) => Filled;

/** A CAPTURE buffer. */
export class StreamSink<T extends Result> implements Sink<T> {
  readonly seqno: number;
  readonly #job: Job;
  readonly #place: JobPlace;
  readonly #fill: Fill<T>;
  readonly #at: number | undefined;
  readonly #sequence: number;
  readonly #planes: readonly PlanePayload[];

  /** Throws `EINVAL` for a payload that is none. */
  constructor(job: Job, place: JobPlace, fill: Fill<T>) {
    const { payload } = job;
    const fields: readonly unknown[] = Array.isArray(payload) ? payload : [];
    const [, index, sequence, planes] = fields;
    if (typeof index !== 'number' || typeof sequence !== 'number') throw malformed(job);
    this.#job = job;
    this.#place = place;
    this.#fill = fill;
    this.seqno = job.seqno;
    this.#at = index < 0 ? undefined : fileResult(place.record, false, index);
    this.#sequence = sequence;
    this.#planes = readPlanes(job, planes);
    if (job.buffers.some(({ exclusive }) => !exclusive)) throw malformed(job);
  }

  put(result: T, last: boolean): number {
    const job = this.#job;
    const sequence = result.sequence ?? this.#sequence;
    let filled: Filled;
    try {
      filled = this.#fill(
        result,
        this.#planes.map((plane) => planeBytes(job, plane)),
        sequence,
        job,
      );
    } catch (error) {
      if (!(error instanceof DmaBufError)) throw error;
      this.#endEmpty(error.errno, result.timestamp, last, sequence);
      return error.errno;
    }
    const { bytesused, copied, metadata } = filled;
    job.countCopied(copied);
    if (metadata !== undefined) for (const buffer of job.buffers) buffer.metadata = metadata;
    const flags = filled.flags | (last ? V4L2_BUF_FLAG_LAST : 0);
    const { timestamp } = result;
    const finished = { timestamp, flags, sequence, error: 0, bytesused };
    finish(this.#place, job, this.#at, 0, finished);
    return copied;
  }

  end(error: number, timestamp: number, sequence: number = this.#sequence): void {
    this.#endEmpty(error, timestamp, error === 0, sequence);
  }

  #endEmpty(error: number, timestamp: number, last: boolean, sequence: number): void {
    const flags = (error === 0 ? 0 : V4L2_BUF_FLAG_ERROR) | (last ? V4L2_BUF_FLAG_LAST : 0);
    // An empty buffer has no content: whoever is queued to read it must not find an old picture.
    const fence = error === 0 ? -errno.ENODATA : error;
    const bytesused = this.#planes.map(() => 0);
    const finished = { timestamp, flags, sequence, error, bytesused };
    finish(this.#place, this.#job, this.#at, fence, finished);
  }
}
