/**
 * Commands to the CRTC: what a job of its context asks for, as its payload carries it.
 *
 * All of them go through one context, so that modesets and removals keep their place among the
 * flips. A plain flip is an integer, which costs a job nothing.
 */
import { DmaBufError } from '@dmabuf/core';

/** Puts a framebuffer on screen. */
export interface FlipCommand {
  readonly kind: 'flip';
  /** Framebuffer id. */
  readonly fb: number;
  /** Present time, ms after the sequence's epoch; undefined: as soon as ready. */
  readonly at: number | undefined;
  /** Begins a new sequence, with an epoch of its own. */
  readonly start: boolean;
  /** What the trace shows with it; undefined: its seqno. */
  readonly payload: number | undefined;
}

/** Changes the mode, and puts a framebuffer on screen with it, unless `fb` is 0. */
export interface ModesetCommand {
  readonly kind: 'modeset';
  readonly hdisplay: number;
  readonly vdisplay: number;
  /** mHz. */
  readonly vrefresh: number;
  readonly fb: number;
}

/** Removes a framebuffer; the CRTC goes off if it is on screen. */
export interface RemoveCommand {
  readonly kind: 'rmfb';
  readonly fb: number;
}

export type CrtcCommand = FlipCommand | ModesetCommand | RemoveCommand;

const FLIP = 1;
const MODESET = 2;
const RMFB = 3;

/** The payload of a command. */
export function encodeCommand(command: CrtcCommand): unknown {
  if (command.kind === 'modeset') {
    return [MODESET, command.hdisplay, command.vdisplay, command.vrefresh, command.fb];
  }
  if (command.kind === 'rmfb') return [RMFB, command.fb];
  const { fb, at, start, payload } = command;
  if (at === undefined && !start && payload === undefined) return fb;
  return [FLIP, fb, at ?? null, start ? 1 : 0, payload ?? null];
}

/** The command of a payload. EINVAL for one that is none: anybody may submit to a context. */
export function decodeCommand(payload: unknown): CrtcCommand {
  if (isId(payload))
    return { kind: 'flip', fb: payload, at: undefined, start: false, payload: undefined };
  const fields: unknown[] = Array.isArray(payload) ? payload : [];
  const [kind, a, b, c, d] = fields;
  if (kind === FLIP && isId(a) && isTime(b) && isWhole(c) && (d === null || isWhole(d))) {
    return { kind: 'flip', fb: a, at: b ?? undefined, start: c === 1, payload: d ?? undefined };
  }
  if (kind === MODESET && isId(a) && isId(b) && isId(c) && isWhole(d) && d >= 0) {
    return { kind: 'modeset', hdisplay: a, vdisplay: b, vrefresh: c, fb: d };
  }
  if (kind === RMFB && isId(a)) return { kind: 'rmfb', fb: a };
  const detail =
    'the payload is no command of a CRTC; use queueFlip and the other calls of Display';
  throw new DmaBufError('EINVAL', 'crtc', detail);
}

function isWhole(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value);
}

function isId(value: unknown): value is number {
  return isWhole(value) && value > 0;
}

function isTime(value: unknown): value is number | null {
  return value === null || (typeof value === 'number' && Number.isFinite(value));
}
