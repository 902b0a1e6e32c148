import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { fit } from './command.js';
import type { PixelStep, Step } from './step.js';
import { decodeSteps, encodeSteps } from './step-codec.js';

const rect = { x: 100, y: 2000, width: 16000, height: 12000 };
const some: (Partial<PixelStep> & Pick<PixelStep, 'op'>)[] = [
  { op: 'clear', filter: 'bilinear', mode: 'premultiplied', alpha: 255 },
  { op: 'fill', to: rect, pixel: 0xff804020 },
  { op: 'blit', src: 1, to: rect, from: rect, filter: 'nearest' },
  { op: 'blend', src: 1, to: rect, from: rect, mode: 'none', alpha: 0 },
  { op: 'copy', src: 1, from: rect },
];
const dispatched: Step = {
  ...{ op: 'dispatch', kernel: 4097, grid: { width: 1920, height: 1080 }, args: [0.5, -7] },
  uses: [
    { image: 1, access: 'read' },
    { image: 0, access: 'overwrite' },
  ],
};
const pixels: Step[] = some.map((step) => ({
  dst: 0,
  src: -1,
  to: undefined,
  from: undefined,
  filter: 'bilinear',
  mode: 'premultiplied',
  alpha: 255,
  pixel: 0,
  ...step,
}));
const drawn: Step[] = [
  {
    ...{ op: 'triangles', dst: 0, texture: 1, clip: rect, filter: 'nearest', blend: 'replace' },
    ...{ vertices: 1, indices: 0 },
  },
  {
    ...{ op: 'triangles', dst: 1, texture: -1, clip: undefined, filter: 'bilinear' },
    ...{ blend: 'premultiplied', vertices: [-1, 2, -3, 4, 5], indices: [0, 0, 0] },
  },
  {
    ...{ op: 'triangles', dst: 1, texture: -1, clip: undefined, filter: 'bilinear' },
    ...{ blend: 'premultiplied', vertices: [], indices: undefined },
  },
];
const steps = [...pixels, ...drawn, dispatched];

test('a job comes out of its payload as it went in', () => {
  const images = [4097, 0x7ffff001];
  assert.equal(decodeSteps(encodeSteps(images, steps)), { images, steps });
  assert.equal(decodeSteps(encodeSteps([], [])), { images: [], steps: [] });
});

test('what is no command list is EINVAL', () => {
  const good = encodeSteps([1, 2], steps);
  const bad = [
    undefined,
    7,
    'x',
    [],
    [1],
    [1, 5, 7, 0],
    [1, 5, 3, 1],
    [1, 5, 1.5, 0],
    [1, null],
    [1, 5, 192, 0],
    [1, 5, 13, 9, 1, 1, 0, 0],
    [1, 5, 5, 9, 1, 1, 1, 0, 3, 0],
    [1, 5, 5, 9, 1, 1, 1, 1, 0, 0],
    [1, 5, 5, 9, 1, 1, 99, 0],
    [1, 5, 6, 1, 0],
    [1, 5, 6, 0, 1],
    [1, 5, 6 + 1024, 0, 0],
    [1, 5, 6 + 128, 0, 3, 1, 2],
    [1, 5, 6 + 256, 0, 0, 7],
  ];
  for (const payload of [...bad, good.slice(0, -1), [...good, 1]]) {
    assert.throws(() => decodeSteps(payload), /EINVAL.*no command list/, JSON.stringify(payload));
  }
});

test('fit keeps the shape, centred, in whole pixels', () => {
  const at = (w: number, h: number, W: number, H: number): number[] => {
    const { x, y, width, height } = fit({ width: w, height: h }, { width: W, height: H });
    return [x, y, width, height];
  };
  assert.equal(at(1280, 720, 1920, 1080), [0, 0, 1920, 1080]);
  assert.equal(at(640, 480, 1280, 720), [160, 0, 960, 720]);
  assert.equal(at(1280, 720, 640, 480), [0, 60, 640, 360]);
  assert.equal(at(3, 7, 100, 100), [28, 0, 43, 100]);
  assert.equal(at(1, 10000, 10, 10), [4, 0, 1, 10]);
  assert.throws(() => at(0, 1, 1, 1), RangeError);
});

test.run();
