// A camera on a screen: camera → GPU (YCbCr to RGB) → display, two seconds queued ahead, and nobody in between.
// With a terminal, or the name of a .y4m file to record to, it runs in real time; otherwise on a manual clock.
import { boot, type Fence } from '@dmabuf/core';
import { blit, DRM_FORMAT_XRGB8888, GpuContext, gpu } from '@dmabuf/importer-gpu';
import { Display, kms, termColour } from '@dmabuf/importer-kms';
import { camera, CameraDevice, V4L2_BUF_TYPE_VIDEO_CAPTURE } from '@dmabuf/importer-v4l2';

const [WIDTH, HEIGHT, FPS, FRAMES] = [320, 180, 25, 50];
const { argv, env, stdout } = process;
const file = argv[2];
const live = stdout.isTTY || file !== undefined;

const machine = await boot({
  drivers: [
    camera({ width: WIDTH, height: HEIGHT, fps: FPS }), // or { source: 'clip.y4m' }
    gpu(),
    kms({ mode: `${WIDTH}x${HEIGHT}@50` }),
  ],
  clock: live ? 'real' : 'manual',
});
const [video, context, display] = [
  CameraDevice.open(machine),
  GpuContext.create(machine),
  Display.open(machine),
];

// As webcams give it; YU12, NV12, XR24 and RGB3 are the others. The GPU reads from each frame what it is.
const format = video.sFmt({ type: V4L2_BUF_TYPE_VIDEO_CAPTURE, pixelformat: 'YUYV' });
const stages = [0, 1, 2].map(() => {
  const capture = machine.alloc(format.planes[0]?.sizeimage ?? 0);
  const buffer = machine.alloc(WIDTH * HEIGHT * 4);
  const shape = { buffer, fourcc: DRM_FORMAT_XRGB8888, width: WIDTH, height: HEIGHT };
  const src = context.importFrame({ buffer: capture, width: WIDTH, height: HEIGHT });
  const fb = display.addFramebuffer({ ...shape, pitches: [WIDTH * 4] });
  return { capture, fb, commands: [blit({ src, dst: context.importImage(shape) })] };
});

function openSink(): ReturnType<Display['openSink']> | undefined {
  if (file !== undefined) return display.openSink({ file, rate: [FPS, 1] });
  if (!stdout.isTTY) return undefined;
  const { columns, rows } = stdout;
  const view = { columns, rows: Math.max(1, rows - 2), colour: termColour(env), isTTY: true };
  return display.openSink({ view });
}

const sink = openSink();
let last: Fence | undefined;
const flips: Fence[] = [];
for (let frame = 0; frame < FRAMES; frame++) {
  const stage = stages[frame % stages.length];
  if (stage === undefined) continue;
  const { capture, fb, commands } = stage;
  video.queueCapture({ capture });
  context.submit({ commands });
  const flip = display.queueFlip({ fb });
  flips.push(flip);
  last = sink === undefined ? flip : display.queueWriteback({ fb, after: flip });
}
console.log(`${FRAMES} frames queued, ${video.stats().decoded} captured`);

if (!live) machine.advance((1000 * FRAMES) / FPS + 100);
await last?.settled(); // the only time that this thread is needed
sink?.close();

const { decoded, dropped } = video.stats();
const { shown, dropped: overtaken } = display.stats();
console.log(`${decoded} captured, ${shown} shown`);
console.log(`dropped: ${dropped} for want of a buffer, ${overtaken} overtaken before their vblank`);
const times = flips.flatMap((flip) => display.presented(flip)?.timestamp ?? []);
const each = ((times.at(-1) ?? NaN) - (times[0] ?? NaN)) / (times.length - 1);
console.log(`a new one on screen every ${each.toFixed(0)} ms`);
await machine.shutdown();
