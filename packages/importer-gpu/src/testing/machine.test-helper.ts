/**
 * A driver for the tests alone: hands out pool buffers, and has one device, a "camera" that writes
 * test frames with their metadata into buffers, or fails.
 */
import {
  boot,
  type BootOptions,
  DmaBufError,
  discard,
  type DmaBuf,
  type Fence,
  type Machine,
} from '@dmabuf/core';
import {
  contiguousOps,
  type DeviceFactory,
  type DmaBufOps,
  type Driver,
  type DriverSpec,
} from '@dmabuf/core/driver';
import { formatInfo, packedLayout, type FourCC } from '../fourcc.js';
import { gpu, type GpuOptions } from '../spec.js';
import { paint } from './pictures.test-helper.js';

const CAMERA = '/dev/camera';

const ops: DmaBufOps = {
  ...contiguousOps,
  mmap() {},
  prepareAccess() {},
  finishAccess() {},
  release() {},
};

/** The test driver's own half: one word, the end of what was handed out of the pool. */
export const driver: Driver = { init: () => ops };

export function testDriver(): DriverSpec {
  const module = import.meta.url;
  return { name: 'test', module, words: 1, devices: [{ name: 'camera', path: CAMERA, module }] };
}

/** A machine with a pool, a GPU and the test driver. */
export async function bootMachine(
  options: GpuOptions = {},
  more: Omit<BootOptions, 'drivers'> = {},
): Promise<Machine> {
  return boot({ pool: 32 << 20, ...more, drivers: [gpu(options), testDriver()] });
}

/** A buffer in the pool, at an odd place on purpose. Pool memory is not taken back. */
export function poolBuffer(machine: Machine, bytes: number, flags: number = 0): DmaBuf {
  const door = machine.driver('test');
  const offset = door.words.add(door.base, ((bytes + 64) & ~63) + 4);
  return door.export({ region: door.pool, offset, size: bytes, flags, name: 'pool', priv: [] });
}

/** A picture that the camera writes. */
export interface Shot {
  readonly seed: number;
  readonly fourcc: FourCC;
  readonly width: number;
  readonly height: number;
  readonly crop?: readonly number[];
  readonly matrix?: 601 | 709;
  readonly full?: boolean;
  /** Of the metadata alone. */
  readonly pitches?: readonly number[];
  readonly offsets?: readonly number[];
  readonly sequence?: number;
  readonly fail?: boolean;
  /** Write no metadata. */
  readonly silent?: boolean;
}

/** Lets the camera write pictures, in order. */
export class Camera {
  readonly #context: ReturnType<Machine['createContext']>;

  constructor(machine: Machine) {
    this.#context = machine.createContext(machine.device(CAMERA).actor, 'camera');
  }

  shoot(buffer: DmaBuf, shot: Shot): Fence {
    return this.#context.submit({ buffers: [discard(buffer)], payload: shot });
  }
}

function isShot(value: unknown): value is Shot {
  return typeof value === 'object' && value !== null && 'seed' in value;
}

export const createDevice: DeviceFactory = () => ({
  run(job) {
    const shot = job.payload;
    if (!isShot(shot)) throw new DmaBufError('EINVAL', 'camera', 'no shot');
    const buffer = job.buffer(0);
    paint(buffer.bytes, shot.seed);
    if (shot.fail === true) throw new DmaBufError('EIO', 'camera', 'told to fail');
    if (shot.silent === true) return;
    const known = formatInfo(shot.fourcc) !== undefined;
    const planes = known ? packedLayout(shot.fourcc, shot.width, shot.height).planes : [];
    const [left = 0, top = 0, width = 0, height = 0] = shot.crop ?? [];
    buffer.metadata = {
      fourcc: shot.fourcc,
      width: shot.width,
      height: shot.height,
      crop: { left, top, width, height },
      pitches: shot.pitches ?? planes.map(({ pitch }) => pitch),
      offsets: shot.offsets ?? planes.map(({ offset }) => offset),
      range: shot.full === true ? 'full' : 'limited',
      matrix: shot.matrix === 601 ? 'bt601' : 'bt709',
      sequence: shot.sequence ?? 0,
      timestamp: (shot.sequence ?? 0) * 40,
    };
  },
});

/** Reads a buffer's bytes through a bracket. */
export function readBytes(buffer: DmaBuf): Uint8Array {
  const bracket = buffer.access({ read: true });
  const bytes = Uint8Array.from(bracket.bytes);
  bracket.finish();
  return bytes;
}

/** Overwrites a buffer through a bracket. */
export function writeBytes(buffer: DmaBuf, bytes: Uint8Array): void {
  const bracket = buffer.access({ write: true, discard: true });
  bracket.bytes.set(bytes);
  bracket.finish();
}
