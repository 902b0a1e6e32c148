/**
 * Requests to open and close sinks, as they travel to the writeback worker and back.
 *
 * The border of the writeback device: what arrives is checked field by field, and a refusal says which
 * one was wrong. Errors of the file system travel as plain data, since their codes are more than the
 * kernel's errno names that an ioctl can throw.
 */
import { DmaBufError } from '@dmabuf/core';
import { OutputError } from './output-file.js';
import { type FrameSink, openSink } from './sink.js';
import { TermSink } from './term-sink.js';
import type { TermColour, TermViewOptions } from './term-view.js';
import type { Y4mFormat, Y4mMatrix } from './y4m.js';

/** Record to a file, or draw on a terminal. */
export type SinkRequest =
  | { readonly file: string; readonly format: Y4mFormat }
  | { readonly view: TermViewOptions; readonly fd: number };

/** What a sink did from its opening to its closing. */
export interface SinkReport {
  /** Frames that it took. */
  readonly recorded: number;
  /** Frames that were shown meanwhile, and that it did not take. */
  readonly notRecorded: number;
  /** Bytes written. */
  readonly bytes: number;
}

/** An {@link OutputError} as plain data. */
export interface OutputFailure {
  readonly failure: {
    readonly code: string;
    readonly errno: number;
    readonly syscall: string;
    readonly path: string;
    readonly detail: string;
  };
}

/** An OutputError for the way back. */
export function encodeFailure(error: OutputError): OutputFailure {
  const { code, errno, syscall, path, detail } = error;
  return { failure: { code, errno, syscall, path, detail } };
}

/** Throws what {@link encodeFailure} packed, if `reply` is that; else it is returned. */
export function throwFailure(reply: unknown): unknown {
  if (!isRecord(reply) || !isRecord(reply['failure'])) return reply;
  const { code, errno, syscall, path, detail } = reply['failure'];
  const number = typeof errno === 'number' ? errno : 0;
  throw new OutputError(String(code), number, String(syscall), String(path), String(detail));
}

/** Opens what a request asks for. EINVAL naming the field; OutputError for what cannot be written. */
export function openRequested(args: unknown): FrameSink {
  if (!isRecord(args)) throw invalid('the request is no object');
  if (typeof args['file'] === 'string') return openSink(args['file'], checkFormat(args['format']));
  const { view, fd } = args;
  if (isRecord(view) && isWhole(fd, 0)) return new TermSink(checkView(view), fd);
  throw invalid('neither a file with its format nor a view with its fd was given');
}

/** A report out of a reply. */
export function checkReport(reply: unknown): SinkReport {
  if (isRecord(reply)) {
    const { recorded, notRecorded, bytes } = reply;
    if (isWhole(recorded, 0) && isWhole(notRecorded, 0) && isWhole(bytes, 0)) {
      return { recorded, notRecorded, bytes };
    }
  }
  throw new DmaBufError('EIO', 'writeback', 'the writeback worker gave a malformed report');
}

function checkFormat(format: unknown): Y4mFormat {
  if (!isRecord(format)) throw invalid('format is missing');
  const { width, height, rate, matrix } = format;
  if (!isWhole(width, 1) || !isWhole(height, 1)) {
    throw invalid(`a size of ${String(width)}x${String(height)} is not of positive whole numbers`);
  }
  const fraction: unknown[] = Array.isArray(rate) ? rate : [];
  const [numerator, denominator] = fraction;
  if (!isWhole(numerator, 1) || !isWhole(denominator, 1)) {
    throw invalid(
      `rate ${JSON.stringify(rate)} is not [numerator, denominator] of positive whole numbers`,
    );
  }
  return { width, height, rate: [numerator, denominator], matrix: checkMatrix(matrix) };
}

function checkMatrix(matrix: unknown): Y4mMatrix {
  if (matrix === undefined || matrix === null) return 'BT709';
  if (matrix === 'BT709' || matrix === 'BT601') return matrix;
  throw invalid(`matrix ${JSON.stringify(matrix)} is not one of BT709, BT601`);
}

function checkView(view: Readonly<Record<string, unknown>>): TermViewOptions {
  const { columns, rows, colour, isTTY, top } = view;
  if (!isWhole(columns, 1) || !isWhole(rows, 1)) {
    throw invalid(
      `a view of ${String(columns)}x${String(rows)} cells is not of positive whole numbers`,
    );
  }
  const line = top ?? 1;
  if (!isWhole(line, 1)) throw invalid(`top ${String(top)} is not a screen row from 1`);
  return { columns, rows, colour: checkColour(colour), isTTY: isTTY === true, top: line };
}

function checkColour(colour: unknown): TermColour {
  if (colour === 'truecolor' || colour === '256' || colour === 'none') return colour;
  throw invalid(`colour ${JSON.stringify(colour)} is not one of truecolor, 256, none`);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function isWhole(value: unknown, least: number): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= least;
}

function invalid(detail: string): DmaBufError {
  return new DmaBufError('EINVAL', 'writeback', detail);
}
