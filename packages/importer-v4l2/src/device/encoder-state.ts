/**
 * What a file encodes, opened. The encoder itself is opened with the first picture, when its settings are known.
 */
import { DmaBufError, type Job } from '@dmabuf/core';
import { encoderOf } from '../codec/encoders.js';
import type { CodecState, OutputFormat, Resume } from './codec-state.js';
import { newCounters, type SessionCounters } from './decoder-session.js';
import {
  EncoderCoder,
  type EncoderFormat,
  fillPacket,
  type PacketResult,
} from './encoder-coder.js';
import type { M2mHooks } from './m2m.js';
import { M2mSession } from './m2m-session.js';
import { type JobPlace, StreamSink, type StreamSource } from './stream-jobs.js';

export class EncoderState implements CodecState {
  readonly bound = undefined;
  readonly stream: M2mSession<StreamSource, PacketResult>;
  readonly counters: SessionCounters = newCounters();
  readonly reorderDelay = 0;

  private constructor(fourcc: string, format: EncoderFormat, hooks: M2mHooks, from: Resume) {
    const coder = new EncoderCoder(encoderOf(fourcc), format);
    const options = { resetWithSink: true, from: from.state };
    this.stream = new M2mSession(coder, hooks, this.counters, options);
  }

  /** EINVAL: no such encoder, or it does not take such pictures; ENOENT: its package is missing. */
  static open(format: OutputFormat, hooks: M2mHooks, from: Resume): EncoderState {
    const { fourcc, source, width, height } = format;
    const info = encoderOf(fourcc);
    const taken = info.takes.find((other) => other === source);
    if (taken === undefined) {
      const detail = `pictures of '${source}'; ${fourcc} is made of ${info.takes.join(', ')}`;
      throw new DmaBufError('EINVAL', 'VIDIOC_S_FMT', detail);
    }
    const state = info.probe();
    if (!state.available) {
      throw new DmaBufError('ENOENT', 'VIDIOC_S_FMT', `${fourcc}: ${state.reason}`);
    }
    return new EncoderState(fourcc, { width, height, source: taken }, hooks, from);
  }

  takeSink(job: Job, place: JobPlace): void {
    const sink = new StreamSink(job, place, fillPacket);
    job.defer();
    this.stream.addSink(sink);
  }

  async close(): Promise<void> {
    await this.stream.close();
  }

  async discard(): Promise<void> {
    await this.stream.close();
  }
}
