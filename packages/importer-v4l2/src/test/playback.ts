/**
 * Plays clips through a machine with a video device and a reader in a process of its own: all of a
 * clip is queued ahead on a few CAPTURE buffers, as an application would.
 */
import { Worker } from 'node:worker_threads';
import {
  boot,
  DmaBufError,
  shared,
  type BootOptions,
  type Context,
  type DmaBuf,
  type Fence,
  type Machine,
} from '@dmabuf/core';
import * as assert from 'uvu/assert';
import { codecOf } from '../codec/index.js';
import { frameMd5s, loadClip, type Clip } from '../codec/test/clips.js';
import { captureFormat, v4l2, VideoDevice, type DecoderStats } from '../index.js';
import type { ReadFrame } from './reader-worker.js';

/** What became of a clip. Keys are the numbers of the packets, which are the timestamps. */
export interface Playback {
  /** Status of the fence of every packet. */
  readonly statuses: ReadonlyMap<number, number>;
  readonly frames: ReadonlyMap<number, ReadFrame>;
  readonly stats: DecoderStats;
}

/** A machine with a video device and a reader. */
export class Bench {
  readonly machine: Machine;
  readonly #reader: Context;
  readonly #frames: ReadFrame[] = [];
  #arrived: () => void = () => {};

  private constructor(machine: Machine, worker: Worker, reader: Context) {
    this.machine = machine;
    this.#reader = reader;
    worker.on('message', (frame: ReadFrame) => {
      this.#frames.push(frame);
      this.#arrived();
    });
  }

  static async boot(options: BootOptions = {}): Promise<Bench> {
    const machine = await boot({ drivers: [v4l2()], ...options });
    const url = new URL('./reader-worker.js', import.meta.url);
    const worker = new Worker(url, machine.invite('reader'));
    const context = machine.createContext(await machine.peer('reader'), 'reader');
    return new Bench(machine, worker, context);
  }

  /** Queues the reading of a frame behind whatever writes it. */
  read(buffer: DmaBuf, frame: number): Fence {
    return this.#reader.submit({ buffers: [shared(buffer)], payload: frame });
  }

  /** The next `count` frames that the reader posts. */
  async take(count: number): Promise<ReadFrame[]> {
    while (this.#frames.length < count) {
      await new Promise<void>((resolve) => {
        this.#arrived = resolve;
      });
    }
    return this.#frames.splice(0, count);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.machine.shutdown();
  }
}

/** A clip's packets in one buffer, and where each lies. The caller closes it. */
export function stage(machine: Machine, clip: Clip): { buffer: DmaBuf; offsets: number[] } {
  const offsets: number[] = [];
  let end = 0;
  for (const { data } of clip.packets) {
    offsets.push(end);
    end += data.length;
  }
  const buffer = machine.alloc(end, { name: 'bitstream' });
  using access = buffer.access({ write: true, discard: true });
  clip.packets.forEach(({ data }, i) => access.bytes.set(data, offsets[i]));
  return { buffer, offsets };
}

/** Bytes of the largest picture of a clip, by its headers. */
export function largestPicture(clip: Clip): number {
  const codec = codecOf(clip.fourcc);
  let bytes = 0;
  for (const { data } of clip.packets) {
    const { stream } = codec.inspect(data);
    if (stream === undefined) continue;
    bytes = Math.max(bytes, captureFormat(stream.width, stream.height).sizeimage);
  }
  return bytes;
}

/** A clip that is queued, with `depth` CAPTURE buffers that belong to it. */
export class Queued {
  readonly clip: Clip;
  readonly video: VideoDevice;
  readonly fences: Map<number, Fence> = new Map();
  readonly #bench: Bench;
  readonly #buffers: DmaBuf[];
  readonly #reads: number;

  /** Queues all packets; empty ones (cut off by damage) cannot be queued and are left out. */
  constructor(
    bench: Bench,
    clip: Clip,
    options: { bytes: number; depth?: number; original?: Clip },
  ) {
    const { machine } = bench;
    const { bytes, depth = 4, original = clip } = options;
    this.#bench = bench;
    this.clip = clip;
    this.video = VideoDevice.open(machine);
    this.video.setFormat({ output: { fourcc: clip.fourcc }, depth });
    const { buffer, offsets } = stage(machine, clip);
    this.#buffers = Array.from({ length: depth }, () => machine.alloc(bytes));
    const codec = codecOf(clip.fourcc);
    let reads = 0;
    for (const [i, { data, timestamp }] of clip.packets.entries()) {
      const source = original.packets[i]?.data ?? data;
      const capture = this.#buffers[reads % depth];
      if (data.length === 0 || capture === undefined) continue;
      const bitstream = { buffer, offset: offsets[i] ?? 0, size: data.length };
      const request = codec.inspect(source).shown
        ? { bitstream, timestamp, capture }
        : { bitstream, timestamp };
      try {
        this.fences.set(timestamp, this.video.queueDecode(request));
      } catch (error) {
        // A damaged header may claim a picture that fits no buffer.
        if (!(error instanceof DmaBufError) || error.code !== 'EPIPE') throw error;
        break;
      }
      if (request.capture === undefined) continue;
      bench.read(capture, timestamp);
      reads++;
    }
    this.#reads = reads;
    buffer.close();
  }

  /** Frames that the reader posts. */
  get shown(): number {
    return this.#reads;
  }

  /** Gives the buffers and the file back. */
  close(): void {
    this.#giveBack();
    this.video.close();
  }

  /** Waits for all of it; gives the buffers back, and by default the file. */
  async finish(options: { readonly close?: boolean } = {}): Promise<Playback> {
    const statuses = new Map<number, number>();
    for (const [timestamp, fence] of this.fences) statuses.set(timestamp, await fence.settled());
    const read = await this.#bench.take(this.#reads);
    const stats = this.video.stats();
    this.#giveBack();
    if (options.close !== false) this.video.close();
    return { statuses, stats, frames: new Map(read.map((frame) => [frame.frame, frame])) };
  }

  #giveBack(): void {
    for (const buffer of this.#buffers) {
      // Nobody holds it any more: the CPU gets it for itself.
      buffer.access({ write: true, discard: true, timeout: 10_000 }).finish();
      buffer.close();
    }
  }
}

/** Plays a clip to its end. */
export async function play(bench: Bench, clip: Clip, depth = 4): Promise<Playback> {
  return new Queued(bench, clip, { bytes: largestPicture(clip), depth }).finish();
}

/** MD5s of what was shown, in order. */
export function md5sOf({ frames }: Playback): (string | undefined)[] {
  return [...frames.values()].sort((a, b) => a.frame - b.frame).map(({ md5 }) => md5);
}

/**
 * Plays a clip of the tests' and checks that every picture equals ffmpeg's, comes once, with its time and number, by
 * one copy, and leaves no buffer behind.
 */
export async function playExactly(bench: Bench, name: string): Promise<void> {
  const clip = await loadClip(name);
  const buffersBefore = bench.machine.stats().buffers;
  const played = await play(bench, clip);
  assert.equal(md5sOf(played), frameMd5s(name));
  assert.ok([...played.statuses.values()].every((status) => status === 1));
  const { packets, decoded, hidden, errors, dropped, bytesCopied } = played.stats;
  assert.is(packets, clip.packets.length);
  assert.is(decoded, played.frames.size);
  assert.equal({ hidden: packets - decoded, errors, dropped }, { hidden, errors: 0, dropped: 0 });
  const metadata = [...played.frames.values()].map((frame) => frame.metadata);
  const pixels = metadata.reduce((sum, m) => {
    const { width = 0, height = 0 } = m ?? {};
    return sum + width * height + 2 * ((width + 1) >> 1) * ((height + 1) >> 1);
  }, 0);
  assert.is(bytesCopied, pixels, 'each picture is copied exactly once');
  assert.equal(
    metadata.map((m) => m?.timestamp),
    [...played.frames.keys()],
  );
  assert.equal(
    metadata.map((m) => m?.sequence),
    metadata.map((_, i) => i),
  );
  assert.is(bench.machine.stats().buffers, buffersBefore);
}
