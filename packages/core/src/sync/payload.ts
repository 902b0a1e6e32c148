/**
 * Payloads: what a job or a message carries, packed with msgpackr.
 *
 * Packed into msgpackr's private scratch and copied from there (each value behind the one before, so that
 * earlier bytes stay): its encode target is a module
 * global, so packing straight into shared memory would let an unrelated pack() write there. Small
 * integers take no packing at all. `undefined` comes back as null inside objects.
 *
 * Without msgpackr's streams and its native strings, which a payload of some 100 bytes gains nothing by and every
 * thread would load for 10 ms.
 */
import { Packr } from 'msgpackr/pack';

const packr = new Packr({
  useRecords: false,
  copyBuffers: true,
  // Left to itself, msgpackr makes null of a function without a word.
  writeFunction: (): never => {
    throw new TypeError('it holds a function');
  },
});
const EMPTY = new Uint8Array(0);

/** A value as an int32 (carried in the job record itself), or as msgpack bytes. TypeError: it cannot be packed. */
export function encodePayload(value: unknown): number | Uint8Array {
  if (value === undefined) return EMPTY;
  if (typeof value === 'number' && (value | 0) === value && !Object.is(value, -0)) return value;
  return pack(value, 'submit', 'payload');
}

/** msgpack bytes of any value. TypeError in the name of the call: it cannot be packed. */
export function pack(value: unknown, call: string, name: string): Uint8Array {
  if (value === undefined) return EMPTY;
  try {
    return packr.pack(value);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new TypeError(`${call}: ${name} must be what msgpack can carry: ${why}`, { cause });
  }
}

/** The value back; `bytes` must be private memory, for decoded bytes may alias it. */
export function decodePayload(payload: number | Uint8Array): unknown {
  if (typeof payload === 'number') return payload;
  return payload.byteLength === 0 ? undefined : packr.unpack(payload);
}
