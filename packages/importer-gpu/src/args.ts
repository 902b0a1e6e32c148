/** Types of arguments at the border of the package: a wrong one is a TypeError that names the call and the argument. */
import { DmaBuf } from '@dmabuf/core';

export function wrongType(call: string, name: string, expected: string, value: unknown): TypeError {
  const got = value === null ? 'null' : Array.isArray(value) ? 'an array' : typeof value;
  return new TypeError(`${call}: ${name} must be ${expected}, got ${got}`);
}

export function wantObject(call: string, name: string, value: unknown): void {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return;
  throw wrongType(call, name, 'an object', value);
}

export function wantArray(call: string, name: string, value: unknown): void {
  if (!Array.isArray(value)) throw wrongType(call, name, 'an array', value);
}

export function wantBuffer(call: string, name: string, value: unknown): void {
  if (!(value instanceof DmaBuf)) throw wrongType(call, name, 'a DmaBuf', value);
}
