/** What a call refuses with. */
import { DmaBufError } from '../errno.js';

/** The errno name of the DmaBufError that a call throws, or `'no error'`. Others pass through. */
export function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof DmaBufError) return error.code;
    throw error;
  }
  return 'no error';
}
