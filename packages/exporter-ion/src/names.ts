/**
 * Names in kernel memory: NUL-padded UTF-8 of at most 31 bytes.
 */
import type { Words } from '@dmabuf/core/driver';
import { NAME_WORDS } from './layout.js';

const BYTES = NAME_WORDS * 4;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Writes a name; a longer one is cut. */
export function writeName(words: Words, index: number, name: string): void {
  const target = words.bytes(index, BYTES);
  target.fill(0);
  target.set(encoder.encode(name).subarray(0, BYTES - 1));
}

export function readName(words: Words, index: number): string {
  const bytes = words.bytes(index, BYTES).slice();
  const end = bytes.indexOf(0);
  return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end));
}
