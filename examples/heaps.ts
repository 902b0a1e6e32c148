// Where buffers come from: heaps that suit who will use the buffer, what fragmentation does, and what it looks like.
import { boot, DmaBufError } from '@dmabuf/core';
import { ion, IonClient } from '@dmabuf/exporter-ion';

const MIB = 1 << 20;

const machine = await boot({
  pool: 24 * MIB,
  drivers: [
    ion({
      heaps: [
        { type: 'system' },
        { type: 'carveout', size: 16 * MIB },
        { type: 'chunk', size: 8 * MIB, chunk: 65536 },
      ],
    }),
  ],
});
using camera = IonClient.open(machine, { name: 'camera' });

/** Which heap serves this, or why none does. */
function ask(what: string, options: Parameters<IonClient['alloc']>[0]): void {
  try {
    using buffer = camera.alloc(options);
    console.log(`${what}: ${camera.heapOf(buffer)}`);
  } catch (error) {
    if (!(error instanceof DmaBufError)) throw error;
    console.log(`${what}: ${error.code}, ${error.detail.split(';')[0]}`);
  }
}
ask('a bitstream', { size: MIB });
ask('for a SIMD kernel', { size: MIB, for: [{ name: 'kernel', pool: true, align: 64 }] });
ask('chunks for a SIMD kernel', {
  size: MIB,
  heaps: 'chunk',
  for: [{ name: 'kernel', contiguous: true }],
});

// Sixteen frames fill the carveout; every second one is freed: half of it is free, and no run of it above 1 MiB.
const frames = Array.from({ length: 16 }, () => camera.alloc({ size: MIB, heaps: 'carveout' }));
frames.forEach((frame, i) => i % 2 === 0 && frame.close());
const [, carveout] = camera.stats();
const percent = ((carveout?.fragmentation ?? 0) * 100).toFixed(0);
console.log(
  `carveout: ${(carveout?.free ?? 0) / MIB} MiB free in ${carveout?.holes} runs, fragmentation ${percent} %`,
);
ask('two pieces at once', { size: 2 * MIB, heaps: 'carveout' });
ask('the same with a fall-back', { size: 2 * MIB, heaps: ['carveout', 'chunk'] });

// What /sys/kernel/debug/ion/heaps prints, in part: who has what of each heap.
for (const line of camera.debugfs().split('\n')) {
  if (/^(heap|camera|total |free)/.test(line)) console.log(line.replace(/ +/g, ' '));
}
camera.close();
await machine.shutdown();
