// glReadPixels on an imported buffer: the CPU reads what the GPU drew, and no cache line is flushed for it.
import { boot } from '@dmabuf/core';
import { clear, DRM_FORMAT_XRGB8888, fill, GpuContext, gpu } from '@dmabuf/importer-gpu';

// A machine whose memory is not coherent: reading without a bracket would show stale bytes.
const machine = await boot({ drivers: [gpu()], coherency: 'noncoherent' });
const context = GpuContext.create(machine);
const buffer = machine.alloc(640 * 480 * 4);
const screen = context.importImage({
  ...{ buffer, fourcc: DRM_FORMAT_XRGB8888, width: 640, height: 480 },
});
const flushes = (): number => machine.bufinfo().buffers[0]?.counters.flushes ?? NaN;

const square = { x: 100, y: 50, width: 200, height: 100 };
context.submit({
  commands: [clear({ dst: screen }), fill({ dst: screen, to: square, pixel: 0xffcc8844 })],
});

// No fence to wait for: the buffer's own queue lets the CPU in when the job is done.
const from = { x: 99, y: 50, width: 3, height: 1 };
const pixels = context.readPixels(screen, { from });
const words = [0, 4, 8].map((at) => Buffer.from(pixels).readUInt32LE(at).toString(16));
console.log(`three pixels across the left edge of the square: ${words.join(' ')}`);
console.log(`flushes after reading: ${flushes()}`);

// The other way: glTexSubImage2D writes a rectangle, and flushes the lines of its rows alone.
const patch = new Uint8Array(3 * 2 * 4).fill(0xff);
context.texSubImage2D(screen, patch, { to: { x: 0, y: 0, width: 3, height: 2 } });
const corner = context.readPixels(screen, { from: { x: 2, y: 1, width: 2, height: 1 } });
console.log(`two pixels across the edge of a white patch: ${Buffer.from(corner).toString('hex')}`);
console.log(`flushes after writing: ${flushes()}`);

screen.close();
buffer.close();
context.close();
await machine.shutdown();
