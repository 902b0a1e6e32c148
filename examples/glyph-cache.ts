// A glyph cache: a texture that the CPU draws into once in a while and the GPU reads in every frame. What is
// flushed is what was drawn, when it was drawn; the frames in between cost no cache work at all.
import { boot } from '@dmabuf/core';
import {
  blend,
  clear,
  DRM_FORMAT_ARGB8888,
  DRM_FORMAT_XRGB8888,
  GpuContext,
  gpu,
} from '@dmabuf/importer-gpu';
import { GLYPH_HEIGHT, GLYPH_WIDTH, glyphPixel } from './player/font.js';

const CELL = { width: 16, height: 16 };
const CELL_BYTES = CELL.width * CELL.height * 4;
const SLOTS = 16;
const COLUMNS = 5;

// Not coherent: what the CPU has drawn is not seen by the GPU before its cache lines are written back.
const machine = await boot({ drivers: [gpu()], coherency: 'noncoherent' });
const context = GpuContext.create(machine);
const atlas = machine.alloc(SLOTS * CELL_BYTES, { name: 'glyphs' }); // one glyph below the other
const screen = machine.alloc(COLUMNS * CELL_BYTES, { name: 'screen' });
const glyphs = context.importImage({
  ...{ buffer: atlas, fourcc: DRM_FORMAT_ARGB8888, width: CELL.width, height: SLOTS * CELL.height },
});
const target = context.importImage({
  buffer: screen,
  ...{ fourcc: DRM_FORMAT_XRGB8888, width: COLUMNS * CELL.width, height: CELL.height },
});

/** The slot of each character; one that is not there is drawn now, and its lines alone are flushed. */
const cache = new Map<string, number>();
function slotOf(character: string): number {
  const known = cache.get(character);
  if (known !== undefined) return known;
  const slot = cache.size;
  const access = atlas.access({
    write: true,
    discard: true,
    offset: slot * CELL_BYTES,
    length: CELL_BYTES,
  });
  access.words.fill(0);
  for (let y = 0; y < 2 * GLYPH_HEIGHT; y++) {
    for (let x = 0; x < 2 * GLYPH_WIDTH; x++) {
      const set = glyphPixel(character, x >> 1, y >> 1);
      if (set) access.words[y * CELL.width + 2 + x] = 0xffffffff;
    }
  }
  access.finish();
  cache.set(character, slot);
  return slot;
}

/** Renders a text of up to five characters. */
function render(text: string): void {
  const draws = Array.from(text, (character, i) => {
    const from = { x: 0, y: slotOf(character) * CELL.height, ...CELL };
    return blend({ src: glyphs, dst: target, from, to: { x: i * CELL.width, y: 0, ...CELL } });
  });
  context.submit({ commands: [clear({ dst: target }), ...draws] });
}

/** Cache work on the atlas since this was asked last. */
let [flushes, lines] = [0, 0];
function work(): string {
  const { counters } = machine.bufinfo().buffers.find(({ name }) => name === 'glyphs') ?? {};
  const [allFlushes, allLines] = [counters?.flushes ?? 0, counters?.cacheLines ?? 0];
  const text = `${allFlushes - flushes} flushes, ${allLines - lines} cache lines`;
  [flushes, lines] = [allFlushes, allLines];
  return text;
}

for (const digit of '0123456789') slotOf(digit);
console.log(`ten digits drawn: ${work()}`);
for (let frame = 0; frame < 100; frame++) render(String(frame));
console.log(`100 frames: ${work()}`);
render('1:00');
console.log(`a character that is new: ${work()}`);
for (let frame = 0; frame < 60; frame++) render(`1:${String(frame).padStart(2, '0')}`);
console.log(`60 frames more: ${work()}`);

// What the GPU drew, as read through the screen's own bracket.
const reading = screen.access({ read: true });
for (let y = 0; y < CELL.height; y += 2) {
  const row = reading.words.subarray(y * target.width, (y + 1) * target.width);
  const dots = Array.from({ length: target.width / 2 }, (_, x) =>
    row[2 * x] === 0xffffffff ? '#' : ' ',
  );
  console.log(dots.join('').trimEnd());
}
reading.finish();
context.close();
await machine.shutdown();
