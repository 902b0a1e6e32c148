/**
 * What a session of a mem-to-mem device works with: a coder, and the buffers of its two queues. Words as in
 * dev-decoder.rst: a source is an OUTPUT buffer, a sink a CAPTURE buffer.
 */
import type { DmaBufError } from '@dmabuf/core';
import type { SessionFailure } from './decoder-session.js';

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
  /** Its number, where that is not the sink's: a camera counts the frames that found no buffer, too. */
  readonly sequence?: number;
}

/** An OUTPUT buffer, or the marker that ends a drain. Ended once. */
export interface Source {
  readonly seqno: number;
  readonly drain: boolean;
  /** −errno where its bytes could not be had; 0. */
  readonly lost: number;
  begin(): void;
  end(error: number): void;
}

/** A CAPTURE buffer. Ended once, by `put` or `end`. */
export interface Sink<T extends Result> {
  readonly seqno: number;
  /**
   * Copies a result in; returns the bytes, or −errno when it does not fit: the sink has ended either way, and
   * where it is the last one it says so either way.
   */
  put(result: T, last: boolean): number;
  /** Ends it without content: with 0 and LAST, or −errno (the ERROR flag). */
  end(error: number, timestamp: number): void;
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

/** Whether a change of size is under way: STREAMOFF(CAPTURE) is then part of it, and ends no drain. */
export function isChange(stop: number): boolean {
  return stop === STOP.SETUP || stop === STOP.CHANGING || stop === STOP.CHANGED;
}

/** What a session tells its owner. */
export interface M2mHooks {
  wake(): void;
  /** What the session says of itself has changed; called before whatever ends because of it. */
  publish(): void;
  /** The stream's size is known, or another one now: V4L2_EVENT_SOURCE_CHANGE. */
  sourceChange(size: Geometry): void;
  /** A drain has ended: V4L2_EVENT_EOS. */
  endOfStream(): void;
}

/** Places in the two lines of jobs: what is queued up to there was taken back. */
export interface Cuts {
  source: number;
  sink: number;
  /** Markers of drains up to this place in the line of sources mean nothing any more. */
  drain: number;
}

/** What outlives a worker (see FILE). */
export interface M2mState {
  readonly stop: number;
  readonly size: Geometry | undefined;
  readonly sinkOn: boolean;
  readonly cuts: Readonly<Cuts>;
  /** Place in the line of sinks of the newest one that LAST was given to, or was about to be. */
  readonly lastSink: number;
  readonly failure?: SessionFailure | undefined;
}
