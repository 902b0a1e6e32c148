/** What a second shader core gains: a command's work split into tiles. */
import { boot, type Machine } from '@dmabuf/core';
import { ion, IonClient } from '@dmabuf/exporter-ion';
import {
  blend,
  blit,
  DRM_FORMAT_ARGB8888,
  DRM_FORMAT_NV12,
  DRM_FORMAT_XRGB8888,
  type Command,
  GpuContext,
  type GpuImage,
  gpu,
  scratchBytes,
} from '@dmabuf/importer-gpu';
import { keep } from '../harness/keep.js';
import { interleave, roundsFor, rowsOf, type Sample, type Variant } from '../harness/rounds.js';
import type { RunOptions, Table, TableResult } from '../harness/table.js';

const [WIDTH, HEIGHT] = [1920, 1080];
const JOBS = 40;
const UNIT = 'ms a job';
const CORES = [1, 2] as const;
const MIB = 1 << 20;

export const shaderCores: Table = {
  name: 'shader-cores',
  title: "A GPU's shader cores at 1080p",
  method: [
    `Two machines, gpu({ shaderCores }) of 1 and of 2, images in the pool. ${JOBS} jobs of one command a round, queued ahead, on the way from the first submit to the last fence. Work on the pool's memory is bound by the bandwidth of memory as much as by cores.`,
  ],
  run,
};

interface Rig {
  readonly machine: Machine;
  readonly context: GpuContext;
  readonly commands: Readonly<Record<string, Command>>;
}

async function run(options: RunOptions): Promise<TableResult> {
  const rigs = [await makeRig(1), await makeRig(2)];
  const variants: Variant[] = [];
  for (const name of Object.keys(rigs[0]?.commands ?? {})) {
    rigs.forEach((rig, i) => {
      const label = `${name}, ${CORES[i] ?? 0} core${i > 0 ? 's' : ''}`;
      const against = i > 0 ? { against: `${name}, 1 core` } : {};
      variants.push({ label, unit: UNIT, ...against, run: () => jobs(rig, name) });
    });
  }
  try {
    return {
      rows: rowsOf(variants, await interleave(variants, roundsFor(options, 10), 3)),
      marks: [],
    };
  } finally {
    for (const { machine } of rigs) await machine.shutdown();
  }
}

function jobs({ context, commands }: Rig, name: string): Sample {
  const command = commands[name];
  if (command === undefined) return { value: NaN };
  const start = performance.now();
  let last = context.submit({ commands: [command] });
  for (let i = 1; i < JOBS; i++) last = context.submit({ commands: [command] });
  last.wait();
  return { value: (performance.now() - start) / JOBS };
}

async function makeRig(shaderCores: number): Promise<Rig> {
  const machine = await boot({ pool: 64 * MIB, drivers: [ion(), gpu({ shaderCores })] });
  const client = IonClient.open(machine, { name: 'bench' });
  const alloc = (bytes: number): ReturnType<typeof client.alloc> =>
    keep(client.alloc({ size: bytes, heaps: 'carveout' }));
  const scratch = alloc(shaderCores * scratchBytes(WIDTH, 1280));
  const context = GpuContext.create(machine, { scratch });
  const size = { width: WIDTH, height: HEIGHT };
  const image = (fourcc: number, bytes: number, shape = size): GpuImage =>
    context.importImage({ buffer: alloc(bytes), fourcc, ...shape });
  const pixels = WIDTH * HEIGHT;
  const video = image(DRM_FORMAT_NV12, (pixels * 3) / 2);
  const overlay = image(DRM_FORMAT_ARGB8888, pixels * 4);
  const screen = image(DRM_FORMAT_XRGB8888, pixels * 4);
  const small = image(DRM_FORMAT_XRGB8888, 1280 * 720 * 4, { width: 1280, height: 720 });
  const whole = { x: 0, y: 0, ...size };
  return {
    machine,
    context,
    commands: {
      'NV12 to XRGB8888': blit({ src: video, dst: screen }),
      'NV12 scaled to 720p': blit({ src: video, dst: small }),
      blend: blend({ src: overlay, dst: screen, to: whole }),
    },
  };
}
