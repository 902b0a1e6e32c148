/**
 * The refusal of a stream that a codec does not do, as against one that is damaged.
 */
import { DmaBufError } from '@dmabuf/core';

/** An `EINVAL` that names what was found, what is accepted, and the way out. */
export class UnsupportedStream extends DmaBufError {
  /** `found` reads on from "the stream is": `'H.264 High (profile_idc 100)'`. */
  constructor(syscall: string, found: string, accepted: string, remedy: string) {
    super('EINVAL', syscall, `the stream is ${found}; accepted is ${accepted}: ${remedy}`);
  }
}

/**
 * What `decode` reports for an error that parsing a packet threw: a refusal stays what it is,
 * headers that make no sense are damage (`EIO`). Anything else is a bug here and goes on up.
 */
export function parseFault(error: unknown): DmaBufError {
  if (error instanceof UnsupportedStream) return error;
  if (!(error instanceof DmaBufError)) throw error;
  return new DmaBufError('EIO', 'decode', `its headers are damaged: ${error.detail}`);
}
