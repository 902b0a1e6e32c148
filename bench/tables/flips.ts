/** Page flips at 60 Hz with a blocked main thread: design section 5. */
import { boot, type Fence, type Machine } from '@dmabuf/core';
import { Display, DRM_FORMAT_XRGB8888, type Framebuffer, kms } from '@dmabuf/importer-kms';
import { recruit } from '../harness/crew.js';
import { keep } from '../harness/keep.js';
import { latency, rowsOf, type Sample, type Variant } from '../harness/rounds.js';
import type { RunOptions, Table, TableResult } from '../harness/table.js';

const HZ = 60;
const WIDTH = 1280;
const HEIGHT = 720;

export const flips: Table = {
  name: 'flips',
  title: '60 Hz flips while the main thread is blocked',
  method: [
    'A display of 1280x720@60 alone; all flips queued ahead with their present times on four framebuffers, the main thread in one blocking wait for the last. 60 s. CPU is that of the whole process, broker and all.',
    'Bare: a worker that sleeps to the same deadlines by Atomics.wait, spins the last half millisecond, and notes how late it is. "fl. queued" is the time of one queueFlip call while nothing is shown yet.',
  ],
  run,
};

async function run({ quick }: RunOptions): Promise<TableResult> {
  const seconds = quick ? 3 : 60;
  const machine = await boot({ drivers: [kms({ mode: `${WIDTH}x${HEIGHT}@${HZ}` })] });
  const bare = await recruit('bare', 'bare');
  try {
    const display = Display.open(machine);
    const screens = Array.from({ length: 4 }, () => framebuffer(machine, display));
    const frames = seconds * HZ;
    const cpu = process.cpuUsage();
    const start = performance.now();
    const queued = performance.now();
    let last: Fence | undefined;
    for (let frame = 0; frame < frames; frame++) {
      const fb = screens[frame % screens.length];
      if (fb !== undefined) last = display.queueFlip({ fb, at: (frame * 1000) / HZ });
    }
    const call = ((performance.now() - queued) * 1000) / frames;
    last?.wait();
    const took = performance.now() - start;
    const { user, system } = process.cpuUsage(cpu);
    const { shown, dropped, missedVblanks, lateness } = display.stats();
    const percent = ((user + system) / 1000 / took) * 100;
    const { p50, p99 } = lateness;
    const bareCpu = process.cpuUsage();
    const from = performance.now();
    const answer = bare.next();
    bare.post({ do: 'deadlines', count: Math.min(frames, 10 * HZ), period: 1000 / HZ, spin: 0.5 });
    const late = latency((await answer) as Float64Array);
    const used = process.cpuUsage(bareCpu);
    const barePercent = ((used.user + used.system) / 1000 / (performance.now() - from)) * 100;
    const quiet = (late.p99 ?? Infinity) <= 0.5;
    const variants: Variant[] = [];
    const samples = new Map<string, Sample[]>();
    const row = (label: string, unit: string, sample: Sample, against?: string): void => {
      variants.push({ label, unit, ...(against !== undefined && { against }), run: () => sample });
      samples.set(label, [sample]);
    };
    row('bare deadline, lateness', 'ms', late);
    row('flip, lateness', 'ms', { value: p50, p99 }, 'bare deadline, lateness');
    row('bare deadline, CPU', '% of a core', { value: barePercent });
    row('flips, CPU', '% of a core', { value: percent }, 'bare deadline, CPU');
    row('flips shown', `of ${frames}`, { value: shown });
    row('flips dropped', `of ${frames}`, { value: dropped });
    row('vblanks missed', `of ${frames}`, { value: missedVblanks });
    row('fl. queued', 'µs a call', { value: call });
    const rows = rowsOf(variants, samples);
    return {
      rows,
      marks: [
        {
          what: '60 Hz flips while the main thread is blocked',
          reach:
            'no missed vblank; p99 flip lateness ≤ 0.5 ms on a quiet machine, at ≤ 6 % of a core',
          got: `${missedVblanks} missed of ${frames}; p50 ${p50.toFixed(3)} ms, p99 ${p99.toFixed(2)} ms (a bare deadline: ${late.value.toFixed(3)}, ${(late.p99 ?? NaN).toFixed(2)}); ${percent.toFixed(1)} % of a core`,
          reached:
            missedVblanks === 0 && p99 <= 0.5 && percent <= 6 ? true : quiet ? false : undefined,
          ...(!quiet && { why: 'the machine was not quiet: a bare deadline was late too' }),
        },
      ],
    };
  } finally {
    await bare.end();
    await machine.shutdown();
  }
}

function framebuffer(machine: Machine, display: Display): Framebuffer {
  const buffer = keep(machine.alloc(WIDTH * HEIGHT * 4));
  const shape = { buffer, width: WIDTH, height: HEIGHT, fourcc: DRM_FORMAT_XRGB8888 };
  return display.addFramebuffer({ ...shape, pitches: [WIDTH * 4] });
}
