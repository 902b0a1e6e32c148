/**
 * M2mSession: the state machine of a stateful decoder or encoder that is fed by QBUF and DQBUF, without
 * workers, jobs or shared memory (dev-decoder.rst, dev-encoder.rst; v4l2-mem2mem.c).
 *
 * Sources (OUTPUT buffers) and sinks (CAPTURE buffers) arrive in the order of QBUF; a result goes into the
 * oldest sink, so results come out in bitstream order whatever the order in which buffers become
 * free. Nothing is coded while a result waits for its sink, for it lies in the coder's memory.
 * Every source and sink that goes in is ended exactly once. Owned by OpenFile.
 */
import { DmaBufError, errno } from '@dmabuf/core';
import { UnsupportedStream } from '../codec/unsupported.js';
import type { SessionCounters, SessionFailure } from './decoder-session.js';

/** What codes: a decoder or an encoder behind its adapter. */
export interface Coder<S, T extends Result> {
  code(source: S): Coded<T> | Promise<Coded<T>>;
  /** All that is still held back. */
  drain(): Coded<T> | Promise<Coded<T>>;
  /** Goes on with a key frame. */
  reset(): void | Promise<void>;
  close(): void | Promise<void>;
}

/** What became of a source. */
export interface Coded<T extends Result> {
  readonly results: readonly T[];
  readonly fault: DmaBufError | undefined;
  /** Size that the source's headers state, where it gave no picture. */
  readonly stated?: Geometry | undefined;
}

/** Size of the pictures of a stream: what is visible, and where that lies in what is coded. */
export interface Geometry {
  readonly width: number;
  readonly height: number;
  readonly codedWidth: number;
  readonly codedHeight: number;
  readonly left: number;
  readonly top: number;
}

/** A picture or a packet, in the coder's memory until it is next called. */
export interface Result {
  readonly timestamp: number;
  readonly damaged: boolean;
  /** Of a decoded picture: another one than before is a change of resolution. */
  readonly geometry: Geometry | undefined;
}

/** An OUTPUT buffer, or the marker that ends a drain. Ended once. */
export interface Source {
  readonly seqno: number;
  readonly drain: boolean;
  /** −errno where its bytes could not be had; 0. */
  readonly lost: number;
  begin(): void;
  end(error: number, sequence: number): void;
}

/** A CAPTURE buffer. Ended once, by `put` or `end`. */
export interface Sink<T extends Result> {
  readonly seqno: number;
  /** Copies a result in; returns the bytes, or −errno when it does not fit: the sink has ended either way. */
  put(result: T, sequence: number, last: boolean): number;
  /** Ends it without content: with 0 and LAST, or −errno (the ERROR flag). */
  end(error: number, sequence: number, timestamp: number): void;
}

/** Where a session stands; FILE.STOP has it as a number, so that it outlives the worker. */
export const STOP = {
  RUNNING: 0,
  /** The stream has told its size: the application sets its CAPTURE queue up. */
  SETUP: 1,
  /** DEC_CMD_STOP was reached: LAST is to come. */
  DRAINING: 2,
  /** The size changes: LAST is to come. */
  CHANGING: 3,
  /** LAST has been given after a drain. */
  STOPPED: 4,
  /** LAST has been given because the size changes: the application sets its CAPTURE queue up anew. */
  CHANGED: 5,
} as const;

/** What a session tells its owner. */
export interface M2mHooks {
  wake(): void;
  /** Counters, `stop` or `waiting` have changed; before whatever ends because of it. */
  publish(): void;
  /** The stream's size is known, or another one now: V4L2_EVENT_SOURCE_CHANGE. */
  sourceChange(size: Geometry): void;
  /** A drain has ended: V4L2_EVENT_EOS. */
  endOfStream(): void;
}

const EIO = -errno.EIO;
const ECANCELED = -errno.ECANCELED;

/** What outlives a worker (see FILE). */
export interface M2mState {
  readonly stop: number;
  readonly size: Geometry | undefined;
  readonly sinkOn: boolean;
  readonly cuts: { readonly source: number; readonly sink: number };
  readonly failure?: SessionFailure | undefined;
}

export class M2mSession<S extends Source, T extends Result> {
  readonly counters: SessionCounters;
  readonly #coder: Coder<S, T>;
  readonly #hooks: M2mHooks;
  /** An encoder starts anew when its CAPTURE queue does. */
  readonly #resetWithSink: boolean;
  readonly #sources: S[] = [];
  readonly #sinks: Sink<T>[] = [];
  #results: T[] = [];
  /** The OUTPUT buffer that changed the size: returned when CAPTURE is set up. */
  #trigger: S | undefined;
  /** The marker of the drain under way. */
  #drain: S | undefined;
  #stop: number;
  #size: Geometry | undefined;
  #sinkOn: boolean;
  readonly #cuts: { source: number; sink: number };
  #busy: Promise<void> | undefined;
  #failure: SessionFailure | undefined;
  #seenResult = false;
  readonly #sequence = { source: 0, sink: 0 };

  constructor(
    coder: Coder<S, T>,
    hooks: M2mHooks,
    counters: SessionCounters,
    options: { readonly resetWithSink: boolean; readonly from: M2mState },
  ) {
    const { stop, size, sinkOn, cuts } = options.from;
    this.#coder = coder;
    this.#hooks = hooks;
    this.counters = counters;
    this.#resetWithSink = options.resetWithSink;
    this.#stop = stop;
    this.#size = size;
    this.#sinkOn = sinkOn;
    this.#cuts = { ...cuts };
    this.#failure = options.from.failure;
  }

  /** STOP.* */
  get stop(): number {
    return this.#stop;
  }

  get size(): Geometry | undefined {
    return this.#size;
  }

  get failure(): SessionFailure | undefined {
    return this.#failure;
  }

  /** A result, or LAST, waits for a CAPTURE buffer. */
  get waiting(): boolean {
    return this.#lastOwed || (this.#stop === STOP.RUNNING && this.#results.length > 0);
  }

  /** Whether {@link step} has something to do. */
  get ready(): boolean {
    return (
      this.#busy === undefined &&
      this.#stop === STOP.RUNNING &&
      this.#results.length === 0 &&
      this.#sources.length > 0
    );
  }

  /** Whether a source can be taken in: only what is coded next, so that the rest outlives the device. */
  wantsSource(seqno: number): boolean {
    if (seqno <= this.#cuts.source || this.#failure !== undefined) return true;
    const idle = this.#busy === undefined && this.#sources.length === 0;
    return idle && this.#stop === STOP.RUNNING && this.#results.length === 0;
  }

  /** Whether a sink can be taken in: one that is filled, or ended, at once. */
  wantsSink(seqno: number): boolean {
    return seqno <= this.#cuts.sink || this.#failure !== undefined || this.waiting;
  }

  addSource(source: S): void {
    if (source.seqno <= this.#cuts.source) this.#endSource(source, ECANCELED);
    else if (this.#failure !== undefined) this.#endSource(source, EIO);
    else this.#sources.push(source);
  }

  addSink(sink: Sink<T>): void {
    if (sink.seqno <= this.#cuts.sink) sink.end(ECANCELED, 0, 0);
    else if (this.#failure !== undefined) sink.end(EIO, 0, 0);
    else {
      this.#sinks.push(sink);
      this.#deliver();
    }
  }

  /** Codes one source, if nothing waits. True if more is to do. */
  step(): boolean {
    if (!this.ready) return false;
    const source = this.#sources.shift();
    if (source === undefined) return false;
    if (source.drain) this.#drainNow(source);
    else this.#code(source);
    return this.ready;
  }

  /** STREAMON(CAPTURE): buffers for the size that was told, or for the next one. */
  sinkStarts(): void {
    this.#sinkOn = true;
    if (this.#stop === STOP.SETUP) this.#resume();
    this.#deliver();
  }

  /** STREAMOFF(CAPTURE): all sinks come back, a drain or a change is over with them. */
  async sinkStops(upTo: number): Promise<void> {
    while (this.#busy !== undefined) await this.#busy;
    this.#cuts.sink = upTo;
    this.#sinkOn = false;
    for (const sink of this.#sinks.splice(0)) sink.end(ECANCELED, 0, 0);
    const anew = [STOP.CHANGING, STOP.CHANGED, STOP.SETUP].some((stop) => stop === this.#stop);
    this.#stop = anew ? STOP.SETUP : STOP.RUNNING;
    this.#endDrain(ECANCELED);
    this.#sequence.sink = 0;
    if (this.#resetWithSink) {
      this.#dropResults();
      await this.#coder.reset();
    }
    this.#hooks.publish();
    this.#hooks.wake();
  }

  /** STREAMON(OUTPUT): ends the stop after a drain. */
  sourceStarts(): void {
    if (this.#stop === STOP.STOPPED) this.start();
  }

  /**
   * STREAMOFF(OUTPUT): a seek. Sources come back, what was coded from them and not delivered is dropped;
   * a drain under way completes at once, with an empty LAST.
   */
  async sourceStops(upTo: number): Promise<void> {
    while (this.#busy !== undefined) await this.#busy;
    this.#cuts.source = upTo;
    for (const source of this.#sources.splice(0)) this.#endSource(source, ECANCELED);
    this.#endTrigger(ECANCELED);
    this.#dropResults();
    this.#failure = undefined;
    this.#sequence.source = 0;
    await this.#coder.reset();
    this.#deliver();
  }

  /** DEC_CMD_START, ENC_CMD_START: goes on after LAST. */
  start(): void {
    if (this.#stop !== STOP.STOPPED && this.#stop !== STOP.CHANGED) return;
    this.#resume();
    this.#deliver();
  }

  /** Ends everything with ECANCELED, what arrives later too, and gives the coder up. */
  async close(): Promise<void> {
    while (this.#busy !== undefined) await this.#busy;
    this.#fail(ECANCELED, 'the file is closed');
    await this.#coder.close();
  }

  get #lastOwed(): boolean {
    return this.#stop === STOP.DRAINING || this.#stop === STOP.CHANGING;
  }

  #code(source: S): void {
    this.counters.packets++;
    if (source.lost !== 0) {
      this.counters.errors++;
      this.#endSource(source, source.lost);
      // What refers to the picture that is missing would be wrong without notice.
      this.#await(this.#coder.reset());
      return;
    }
    source.begin();
    this.#run(
      () => this.#coder.code(source),
      (coded) => this.#coded(source, coded),
      () => this.#endSource(source, EIO),
    );
  }

  #drainNow(source: S): void {
    this.#drain = source;
    this.#run(
      () => this.#coder.drain(),
      ({ results }) => {
        this.#results.push(...results);
        this.#setStop(STOP.DRAINING);
        this.#deliver();
      },
      () => this.#endDrain(EIO),
    );
  }

  /** Calls the coder; a promise holds everything else up. What it throws ends the stream. */
  #run(
    call: () => Coded<T> | Promise<Coded<T>>,
    done: (coded: Coded<T>) => void,
    lost: () => void,
  ): void {
    const over = (error: unknown): void => {
      lost();
      if (!(error instanceof DmaBufError)) throw error;
      this.#fail(EIO, error.detail);
    };
    let coded: Coded<T> | Promise<Coded<T>>;
    try {
      coded = call();
    } catch (error) {
      over(error);
      return;
    }
    if (coded instanceof Promise) this.#await(this.#coming(coded, done, over));
    else done(coded);
  }

  async #coming(
    coded: Promise<Coded<T>>,
    done: (coded: Coded<T>) => void,
    over: (error: unknown) => void,
  ): Promise<void> {
    let value: Coded<T>;
    try {
      value = await coded;
    } catch (error) {
      over(error);
      return;
    }
    done(value);
  }

  #await(result: void | Promise<void>): void {
    if (result instanceof Promise) this.#busy = this.#settled(result);
  }

  async #settled(result: Promise<void>): Promise<void> {
    await result;
    this.#busy = undefined;
    this.#hooks.wake();
  }

  #coded(source: S, { results, fault, stated }: Coded<T>): void {
    if (fault instanceof UnsupportedStream && !this.#seenResult) {
      this.counters.errors++;
      this.#endSource(source, fault.errno);
      this.#fail(EIO, fault.detail);
      return;
    }
    if (fault !== undefined) this.counters.errors++;
    else if (results.length === 0) this.counters.hidden++;
    if (results.length > 0) this.#seenResult = true;
    this.#results.push(...results);
    const size = results[0]?.geometry ?? stated;
    if (size !== undefined && !sameSize(size, this.#size)) this.#change(source, size);
    else this.#endSource(source, fault?.errno ?? 0);
    this.#deliver();
  }

  /** The stream has another size from here on (the first time: has one). */
  #change(source: S, size: Geometry): void {
    this.#trigger = source;
    this.#size = size;
    this.#setStop(this.#sinkOn ? STOP.CHANGING : STOP.SETUP);
    this.#hooks.sourceChange(size);
  }

  /** Puts results into sinks, then LAST if it is owed. */
  #deliver(): void {
    while (this.#stop === STOP.RUNNING || this.#stop === STOP.DRAINING) {
      const result = this.#results[0];
      const sink = this.#sinks[0];
      if (result === undefined || sink === undefined) break;
      this.#results.shift();
      this.#sinks.shift();
      this.#put(result, sink);
    }
    if (this.#lastOwed && (this.#results.length === 0 || this.#stop === STOP.CHANGING)) {
      const sink = this.#sinks.shift();
      if (sink !== undefined) {
        this.#lastGiven(() => sink.end(0, this.#sequence.sink++, 0));
        return;
      }
    }
    this.#hooks.publish();
  }

  #put(result: T, sink: Sink<T>): void {
    const sequence = this.#sequence.sink++;
    if (result.damaged) {
      this.counters.errors++;
      sink.end(EIO, sequence, result.timestamp);
      return;
    }
    const last = this.#stop === STOP.DRAINING && this.#results.length === 0;
    const put = (): void => {
      const bytes = sink.put(result, sequence, last);
      if (bytes < 0) this.counters.errors++;
      else {
        this.counters.decoded++;
        this.counters.bytesCopied += bytes;
      }
    };
    if (last) this.#lastGiven(put);
    else put();
  }

  /** LAST goes out: nothing does after it until the application says so. */
  #lastGiven(give: () => void): void {
    const drained = this.#stop === STOP.DRAINING;
    this.#stop = drained ? STOP.STOPPED : STOP.CHANGED;
    if (drained) this.#hooks.endOfStream();
    this.#hooks.publish();
    give();
    if (drained) this.#endDrain(0);
    this.#hooks.publish();
  }

  #resume(): void {
    this.#setStop(STOP.RUNNING);
    this.#endTrigger(0);
    this.#hooks.wake();
  }

  #endTrigger(error: number): void {
    const trigger = this.#trigger;
    this.#trigger = undefined;
    if (trigger !== undefined) this.#endSource(trigger, error);
  }

  #endDrain(error: number): void {
    const drain = this.#drain;
    this.#drain = undefined;
    drain?.end(error, 0);
  }

  #endSource(source: S, error: number): void {
    this.#hooks.publish();
    source.end(error, source.drain ? 0 : this.#sequence.source++);
  }

  #setStop(stop: number): void {
    this.#stop = stop;
    this.#hooks.publish();
  }

  #dropResults(): void {
    this.counters.dropped += this.#results.length;
    this.#results = [];
  }

  #fail(error: number, text: string): void {
    this.#failure ??= { error, text };
    this.#dropResults();
    const sources = this.#sources.splice(0);
    const sinks = this.#sinks.splice(0);
    this.#hooks.publish();
    this.#endTrigger(error);
    this.#endDrain(error);
    for (const source of sources) this.#endSource(source, error);
    for (const sink of sinks) sink.end(error, 0, 0);
  }
}

function sameSize(a: Geometry, b: Geometry | undefined): boolean {
  return a.width === b?.width && a.height === b.height;
}
