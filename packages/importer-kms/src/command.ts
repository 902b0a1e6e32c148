/**
 * Commands to the CRTC: what a job of its context asks for, as its payload carries it.
 *
 * All of them go through one context, so that modesets and removals keep their place among the
 * flips. A plain flip is an integer, which costs a job nothing.
 *
 * A commit is one job for each plane that it changes, one behind the other, each with its plane's state
 * and its claim on that plane's buffer: so the display lets go of each buffer when its own plane has
 * moved on. The first of them, the commit's job, carries the rest.
 */
import { DmaBufError } from '@dmabuf/core';
import { decodePlane, encodePlane, type PlaneUpdate } from './plane-state.js';
import { MAX_PLANES } from './registers.js';

/** When something is shown. */
export interface Timing {
  /** Present time, ms after the sequence's epoch; undefined: as soon as ready. */
  readonly at: number | undefined;
  /** Begins a new sequence, with an epoch of its own. */
  readonly start: boolean;
  /** Shown at once when it is ready, without waiting for a vblank, unless others wait before it. */
  readonly async: boolean;
  /** What the trace shows with it; undefined: its seqno. */
  readonly payload: number | undefined;
}

/** Puts a framebuffer on the primary plane; turns the CRTC on if it is off. */
export interface FlipCommand extends Timing {
  readonly kind: 'flip';
  /** Framebuffer id. */
  readonly fb: number;
}

/** A change of the mode, or of whether it is scanned out. */
export interface ModeChange {
  /** undefined: as it is. */
  readonly active: boolean | undefined;
  readonly hdisplay: number;
  readonly vdisplay: number;
  /** mHz. */
  readonly vrefresh: number;
  /** The primary plane, if the commit does not change it, covers the new mode as it covered the old one. */
  readonly refit: boolean;
}

/** Changes planes, mode or both, all at once. */
export interface CommitCommand extends Timing {
  readonly kind: 'commit';
  /** Jobs that follow with further planes. */
  readonly parts: number;
  readonly mode: ModeChange | undefined;
  /** Whether the refresh rate varies from when it is shown; undefined: as it is. */
  readonly vrr: boolean | undefined;
  readonly update: PlaneUpdate | undefined;
}

/** A further plane of the commit whose job is `index` before this one. */
export interface PartCommand {
  readonly kind: 'part';
  readonly index: number;
  readonly update: PlaneUpdate;
}

/** Removes a framebuffer from all planes; the CRTC goes off if it is on the primary one. */
export interface RemoveCommand {
  readonly kind: 'rmfb';
  readonly fb: number;
}

export type CrtcCommand = FlipCommand | CommitCommand | PartCommand | RemoveCommand;

/** As soon as ready, at a vblank. */
export const AT_ONCE: Timing = { at: undefined, start: false, async: false, payload: undefined };

/** Bits of a payload's flags. */
const START = 1;
const ASYNC = 2;
const VRR_ON = 4;
const VRR_OFF = 8;

const FLIP = 1;
const COMMIT = 2;
const RMFB = 3;
const PART = 4;

/** The payload of a command. */
export function encodeCommand(command: CrtcCommand): unknown {
  if (command.kind === 'rmfb') return [RMFB, command.fb];
  if (command.kind === 'part') return [PART, command.index, encodePlane(command.update)];
  const { at, start, async, payload } = command;
  const timing = [at ?? null, (start ? START : 0) | (async ? ASYNC : 0), payload ?? null];
  if (command.kind === 'flip') {
    const plain = at === undefined && !start && !async && payload === undefined;
    return plain ? command.fb : [FLIP, command.fb, ...timing];
  }
  const { parts, mode, vrr, update } = command;
  if (vrr !== undefined) timing[1] = (timing[1] ?? 0) | (vrr ? VRR_ON : VRR_OFF);
  const plane = update === undefined ? null : encodePlane(update);
  return [COMMIT, parts, ...timing, mode === undefined ? null : encodeMode(mode), plane];
}

/** The command of a payload. EINVAL for one that is none: anybody may submit to a context. */
export function decodeCommand(payload: unknown): CrtcCommand {
  if (isId(payload)) {
    return { kind: 'flip', fb: payload, ...AT_ONCE };
  }
  const fields: unknown[] = Array.isArray(payload) ? payload : [];
  const command = decodeFields(fields);
  if (command !== undefined) return command;
  const detail =
    'the payload is no command of a CRTC; use queueFlip and the other calls of Display';
  throw new DmaBufError('EINVAL', 'crtc', detail);
}

function decodeFields(fields: readonly unknown[]): CrtcCommand | undefined {
  const [kind, first] = fields;
  if (kind === RMFB && isId(first)) return { kind: 'rmfb', fb: first };
  if (kind === PART && isId(first)) {
    const update = decodePlane(fields[2], MAX_PLANES);
    return update === undefined ? undefined : { kind: 'part', index: first, update };
  }
  const timing = decodeTiming(fields.slice(2, 5));
  if (timing === undefined) return undefined;
  if (kind === FLIP && isId(first)) return { kind: 'flip', fb: first, ...timing };
  if (kind === COMMIT && isWhole(first) && first >= 0 && first < MAX_PLANES) {
    return decodeCommit(first, timing, vrrOf(fields[3]), fields[5], fields[6]);
  }
  return undefined;
}

function decodeCommit(
  parts: number,
  timing: Timing,
  vrr: boolean | undefined,
  modeField: unknown,
  planeField: unknown,
): CommitCommand | undefined {
  const mode = modeField === null ? undefined : decodeMode(modeField);
  const update = planeField === null ? undefined : decodePlane(planeField, MAX_PLANES);
  if ((mode === undefined) !== (modeField === null)) return undefined;
  if ((update === undefined) !== (planeField === null)) return undefined;
  return { kind: 'commit', parts, ...timing, mode, vrr, update };
}

function decodeTiming([at, flags, payload]: readonly unknown[]): Timing | undefined {
  if (!isTime(at) || !isWhole(flags) || !(payload === null || isWhole(payload))) return undefined;
  return {
    at: at ?? undefined,
    start: (flags & START) !== 0,
    async: (flags & ASYNC) !== 0,
    payload: payload ?? undefined,
  };
}

function vrrOf(flags: unknown): boolean | undefined {
  if (!isWhole(flags) || (flags & (VRR_ON | VRR_OFF)) === 0) return undefined;
  return (flags & VRR_ON) !== 0;
}

function encodeMode({ active, hdisplay, vdisplay, vrefresh, refit }: ModeChange): number[] {
  const activeField = active === undefined ? 2 : Number(active);
  return [activeField, hdisplay, vdisplay, vrefresh, refit ? 1 : 0];
}

function decodeMode(value: unknown): ModeChange | undefined {
  const fields: unknown[] = Array.isArray(value) ? value : [];
  const [active, hdisplay, vdisplay, vrefresh, refit] = fields;
  if (!isWhole(active) || !isId(hdisplay) || !isId(vdisplay) || !isId(vrefresh)) return undefined;
  if (!isWhole(refit)) return undefined;
  const turned = active === 2 ? undefined : active === 1;
  return { active: turned, hdisplay, vdisplay, vrefresh, refit: refit === 1 };
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
