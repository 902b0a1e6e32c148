/** A machine with shader cores, and images in it, for the tests of those. */
import type { Fence, Machine } from '@dmabuf/core';
import * as assert from 'uvu/assert';
import { GpuContext } from '../context.js';
import { packedLayout, type FourCC } from '../fourcc.js';
import type { GpuImage } from '../image.js';
import { scratchBytes } from '../scratch-size.js';
import { bootMachine, poolBuffer, writeBytes } from './machine.test-helper.js';
import { painted } from './pictures.test-helper.js';

/** Large enough to be shared, as are the parts of it that are drawn. */
export const WIDTH = 330;
export const HEIGHT = 222;

export type Where = 'pool' | 'system';

export interface Bench {
  readonly machine: Machine;
  readonly context: GpuContext;
  end(): Promise<void>;
  image(fourcc: FourCC, seed: number, width?: number, height?: number, where?: Where): GpuImage;
}

export async function bench(
  shaderCores: number,
  limits?: { readonly job: number },
): Promise<Bench> {
  const options = { pool: 48 << 20, ...(limits && { limits }) };
  const machine = await bootMachine({ shaderCores }, options);
  const scratch = poolBuffer(machine, scratchBytes(1280, 1280) * 3);
  const context = GpuContext.create(machine, { scratch });
  const opened: { close(): void }[] = [scratch];
  return {
    machine,
    context,
    async end() {
      for (const each of opened) each.close();
      context.close();
      await machine.shutdown();
    },
    image(fourcc, seed, width = WIDTH, height = HEIGHT, where = 'pool') {
      const { size } = packedLayout(fourcc, width, height);
      const buffer = where === 'pool' ? poolBuffer(machine, size) : machine.alloc(size);
      writeBytes(buffer, paintedOnce(size, seed));
      const made = context.importImage({ buffer, fourcc, width, height });
      opened.push(buffer, made);
      return made;
    },
  };
}

const paintings = new Map<string, Uint8Array>();

/** As {@link painted}; nobody writes into it. */
function paintedOnce(size: number, seed: number): Uint8Array {
  const name = `${size} ${seed}`;
  const known = paintings.get(name) ?? painted(size, seed);
  paintings.set(name, known);
  return known;
}

export function good(context: GpuContext, fence: Fence): void {
  assert.is(fence.wait(20_000), 1, context.explain(fence));
}
