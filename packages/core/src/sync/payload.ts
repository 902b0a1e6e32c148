/**
 * Payloads: what a job or a message carries, packed with msgpackr.
 *
 * Packed into msgpackr's private scratch and copied from there: its encode target is a module
 * global, so packing straight into shared memory would let an unrelated pack() write there. Small
 * integers take no packing at all. `undefined` comes back as null inside objects.
 */
import { Packr } from 'msgpackr';

const packr = new Packr({ useRecords: false, copyBuffers: true });
const EMPTY = new Uint8Array(0);

/** A value as an int32 (carried in the job record itself), or as msgpack bytes valid until the next call. */
export function encodePayload(value: unknown): number | Uint8Array {
  if (value === undefined) return EMPTY;
  if (typeof value === 'number' && (value | 0) === value && !Object.is(value, -0)) return value;
  return packr.pack(value);
}

/** msgpack bytes of any value, valid until the next call. */
export function pack(value: unknown): Uint8Array {
  return value === undefined ? EMPTY : packr.pack(value);
}

/** The value back; `bytes` must be private memory, for decoded bytes may alias it. */
export function decodePayload(payload: number | Uint8Array): unknown {
  if (typeof payload === 'number') return payload;
  return payload.byteLength === 0 ? undefined : packr.unpack(payload);
}
