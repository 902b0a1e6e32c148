/**
 * M2mSession: the state machine of a stateful decoder or encoder that is fed by QBUF and DQBUF, without
 * workers, jobs or shared memory (dev-decoder.rst, dev-encoder.rst; v4l2-mem2mem.c).
 *
 * Sources (OUTPUT buffers) and sinks (CAPTURE buffers) arrive in the order of QBUF; a result goes into the
 * oldest sink, so results come out in bitstream order whatever the order in which buffers become
 * free. Nothing is coded while a result waits for its sink, for it lies in the coder's memory.
 * Every source and sink that goes in is ended exactly once. Owned by OpenFile.
 *
 * A drain is a marker in the line of sources. Whether STREAMOFF comes before the marker was reached or after
 * is chance, so it makes no difference: of OUTPUT it completes the drain at once, with an empty LAST; of
 * CAPTURE it takes it back, unless it belongs to a change of size (v4l2_m2m_update_stop_streaming_state).
 */
import { errno } from '@dmabuf/core';
import { UnsupportedStream } from '../codec/unsupported.js';
import { CoderCall } from './coder-call.js';
import type { SessionCounters, SessionFailure } from './decoder-session.js';
import {
  type Coded,
  type Coder,
  type Cuts,
  type Geometry,
  isChange,
  type M2mHooks,
  type M2mState,
  type Result,
  type Sink,
  type Source,
  STOP,
} from './m2m.js';

const EIO = -errno.EIO;
const ECANCELED = -errno.ECANCELED;

export class M2mSession<S extends Source, T extends Result> {
  readonly counters: SessionCounters;
  readonly #coder: Coder<S, T>;
  readonly #call: CoderCall;
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
  readonly #cuts: Cuts;
  #lastSink: number;
  #failure: SessionFailure | undefined;
  #seenResult = false;

  constructor(
    coder: Coder<S, T>,
    hooks: M2mHooks,
    counters: SessionCounters,
    options: { readonly resetWithSink: boolean; readonly from: M2mState },
  ) {
    const { stop, size, sinkOn, cuts, lastSink, failure } = options.from;
    this.#coder = coder;
    this.#call = new CoderCall(() => hooks.wake());
    this.#hooks = hooks;
    this.counters = counters;
    this.#resetWithSink = options.resetWithSink;
    this.#stop = stop;
    this.#size = size;
    this.#sinkOn = sinkOn;
    this.#cuts = { ...cuts };
    this.#lastSink = lastSink;
    this.#failure = failure;
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

  /** Markers of drains up to this place in the line of sources mean nothing any more. */
  get voidDrains(): number {
    return this.#cuts.drain;
  }

  /** See M2mState. */
  get lastSink(): number {
    return this.#lastSink;
  }

  /** A result, or LAST, waits for a CAPTURE buffer. */
  get waiting(): boolean {
    return this.#lastOwed || (this.#stop === STOP.RUNNING && this.#results.length > 0);
  }

  /** Whether {@link step} has something to do. */
  get ready(): boolean {
    return this.#free && this.#sources.length > 0;
  }

  /** Whether a source can be taken in: only what is coded next, so that the rest outlives the device. */
  wantsSource(seqno: number): boolean {
    if (seqno <= this.#cuts.source || this.#failure !== undefined) return true;
    return this.#free && this.#sources.length === 0;
  }

  /** Whether a sink can be taken in: one that is filled, or ended, at once. */
  wantsSink(seqno: number): boolean {
    return seqno <= this.#cuts.sink || this.#failure !== undefined || this.waiting;
  }

  addSource(source: S): void {
    const { seqno, drain } = source;
    if (seqno <= this.#cuts.source) this.#takenBack(source);
    else if (this.#failure !== undefined) this.#endSource(source, EIO);
    else if (drain && seqno <= this.#cuts.drain) this.#endSource(source, ECANCELED);
    else this.#sources.push(source);
  }

  addSink(sink: Sink<T>): void {
    if (sink.seqno <= this.#cuts.sink) sink.end(ECANCELED, 0);
    else if (this.#failure !== undefined) sink.end(EIO, 0);
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

  /**
   * STREAMOFF(CAPTURE): sinks up to a place in their line come back. Takes back a drain whose marker stands
   * up to a place in the line of sources, unless the size changes.
   */
  async sinkStops(upTo: number, drains: number): Promise<void> {
    await this.#call.idle();
    this.#cuts.sink = upTo;
    this.#sinkOn = false;
    if (isChange(this.#stop)) this.#stop = STOP.SETUP;
    else this.#takeDrainBack(drains);
    this.#hooks.publish();
    for (const sink of this.#sinks.splice(0)) sink.end(ECANCELED, 0);
    if (this.#resetWithSink) {
      this.#dropResults();
      await this.#reset();
    }
    this.#hooks.publish();
    this.#hooks.wake();
  }

  /** STREAMON(OUTPUT): ends the stop after a drain. */
  sourceStarts(): void {
    if (this.#stop === STOP.STOPPED) this.start();
  }

  /**
   * STREAMOFF(OUTPUT): a seek. Sources come back, what was coded from them and not delivered is dropped; a
   * drain is over with an empty LAST.
   */
  async sourceStops(upTo: number): Promise<void> {
    await this.#call.idle();
    this.#cuts.source = upTo;
    for (const source of this.#sources.splice(0)) this.#takenBack(source);
    this.#endTrigger(ECANCELED);
    this.#dropResults();
    this.#failure = undefined;
    await this.#reset();
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
    await this.#call.idle();
    this.#fail(ECANCELED, 'the file is closed');
    await this.#coder.close();
  }

  /** Nothing is being coded, and no result is kept. */
  get #free(): boolean {
    return !this.#call.busy && this.#stop === STOP.RUNNING && this.#results.length === 0;
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
      void this.#reset();
      return;
    }
    source.begin();
    this.#call.run<Coded<T>>(
      () => this.#coder.code(source),
      (coded) => this.#coded(source, coded),
      (why) => this.#broken(source, EIO, why),
    );
  }

  #drainNow(marker: S): void {
    this.#drain = marker;
    this.#call.run<Coded<T>>(
      () => this.#coder.drain(),
      ({ results }) => {
        this.#results.push(...results);
        this.#setStop(STOP.DRAINING);
        this.#deliver();
      },
      (why) => this.#fail(EIO, why),
    );
  }

  async #reset(): Promise<void> {
    this.#call.run<void>(
      () => this.#coder.reset(),
      () => {},
      (why) => this.#fail(EIO, why),
    );
    await this.#call.idle();
  }

  #coded(source: S, { results, fault, stated }: Coded<T>): void {
    if (fault instanceof UnsupportedStream && !this.#seenResult) {
      this.counters.errors++;
      this.#broken(source, fault.errno, fault.detail);
      return;
    }
    if (fault !== undefined) this.counters.errors++;
    else if (results.length === 0) this.counters.hidden++;
    if (results.length > 0) this.#seenResult = true;
    this.#results.push(...results);
    // Headers count before the first picture only: later on pictures of the old size may still be held back.
    const first = results.length === 0 && this.#size === undefined ? stated : undefined;
    if (first !== undefined || this.#sizeChanges) this.#trigger = source;
    else this.#endSource(source, fault?.errno ?? 0);
    if (first !== undefined) this.#change(first);
    this.#deliver();
  }

  /** A result that waits is of another size than the stream so far. */
  get #sizeChanges(): boolean {
    return this.#results.some(({ geometry }) => this.#differs(geometry));
  }

  #differs(size: Geometry | undefined): boolean {
    if (size === undefined) return false;
    return size.width !== this.#size?.width || size.height !== this.#size.height;
  }

  /** The stream has another size from here on (the first time: has one). */
  #change(size: Geometry): void {
    this.#size = size;
    this.#setStop(this.#sinkOn ? STOP.CHANGING : STOP.SETUP);
    this.#hooks.sourceChange(size);
  }

  /** Puts results into sinks, then LAST if it is owed. */
  #deliver(): void {
    while (this.#stop === STOP.RUNNING || this.#stop === STOP.DRAINING) {
      const [result] = this.#results;
      if (result === undefined) break;
      if (result.geometry !== undefined && this.#differs(result.geometry)) {
        this.#change(result.geometry);
        break;
      }
      const sink = this.#sinks.shift();
      if (sink === undefined) break;
      this.#results.shift();
      this.#put(result, sink);
    }
    if (this.#lastOwed && (this.#results.length === 0 || this.#stop === STOP.CHANGING)) {
      const sink = this.#sinks.shift();
      if (sink !== undefined) this.#giveLast(sink, () => sink.end(0, 0));
    }
    this.#hooks.publish();
  }

  #put(result: T, sink: Sink<T>): void {
    if (result.damaged) {
      this.counters.errors++;
      this.#hooks.publish();
      sink.end(EIO, result.timestamp);
      return;
    }
    const last = this.#stop === STOP.DRAINING && this.#results.length === 0;
    const put = (): void => {
      const bytes = sink.put(result, last);
      if (bytes < 0) this.counters.errors++;
      else {
        this.counters.decoded++;
        this.counters.bytesCopied += bytes;
      }
    };
    if (last) this.#giveLast(sink, put);
    else put();
  }

  /**
   * LAST goes out: nothing does after it until the application says so. The drain ends first, so that whoever
   * has LAST in hand may START; should the worker die in between, its next life sees by `lastSink` that the
   * buffer never got it.
   */
  #giveLast(sink: Sink<T>, give: () => void): void {
    const drained = this.#stop === STOP.DRAINING;
    this.#lastSink = sink.seqno;
    this.#stop = drained ? STOP.STOPPED : STOP.CHANGED;
    this.#hooks.publish();
    if (drained) {
      this.#hooks.endOfStream();
      this.#endDrain(0);
    }
    give();
  }

  /** CAPTURE is set up, or LAST was seen: goes on where the stream stood, which may be in a drain. */
  #resume(): void {
    this.#setStop(this.#drain === undefined ? STOP.RUNNING : STOP.DRAINING);
    if (!this.#sizeChanges) this.#endTrigger(0);
    this.#hooks.wake();
  }

  /** A source that STREAMOFF(OUTPUT) took back. A marker is a drain that is over with an empty LAST. */
  #takenBack(source: S): void {
    const over = !source.drain || this.#drain !== undefined || source.seqno <= this.#cuts.drain;
    if (over) {
      this.#endSource(source, ECANCELED);
      return;
    }
    this.#drain = source;
    if (this.#stop !== STOP.RUNNING) return;
    this.#setStop(STOP.DRAINING);
    this.#deliver();
  }

  /** STREAMOFF(CAPTURE) outside a change of size: a drain is off, whether its marker was reached or not. */
  #takeDrainBack(upTo: number): void {
    this.#stop = STOP.RUNNING;
    this.#cuts.drain = upTo;
    this.#hooks.publish();
    this.#endDrain(ECANCELED);
    const voided = this.#sources.filter(({ drain }) => drain);
    for (const marker of voided) {
      this.#sources.splice(this.#sources.indexOf(marker), 1);
      this.#endSource(marker, ECANCELED);
    }
  }

  #endTrigger(error: number): void {
    const trigger = this.#trigger;
    this.#trigger = undefined;
    if (trigger !== undefined) this.#endSource(trigger, error);
  }

  #endDrain(error: number): void {
    const drain = this.#drain;
    this.#drain = undefined;
    drain?.end(error);
  }

  #endSource(source: S, error: number): void {
    this.#hooks.publish();
    source.end(error);
  }

  #setStop(stop: number): void {
    this.#stop = stop;
    this.#hooks.publish();
  }

  #dropResults(): void {
    this.counters.dropped += this.#results.length;
    this.#results = [];
  }

  /** A source ended the stream: whoever sees that it has ended sees that, too. */
  #broken(source: S, error: number, text: string): void {
    this.#failure ??= { error: EIO, text };
    this.#endSource(source, error);
    this.#fail(EIO, text);
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
    for (const sink of sinks) sink.end(error, 0);
  }
}
