/**
 * For tests: four devices that use buffers by jobs, each reaching memory in its own way. A job with an exclusive
 * claim fills each piece of the buffer with its number, from 1, or with {@link patternAt}; a shared one reads; the
 * ioctl `seen` tells what the last job saw then.
 */
import type { DriverSpec } from '@dmabuf/core';
import type { Device, DeviceFactory, DeviceSpec, Driver } from '@dmabuf/core/driver';

const module = import.meta.url;

function device(name: string, more: Partial<DeviceSpec> = {}): DeviceSpec {
  return { name, path: `/dev/${name}`, module, ...more };
}

export const users: DriverSpec = {
  name: 'users',
  module,
  devices: [
    device('lists'),
    device('plain', { reach: { contiguous: true } }),
    device('pooled', { reach: { pool: true, align: 65536 } }),
    device('vault', { reach: { pool: true }, protected: true }),
  ],
};

export interface Seen {
  /** Length of each piece. */
  readonly lengths: number[];
  /** First and last byte of each piece. */
  readonly ends: number[];
  /** Bytes that are not those of the pattern. */
  readonly wrong: number;
}

/** Payload of jobs that write the pattern. */
export const PATTERN = 'pattern';
export function patternAt(i: number): number {
  return (i * 7) & 0xff;
}

export const driver: Driver = { init: () => undefined };

export const createDevice: DeviceFactory = (): Device => {
  let seen: Seen = { lengths: [], ends: [], wrong: 0 };
  return {
    run(job) {
      const { pieces, exclusive } = job.buffer(0);
      const pattern = job.payload === PATTERN;
      if (exclusive) pieces.forEach((piece, i) => (pattern ? draw(piece) : piece.fill(i + 1)));
      seen = {
        lengths: pieces.map(({ length }) => length),
        ends: pieces.flatMap((piece) => [piece.at(0) ?? -1, piece.at(-1) ?? -1]),
        wrong: pieces.reduce(
          (sum, piece) => sum + piece.filter((b, i) => b !== patternAt(i)).length,
          0,
        ),
      };
    },
    ioctl: () => seen,
  };
};

function draw(piece: Uint8Array<ArrayBufferLike>): void {
  for (let i = 0; i < piece.length; i++) piece[i] = patternAt(i);
}
