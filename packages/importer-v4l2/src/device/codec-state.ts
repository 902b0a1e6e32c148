/**
 * What a file decodes, opened: the codec, and the two ways in which it is fed (queueDecode's jobs bound by
 * timestamps, and QBUF's in order). Made anew by S_FMT, and from the record after the worker has died.
 */
import { DmaBufError } from '@dmabuf/core';
import type { Words } from '@dmabuf/core/driver';
import { codecOf, type CodecInfo, type Decoder } from '../codec/index.js';
import { FILE, fileResult, readGeometry } from '../file-table.js';
import { readResult } from '../results.js';
import { VIDEO_MAX_FRAME } from '../videodev2.js';
import { DecoderCoder, fillPicture, geometryOf, type PictureResult } from './decoder-coder.js';
import {
  DecoderSession,
  newCounters,
  type SessionCounters,
  type SessionFailure,
} from './decoder-session.js';
import { type Geometry, type M2mHooks, type M2mState, type Result, STOP } from './m2m.js';
import { M2mSession } from './m2m-session.js';
import { fillInPlace } from './fill-in-place.js';
import type { PicturePool } from './picture-pool.js';
import { type Fill, type JobPlace, StreamSink, type StreamSource } from './stream-jobs.js';
import type { Job } from '@dmabuf/core';

/** What S_FMT is told. */
export interface OutputFormat {
  readonly fourcc: string;
  readonly header: Uint8Array | undefined;
  /** Visible size if known, else 0. */
  readonly width: number;
  readonly height: number;
  /** CAPTURE buffers that the application is going to queue, 0 if it does not say. */
  readonly depth: number;
  /** It is fed by QBUF, and the end of its stream is told by DECODER_CMD. */
  readonly drains: boolean;
  /** Of an encoder: format of the pictures that it takes, of `width` by `height`; empty: it is a decoder. */
  readonly source: string;
}

/** A codec that a file has open, as OpenFile sees it. */
export interface CodecState {
  /** queueDecode's way in; an encoder has none. */
  readonly bound: DecoderSession | undefined;
  /** QBUF's. */
  readonly stream: Omit<M2mSession<StreamSource, Result>, 'addSink'>;
  readonly counters: SessionCounters;
  readonly reorderDelay: number;
  /** Takes a granted CAPTURE job in. */
  takeSink(job: Job, place: JobPlace): void;
  /** Ends all that is queued. */
  close(): Promise<void>;
  /** Gives the codec back where nothing was queued yet. */
  discard(): Promise<void>;
}

/** A failure of the codec itself (out of memory, a broken package) as the caller of an ioctl gets it. */
export function codecError(error: unknown): DmaBufError {
  if (error instanceof DmaBufError) return error;
  const code = error instanceof RangeError ? 'ENOMEM' : 'EIO';
  return new DmaBufError(code, 'open_codec', `the codec did not start: ${String(error)}`);
}

/** Where a session goes on that an earlier life of the worker had begun. */
export interface Resume {
  readonly state: M2mState;
  readonly lostPackets: number;
  readonly failure: SessionFailure | undefined;
}

/** What the record says of where the sessions stand. */
export function resumeOf(words: Words, record: number, lostPackets: number): Resume {
  const error = words.load(record + FILE.ERROR);
  const failure =
    error === 0
      ? undefined
      : { error, text: 'the stream had ended before the device was started again; reset()' };
  const size = readGeometry(words, record);
  const cuts = {
    source: words.getDouble(record + FILE.SOURCE_CUT),
    sink: words.getDouble(record + FILE.SINK_CUT),
    drain: words.getDouble(record + FILE.VOID_DRAINS),
  };
  return {
    lostPackets,
    failure,
    state: {
      stop: stopOf(words, record),
      lastSink: words.getDouble(record + FILE.LAST_SINK),
      size: size.width === 0 ? undefined : size,
      sinkOn: (words.get(record + FILE.SEEN_SINK) & 1) === 1,
      cuts,
      failure,
    },
  };
}

/** STOP.*; LAST is still owed where the worker died before it had written that a buffer has it. */
function stopOf(words: Words, record: number): number {
  const stop = words.get(record + FILE.STOP);
  if (stop !== STOP.STOPPED && stop !== STOP.CHANGED) return stop;
  const seqno = words.getDouble(record + FILE.LAST_SINK);
  for (let index = 0; index < VIDEO_MAX_FRAME; index++) {
    if (readResult(words, fileResult(record, false, index), seqno) !== undefined) return stop;
  }
  return stop === STOP.STOPPED ? STOP.DRAINING : STOP.CHANGING;
}

/** A file that has just been given a format starts from here. */
export function startOf(words: Words, record: number): Resume {
  const { state } = resumeOf(words, record, 0);
  const { cuts, sinkOn, lastSink } = state;
  return {
    lostPackets: 0,
    failure: undefined,
    state: { stop: STOP.RUNNING, size: undefined, sinkOn, cuts, lastSink },
  };
}

export class DecoderState implements CodecState {
  readonly bound: DecoderSession;
  readonly stream: M2mSession<StreamSource, PictureResult>;
  readonly counters: SessionCounters = newCounters();
  readonly reorderDelay: number;
  readonly #decoder: Decoder;
  /** Where pictures are left in place. */
  readonly #pool: PicturePool | undefined;

  private constructor(
    codec: CodecInfo,
    opened: { readonly decoder: Decoder; readonly pool: PicturePool | undefined },
    configured: boolean,
    hooks: M2mHooks,
    from: Resume,
  ) {
    const { decoder, pool } = opened;
    this.#decoder = decoder;
    this.#pool = pool;
    this.reorderDelay = decoder.reorderDelay;
    const { counters } = this;
    const { lostPackets, failure, state } = from;
    const { cuts } = state;
    const cut = { packet: cuts.source, slot: cuts.sink };
    const resumed = { counters, lostPackets, failure, cut };
    this.bound = new DecoderSession(decoder, configured, hooks, resumed);
    const coder = new DecoderCoder(decoder, (data) => statedSize(codec, data));
    const options = { resetWithSink: false, from: state };
    this.stream = new M2mSession(coder, hooks, counters, options);
  }

  /** Opens the decoder of a format; with a pool it leaves its pictures there. ENOENT, EINVAL, ENOMEM, EIO. */
  static async open(
    format: OutputFormat,
    hooks: M2mHooks,
    from: Resume,
    pool: PicturePool | undefined,
  ): Promise<DecoderState> {
    const { fourcc, header, drains } = format;
    const codec = codecOf(fourcc);
    const holds = pool && { holds: pool.holds.bind(pool) };
    try {
      // What the stream has told outlives the worker, for formats whose packets do not tell it.
      const { width, height } = from.state.size ?? format;
      const size = { width, height };
      const decoder = await codec.open({ ...size, drains, ...(header && { header }), ...holds });
      return new DecoderState(codec, { decoder, pool }, header !== undefined, hooks, from);
    } catch (error) {
      throw codecError(error);
    }
  }

  takeSink(job: Job, place: JobPlace): void {
    const sink = new StreamSink(job, place, this.#fill);
    job.defer();
    this.stream.addSink(sink);
  }

  async close(): Promise<void> {
    await this.bound.close();
    await this.stream.close();
    this.#pool?.close();
  }

  async discard(): Promise<void> {
    await this.#decoder.close();
    this.#pool?.close();
  }

  readonly #fill: Fill<PictureResult> = (result, planes, sequence, job) => {
    if (this.#pool === undefined) return fillPicture(result, planes, sequence);
    const filled = fillInPlace(this.#pool, result, planes, { job, sequence });
    if (filled.inPlace) this.counters.inPlace++;
    return filled;
  };
}

function statedSize(codec: CodecInfo, data: Uint8Array<ArrayBufferLike>): Geometry | undefined {
  try {
    const { stream } = codec.inspect(data);
    return stream === undefined ? undefined : geometryOf(stream);
  } catch (error) {
    if (error instanceof DmaBufError) return undefined;
    throw error;
  }
}
