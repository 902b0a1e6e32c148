/**
 * Arguments that stand for fences, at the public border: what is no fence is a TypeError that names it, what
 * names no job of this machine EINVAL. A forged one that names some job is the fence's own affair
 * (ESTALE).
 */
import { wantArray, wrongType } from '../args.js';
import { DmaBufError } from '../errno.js';
import type { Kernel } from '../kernel.js';
import type { FenceLike } from './fence-set.js';
import type { FencePoint } from './jobs.js';

const NO_FENCES: readonly FencePoint[] = [];

/** A fence's plain value. */
export function wantPoint(kernel: Kernel, call: string, name: string, value: unknown): FencePoint {
  if (!isPoint(value)) {
    const expected = 'a fence point { slot, generation, context, seqno }';
    throw wrongType(call, name, expected, value);
  }
  if (kernel.jobs.owns(value.slot)) return value;
  const detail = `${name} names job ${value.slot}, which this machine does not have`;
  throw new DmaBufError('EINVAL', call, detail);
}

/** Anything that stands for fences: looks at all that it consists of. */
export function wantFence(kernel: Kernel, call: string, name: string, value: unknown): void {
  if (typeof value !== 'object' || value === null || !('points' in value)) {
    throw wrongType(call, name, 'a fence, or what stands for several', value);
  }
  // Arrays and chains are made of checked ones, and a pending array has no points to look at.
  if ('leaves' in value && typeof value.leaves === 'function') return;
  const { points } = value;
  wantArray(call, `${name}.points`, points);
  for (const point of points) wantPoint(kernel, call, name, point);
}

export function wantFences(kernel: Kernel, call: string, name: string, value: unknown): void {
  wantArray(call, name, value);
  for (let i = 0; i < value.length; i++) wantFence(kernel, call, `${name}[${i}]`, value[i]);
}

/** The single fences that several fence-like things consist of; none when left out. */
export function pointsOf(
  kernel: Kernel,
  call: string,
  name: string,
  fences: readonly FenceLike[] | undefined,
): readonly FencePoint[] {
  if (fences === undefined) return NO_FENCES;
  wantFences(kernel, call, name, fences);
  return fences.length === 0 ? NO_FENCES : fences.flatMap((fence) => fence.points);
}

function isPoint(value: unknown): value is FencePoint {
  if (typeof value !== 'object' || value === null) return false;
  const { slot, generation, context, seqno } = value as Partial<FencePoint>;
  return (
    typeof slot === 'number' &&
    typeof generation === 'number' &&
    typeof context === 'number' &&
    typeof seqno === 'number'
  );
}
