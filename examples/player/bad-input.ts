/**
 * BadInput: what the user gave cannot be played. One line on stderr, exit code 2.
 */
import { DmaBufError } from '@dmabuf/core';

export class BadInput extends Error {
  override readonly name = 'BadInput';
}

/** The part of an error's text that is for the user: without the errno of the call that found it. */
export function reasonOf(error: unknown): string {
  if (error instanceof DmaBufError && error.detail !== '') return error.detail;
  const text = error instanceof Error ? error.message : String(error);
  return (text.split('\n')[0] ?? text).replace(/\.$/, '');
}

/** The `code` of a system error, or ''. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error) || !('code' in error)) return '';
  return typeof error.code === 'string' ? error.code : '';
}
