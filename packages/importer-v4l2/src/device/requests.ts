/**
 * Arguments of the device's ioctls, checked: they come from other threads.
 */
import { DmaBufError } from '@dmabuf/core';
import type { OutputFormat } from './codec-state.js';

function malformed(request: string, what: string): DmaBufError {
  return new DmaBufError('EINVAL', request, `malformed arguments: ${what}`);
}

/** The first `count` arguments, which are numbers; there may be more after them. */
export function readNumbers(args: unknown, count: number, request: string): readonly number[] {
  const list: readonly unknown[] = Array.isArray(args) ? args : [];
  const numbers = list.slice(0, count).filter((arg) => typeof arg === 'number');
  if (numbers.length === count) return numbers;
  throw malformed(request, `an array that begins with ${count} numbers is needed`);
}

/** Arguments of VIDIOC_S_FMT: file, generation, width, height, depth, fourcc, header, drains, source. */
export function readFormat(args: unknown): OutputFormat {
  const request = 'VIDIOC_S_FMT';
  const [, , width = 0, height = 0, depth = 0] = readNumbers(args, 5, request);
  const rest: readonly unknown[] = Array.isArray(args) ? args.slice(5) : [];
  const [fourcc, header, drains, source] = rest;
  if (typeof fourcc !== 'string') throw malformed(request, 'the OUTPUT format is no string');
  if (header !== null && header !== undefined && !(header instanceof Uint8Array)) {
    throw malformed(request, 'the header is no byte array');
  }
  const known = { fourcc, header: header ?? undefined, width, height, depth };
  const encodes = typeof source === 'string' ? source : '';
  return { ...known, drains: drains === true, source: encodes };
}
