// 2D drawing into the front buffer, as an X server does it: CPU and display on one buffer at once, with cache
// maintenance and no exclusion. The machine is not coherent: what is not flushed is not seen.
import { boot } from '@dmabuf/core';
import { Display, DRM_FORMAT_XRGB8888, kms } from '@dmabuf/importer-kms';

const [WIDTH, HEIGHT] = [320, 180];

const machine = await boot({
  drivers: [kms({ mode: `${WIDTH}x${HEIGHT}@60` })],
  coherency: 'noncoherent',
});
const display = Display.open(machine);
const buffer = machine.alloc(WIDTH * HEIGHT * 4);
const shape = { width: WIDTH, height: HEIGHT, fourcc: DRM_FORMAT_XRGB8888, pitches: [WIDTH * 4] };
const screen = display.addFramebuffer({ buffer, ...shape });
display.setMode(display.mode, screen);
const picture = (): string => display.crc().toString(16).padStart(8, '0');
const black = picture();

// With exclusion the CPU would wait for a flip that never comes: the display holds its front buffer.
try {
  buffer.access({ write: true, timeout: 20 }).finish();
} catch (error) {
  console.log(
    `with exclusion: ${error instanceof Error && 'code' in error ? String(error.code) : ''}`,
  );
}

// Without: a rectangle, then a flush of its rows alone.
const [top, rows] = [40, 20];
const range = { offset: top * WIDTH * 4, length: rows * WIDTH * 4 };
const drawing = buffer.access({ write: true, read: true, sync: false, ...range });
drawing.words.fill(0xff8000);
console.log(
  `drawn, not flushed: the picture ${picture() === black ? 'is as it was' : 'has changed'}`,
);
drawing.finish();
console.log(`flushed: the picture ${picture() === black ? 'is as it was' : 'has changed'}`);

const counters = machine.bufinfo().buffers[0]?.counters;
console.log(
  `${counters?.flushes} flush, and ${counters?.cacheLines} cache lines of ${buffer.size / 64} touched`,
);
console.log(`on screen all the time, without a flip: ${display.stats().shown} flips`);

display.disable();
display.rmFramebuffer(screen);
buffer.close();
await machine.shutdown();
