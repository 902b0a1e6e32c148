// EGL_BUFFER_PRESERVED: the GPU reads the front buffer while that is scanned out, and goes on drawing from there.
import { boot } from '@dmabuf/core';
import { copy, fill, GpuContext, gpu } from '@dmabuf/importer-gpu';
import { Display, DRM_FORMAT_XRGB8888, kms } from '@dmabuf/importer-kms';

const [WIDTH, HEIGHT, FRAMES] = [256, 128, 8];

const machine = await boot({ drivers: [gpu(), kms({ mode: `${WIDTH}x${HEIGHT}@60` })] });
const context = GpuContext.create(machine);
const display = Display.open(machine);
const surfaces = [0, 1].map(() => {
  const buffer = machine.alloc(WIDTH * HEIGHT * 4);
  const shape = { buffer, fourcc: DRM_FORMAT_XRGB8888, width: WIDTH, height: HEIGHT };
  const fb = display.addFramebuffer({ ...shape, pitches: [WIDTH * 4] });
  return { buffer, fb, image: context.importImage(shape) };
});
const [a, b] = surfaces;
if (a === undefined || b === undefined) throw new Error('two surfaces');

context.submit({ commands: [fill({ dst: a.image, pixel: 0xff202020 })] });
const first = display.queueFlip({ fb: a.fb });
first.wait();
console.log(`frame 0 is on screen, held by the display: ${String(display.onScreen === a.fb.id)}`);

let [front, back] = [a, b];
let last = first;
for (let frame = 1; frame <= FRAMES; frame++) {
  // Both only read the front buffer: the copy runs while it is scanned out.
  const to = { x: (frame - 1) * 32, y: 32, width: 24, height: 64 };
  const render = context.submit({
    commands: [
      copy({ src: front.image, dst: back.image }),
      fill({ dst: back.image, to, pixel: 0xff00c0ff }),
    ],
  });
  render.wait();
  const shown = display.onScreen === front.fb.id;
  if (frame === 1)
    console.log(`copied from the front buffer while it was on screen: ${String(shown)}`);
  last = display.queueFlip({ fb: back.fb });
  [front, back] = [back, front];
  last.wait();
}

const pixels = context.readPixels(front.image, { from: { x: 0, y: 64, width: WIDTH, height: 1 } });
const words = Array.from({ length: WIDTH }, (_, x) => Buffer.from(pixels).readUInt32LE(x * 4));
const bars = words.filter((word, x) => word === 0xff00c0ff && words[x - 1] !== word).length;
console.log(`${FRAMES} frames, each drew one bar; on screen are ${bars}`);

for (const { buffer, image } of surfaces) {
  image.close();
  buffer.close();
}
context.close();
await machine.shutdown();
