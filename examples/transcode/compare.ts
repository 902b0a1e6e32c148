/**
 * How far the pictures of an IVF file are from what was encoded: it is decoded again, as a player would.
 */
import type { Machine } from '@dmabuf/core';
import { parseIvf, VideoDevice } from '@dmabuf/importer-v4l2';

export interface Comparison {
  readonly pictures: number;
  /** Of the packets. */
  readonly bytes: number;
  /** Pictures that could not be decoded. */
  readonly errors: number;
  /** Of all samples of all planes, dB. */
  readonly psnr: number;
}

/** `sources` are the pictures that were encoded, as tightly packed I420. Blocks until all is decoded. */
export function compare(
  machine: Machine,
  file: Uint8Array<ArrayBufferLike>,
  sources: readonly Uint8Array[],
): Comparison {
  const { fourcc, frames, width, height } = parseIvf(file);
  using decoder = VideoDevice.open(machine);
  decoder.setFormat({ output: { fourcc }, capture: { width, height } });
  using capture = machine.alloc(sources[0]?.length ?? 0);
  let [squares, samples, bytes] = [0, 0, 0];
  for (const [i, { data }] of frames.entries()) {
    using packet = machine.alloc(data.length);
    const staging = packet.access({ write: true, discard: true });
    staging.bytes.set(data);
    staging.finish();
    const bitstream = { buffer: packet, offset: 0, size: data.length };
    decoder.queueDecode({ bitstream, timestamp: i, capture });
    using picture = capture.access({ read: true }); // behind the decoder, on the buffer's own queue
    sources[i]?.forEach((sample, at) => (squares += (sample - (picture.bytes[at] ?? 0)) ** 2));
    samples += sources[i]?.length ?? 0;
    bytes += data.length;
  }
  const psnr = 10 * Math.log10((255 * 255 * samples) / squares);
  return { pictures: frames.length, bytes, errors: decoder.stats().errors, psnr };
}
