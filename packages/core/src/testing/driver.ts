/**
 * A driver for tests with real workers: a heap of whole regions, and devices that behave, or
 * misbehave, as their options say.
 */
import type { DriverDoor } from '../actor/door.js';
import type {
  Device,
  DeviceEnv,
  DeviceFactory,
  DeviceSpec,
  Driver,
  DriverSpec,
} from '../actor/spec.js';
import { contiguousOps } from '../dmabuf/ops.js';
import { DmaBufError } from '../errno.js';

/** What a test device does with a job, by the job's payload; at start, by its options. */
export type Behaviour = 'work' | 'no-create' | 'throw-at-create' | 'throw-at-import';

const url = import.meta.url;

/** The spec of a machine's test driver with devices of these names and behaviours. */
export function testDriver(devices: Readonly<Record<string, Behaviour>> = {}): DriverSpec {
  const specs = Object.entries(devices).map(([name, behaviour]): DeviceSpec => ({
    name,
    path: `/dev/${name}`,
    module:
      behaviour === 'throw-at-import'
        ? `${url}?broken`
        : behaviour === 'no-create'
          ? new URL('./fake-machine.js', url).href
          : url,
    async: name.startsWith('async'),
    options: { behaviour },
  }));
  return { name: 'test', module: url, words: 64, devices: specs };
}

if (url.endsWith('?broken')) throw new Error('this module cannot be loaded');

export const driver: Driver = {
  init(_door: DriverDoor) {
    return { ...contiguousOps, mmap() {}, prepareAccess() {}, finishAccess() {}, release() {} };
  },
};

export const createDevice: DeviceFactory = ({ door, spec }: DeviceEnv): Device => {
  const behaviour = optionsOf(spec).behaviour;
  if (behaviour === 'throw-at-create') throw new Error('no such hardware');
  const ioctl = (request: string, args: unknown): unknown => {
    if (request === 'ECHO') return args;
    if (request === 'CRASH') throw new Error('crashed in an ioctl');
    throw new DmaBufError('ENOTTY', request, 'the test device knows ECHO and CRASH');
  };
  const run = (job: { readonly payload: unknown; defer(): void }): void => act(job, door);
  if (spec.async === true) {
    return {
      ioctl,
      run: async (job) => {
        await new Promise((resolve) => {
          setImmediate(resolve);
        });
        run(job);
      },
    };
  }
  return { ioctl, run };
};

function act(job: { readonly payload: unknown; defer(): void }, door: DriverDoor): void {
  switch (job.payload) {
    case 'throw':
      throw new RangeError('a bug in the device');
    case 'fail':
      throw new DmaBufError('EIO', 'test', 'a damaged frame');
    case 'exit':
      process.exit(7);
      break;
    case 'defer':
      job.defer();
      break;
    case 'hang':
      for (;;) door.words.add(door.base + 1, 1);
    case 'heap':
      for (const kept: string[][] = []; ;) kept.push(Array.from({ length: 1000 }, String));
    default:
      door.words.add(door.base, 1);
  }
}

function optionsOf(spec: DeviceSpec): { readonly behaviour?: unknown } {
  const { options } = spec;
  return typeof options === 'object' && options !== null ? options : {};
}
