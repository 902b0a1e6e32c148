/**
 * Jobs of the two queues as the decoder session sees them: a packet of bitstream, a CAPTURE slot.
 *
 * The driver half packs their payloads (VideoDevice.queueDecode); any process may submit to a
 * context, so what arrives is checked again here.
 */
import { DmaBufError, type Job } from '@dmabuf/core';
import { TRACE_KIND, type DriverDoor } from '@dmabuf/core/driver';
import { pictureMetadata } from '../capture-format.js';
import { tightLayout } from '../codec/planes.js';
import type { Picture } from '../codec/index.js';
import type { CaptureSlot, PacketIn } from './decoder-session.js';

/** Payload of a packet's job. */
export type PacketPayload = readonly [
  timestamp: number,
  offset: number,
  size: number,
  bound: boolean,
];

/** Payload of its CAPTURE job; `packet` is the seqno of the packet's job. */
export type SlotPayload = readonly [timestamp: number, packet: number];

function malformed(job: Job): DmaBufError {
  const detail = `job ${job.context}:${job.seqno} was not queued by VideoDevice.queueDecode`;
  return new DmaBufError('EINVAL', 'decode', detail);
}

function readPacketPayload(job: Job): PacketPayload {
  const { payload } = job;
  const fields: readonly unknown[] = Array.isArray(payload) ? payload : [];
  const [timestamp, offset, size, bound] = fields;
  if (
    typeof timestamp !== 'number' ||
    typeof offset !== 'number' ||
    typeof size !== 'number' ||
    typeof bound !== 'boolean'
  ) {
    throw malformed(job);
  }
  return [timestamp, offset, size, bound];
}

/** A job of the bitstream queue. Its run on the decoder is a slice in the trace. */
export class PacketJob implements PacketIn {
  readonly seqno: number;
  readonly timestamp: number;
  readonly bound: boolean;
  readonly lost: number;
  readonly #job: Job;
  readonly #door: DriverDoor;
  readonly #offset: number;
  readonly #size: number;
  #begun = false;

  /** Throws `EINVAL` for a payload that is none. */
  constructor(job: Job, door: DriverDoor) {
    const [timestamp, offset, size, bound] = readPacketPayload(job);
    if (job.blocker === 0 && job.buffers.length !== 1) throw malformed(job);
    this.#job = job;
    this.#door = door;
    this.#offset = offset;
    this.#size = size;
    this.seqno = job.seqno;
    this.timestamp = timestamp;
    this.bound = bound;
    this.lost = job.blocker;
  }

  get data(): Uint8Array<ArrayBufferLike> {
    return this.#job.buffer(0).bytes.subarray(this.#offset, this.#offset + this.#size);
  }

  begin(): void {
    this.#begun = true;
    this.#door.trace(TRACE_KIND.START, this.seqno, this.#job.context, 0);
  }

  end(error: number): void {
    if (this.#begun) this.#door.trace(TRACE_KIND.END, this.seqno, this.#job.context, 0);
    this.#job.finish(error);
  }
}

/** What a CAPTURE job waits for. Throws `EINVAL`. */
export function readSlot(job: Job): SlotPayload {
  const { payload } = job;
  const fields: readonly unknown[] = Array.isArray(payload) ? payload : [];
  const [timestamp, packet] = fields;
  if (typeof timestamp === 'number' && typeof packet === 'number') return [timestamp, packet];
  throw malformed(job);
}

/** A granted job of the CAPTURE queue. */
export class SlotJob implements CaptureSlot {
  readonly seqno: number;
  readonly timestamp: number;
  readonly packet: number;
  readonly #job: Job;

  /** Throws `EINVAL` for a payload that is none. */
  constructor(job: Job) {
    if (job.buffers.length !== 1 || !job.buffer(0).exclusive) throw malformed(job);
    this.#job = job;
    this.seqno = job.seqno;
    [this.timestamp, this.packet] = readSlot(job);
  }

  get capacity(): number {
    return this.#job.buffer(0).record.size;
  }

  fill(picture: Picture, sequence: number): number {
    const buffer = this.#job.buffer(0);
    const { planes } = tightLayout(picture.fourcc, picture.width, picture.height);
    const bytes = picture.copyTo(buffer.bytes, planes);
    this.#job.countCopied(bytes);
    buffer.metadata = pictureMetadata(picture, sequence);
    return bytes;
  }

  end(error: number): void {
    this.#job.finish(error);
  }
}
