/**
 * For tests: four devices that use buffers by jobs, each reaching memory in its own way. A job with an exclusive
 * claim fills each piece of the buffer with its number, from 1; a shared one reads; `seen` tells what the last
 * job saw.
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
}

export const driver: Driver = { init: () => undefined };

export const createDevice: DeviceFactory = (): Device => {
  let seen: Seen = { lengths: [], ends: [] };
  return {
    run(job) {
      const { pieces, exclusive } = job.buffer(0);
      if (exclusive) pieces.forEach((piece, i) => piece.fill(i + 1));
      seen = {
        lengths: pieces.map(({ length }) => length),
        ends: pieces.flatMap((piece) => [piece.at(0) ?? -1, piece.at(-1) ?? -1]),
      };
    },
    ioctl: () => seen,
  };
};
