/**
 * Opens what a file's formats ask for: a decoder, or an encoder.
 */
import { type CodecState, DecoderState, type OutputFormat, type Resume } from './codec-state.js';
import { EncoderState } from './encoder-state.js';
import type { M2mHooks } from './m2m.js';
import type { PicturePool } from './picture-pool.js';

/** A decoder that is given a pool leaves its pictures there. ENOENT, EINVAL, ENOMEM, EIO. */
export async function openCodec(
  format: OutputFormat,
  hooks: M2mHooks,
  from: Resume,
  pool: PicturePool | undefined,
): Promise<CodecState> {
  if (format.source === '') return DecoderState.open(format, hooks, from, pool);
  return EncoderState.open(format, hooks, from);
}
