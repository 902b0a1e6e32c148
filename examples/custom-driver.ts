// A driver of your own with @dmabuf/core alone: an ISP makes RGB of a Bayer mosaic, and measures it.
import { isMainThread } from 'node:worker_threads';
import { boot, discard, DmaBufError, shared } from '@dmabuf/core';
import type { Context, DmaBuf, Fence, Machine } from '@dmabuf/core';
import type { DeviceFactory, Driver, DriverDoor, DriverSpec } from '@dmabuf/core/driver';

/** Goes into `boot({ drivers })`: plain data; each thread of the machine loads the module by its URL. */
export function isp(): DriverSpec {
  const module = import.meta.url; // of both halves; they may also live in two files
  // 6 words of kernel memory: the means of R, G, B (doubles). The device writes, anybody reads.
  return { name: 'isp', module, words: 6, devices: [{ name: 'isp0', path: '/dev/isp0', module }] };
}

/** Loaded by every thread. A driver that exports buffers would return its ops here. */
export const driver: Driver = { init: () => undefined };

/** The driver half, as applications call it, in their own threads: checks, then queues. */
class Isp {
  readonly #machine: Machine;
  readonly #context: Context;
  readonly #door: DriverDoor;

  constructor(machine: Machine) {
    this.#machine = machine;
    this.#context = machine.createContext(machine.device('/dev/isp0').actor, 'isp');
    this.#door = machine.driver('isp');
  }

  /** RGGB bytes in, XRGB words of half the size out. EINVAL: odd sizes, a buffer that is too small. */
  process(raw: DmaBuf, rgb: DmaBuf, width: number, height: number): Fence {
    if (width % 2 !== 0 || height % 2 !== 0 || Math.min(raw.size, rgb.size) < width * height) {
      const detail = `${width}x${height} does not fit ${raw.size} bytes in and ${rgb.size} out`;
      throw new DmaBufError('EINVAL', 'isp_process', detail);
    }
    return this.#context.submit({ buffers: [shared(raw), discard(rgb)], payload: [width, height] });
  }

  setGains(gains: readonly number[]): void {
    this.#machine.ioctl(this.#context.target, 'SET_GAINS', gains);
  }

  means(): readonly number[] {
    const { words, base } = this.#door;
    return [0, 2, 4].map((at) => words.getDouble(base + at));
  }
}

/** The device half: in a worker of its own, on the memory itself, when the buffers' queues say so. */
export const createDevice: DeviceFactory = ({ door: { words, base } }) => {
  let gains: readonly number[] = [1, 1, 1];
  return {
    run(job) {
      const [width, height] = job.payload as [number, number];
      const [{ bytes: raw }, out] = [job.buffer(0), job.buffer(1)];
      const [w, h, pixels, sums] = [width / 2, height / 2, out.words, [0, 0, 0]];
      const level = (i: number, value: number): number => {
        const lit = Math.min(255, Math.round(value * (gains[i] ?? 1)));
        sums[i] = (sums[i] ?? 0) + lit;
        return lit;
      };
      for (let i = 0; i < w * h; i++) {
        const at = 2 * (Math.floor(i / w) * width + (i % w));
        const [red = 0, g0 = 0] = raw.subarray(at, at + 2);
        const [g1 = 0, blue = 0] = raw.subarray(at + width, at + width + 2);
        pixels[i] = 0xff000000 | (level(0, red) << 16) | (level(1, (g0 + g1) / 2) << 8);
        pixels[i] = (pixels[i] ?? 0) | level(2, blue);
      }
      sums.forEach((sum, i) => words.setDouble(base + 2 * i, sum / (w * h)));
    }, // the fence signals, the claims end, and the next in the buffers' queues starts
    ioctl(request, args) {
      if (request !== 'SET_GAINS') throw new DmaBufError('ENOTTY', request, 'it knows SET_GAINS');
      gains = args as readonly number[];
      return null;
    },
  };
};

async function main(): Promise<void> {
  const machine = await boot({ drivers: [isp()] });
  const [camera, raw, rgb] = [new Isp(machine), machine.alloc(64 * 64), machine.alloc(64 * 64)];
  const scene = raw.access({ write: true, discard: true }); // a grey wall in yellow light
  const mosaic = [160, 140, 140, 80]; // R G, G B
  scene.bytes.forEach((_, i) => (scene.bytes[i] = mosaic[(i & 1) | ((i >> 5) & 2)] ?? 0));
  scene.finish();
  await camera.process(raw, rgb, 64, 64).settled();
  const [r = 1, g = 1, b = 1] = camera.means();
  console.log(`as it comes: ${[r, g, b].join(' ')}`);
  camera.setGains([g / r, 1, g / b]); // grey-world white balance
  await camera.process(raw, rgb, 64, 64).settled();
  const view = rgb.access({ read: true });
  console.log(`balanced: ${camera.means().join(' ')}, a pixel ${view.words[99]?.toString(16)}`);
  view.finish();
  await machine.shutdown();
}

if (isMainThread) void main(); // the module is loaded by workers too
