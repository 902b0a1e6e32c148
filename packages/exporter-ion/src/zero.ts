/**
 * Zeroing of memory, the fast way. On shared memory a byte-wise fill runs at 2 GB/s where 64-bit
 * stores reach 16 (a shared view's fill may not tear what it writes, so the engine stores element by
 * element).
 */

/** Zeroes a view whose start and length are multiples of 8 bytes, as pages are. */
export function zero(bytes: Uint8Array<ArrayBufferLike>): void {
  new BigUint64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 3).fill(0n);
}
