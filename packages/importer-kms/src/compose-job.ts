/**
 * Composing, as jobs of the writeback's context ask for it.
 *
 * A frame is a run of jobs that are queued under FLIP_LOCK, so that nothing else comes between: one for
 * each plane that is on, from the lowest up, each with its claim on that plane's buffer, which it gives back
 * as soon as it has drawn it; then one that says what becomes of the frame. The first one clears.
 * Whatever a drawing needs travels with it, so that its framebuffer may be removed while it waits.
 *
 * Should the submitter die in between, the next frame's first job clears what was drawn. Should a plane's
 * render have failed, the frame fails with the same errno.
 */
import { DmaBufError } from '@dmabuf/core';
import type { FramebufferInfo } from './framebuffer-table.js';
import { decodePlane, encodePlane, type PlaneState } from './plane-state.js';
import { MAX_PLANES } from './registers.js';

/** Begins a frame of this size. */
export interface ClearCommand {
  readonly kind: 'clear';
  readonly width: number;
  readonly height: number;
}

/** Draws the framebuffer that the job's buffer holds. */
export interface DrawCommand {
  readonly kind: 'draw';
  readonly fb: Pick<FramebufferInfo, 'fourcc' | 'width' | 'height' | 'pitches' | 'offsets'>;
  readonly state: PlaneState;
}

/** The frame is whole. */
export interface EndCommand {
  readonly kind: 'end';
  /** Hand it to the sinks that are open. */
  readonly record: boolean;
  /** Note its CRC. */
  readonly crc: boolean;
  /** Write it into the framebuffer that the job's buffer holds. */
  readonly to: WritebackTarget | undefined;
}

/** A framebuffer that a frame is written into: of the frame's size. */
export type WritebackTarget = Pick<FramebufferInfo, 'fourcc' | 'pitches' | 'offsets'>;

export type ComposeCommand = ClearCommand | DrawCommand | EndCommand;

/** The payload of a command. */
export function encodeCompose(command: ComposeCommand): unknown {
  if (command.kind === 'clear') return ['clear', command.width, command.height];
  if (command.kind === 'end') {
    const { record, crc, to } = command;
    const target = to === undefined ? [] : [to.fourcc, [...to.pitches], [...to.offsets]];
    return ['end', record, crc, ...target];
  }
  const { fourcc, width, height, pitches, offsets } = command.fb;
  const plane = encodePlane({ plane: 0, state: command.state });
  return ['draw', fourcc, width, height, [...pitches], [...offsets], plane];
}

/** The command of a payload; undefined for one of another kind. EINVAL: a malformed one. */
export function decodeCompose(payload: unknown): ComposeCommand | undefined {
  const list: unknown[] = Array.isArray(payload) ? payload : [];
  const [kind, ...fields] = list;
  if (typeof kind !== 'string') return undefined;
  const command = decodeFields(kind, fields);
  if (command !== undefined) return command;
  const detail = `malformed command '${kind}' of a composer; use the calls of Display`;
  throw new DmaBufError('EINVAL', 'compose', detail);
}

function decodeFields(kind: string, fields: readonly unknown[]): ComposeCommand | undefined {
  const [a, b, c, pitches, offsets, plane] = fields;
  if (kind === 'clear' && isSize(a) && isSize(b)) return { kind, width: a, height: b };
  if (kind === 'end' && typeof a === 'boolean' && typeof b === 'boolean') {
    if (fields.length === 2) return { kind, record: a, crc: b, to: undefined };
    const [, , fourcc, pitches, offsets] = fields;
    if (!isBytes(fourcc) || !isBytesList(pitches) || !isBytesList(offsets)) return undefined;
    return { kind, record: a, crc: b, to: { fourcc, pitches, offsets } };
  }
  if (kind !== 'draw' || !isBytes(a) || !isSize(b) || !isSize(c)) return undefined;
  const state = decodePlane(plane, MAX_PLANES)?.state;
  if (state === undefined || !isBytesList(pitches) || !isBytesList(offsets)) return undefined;
  return { kind, fb: { fourcc: a, width: b, height: c, pitches, offsets }, state };
}

function isSize(value: unknown): value is number {
  return isBytes(value) && value >= 1 && value <= 8192;
}

function isBytes(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isBytesList(value: unknown): value is number[] {
  return Array.isArray(value) && value.length <= 3 && value.every((each) => isBytes(each));
}
