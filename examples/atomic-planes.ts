// Video on one plane, subtitles on another, and no GPU: the display scales, blends and stacks them.
import { Worker, isMainThread, workerData } from 'node:worker_threads';
import { boot, discard, join } from '@dmabuf/core';
import {
  AtomicRequest,
  Display,
  DRM_FORMAT_ARGB8888,
  DRM_FORMAT_NV12,
  DRM_MODE_ATOMIC_TEST_ONLY,
  kms,
} from '@dmabuf/importer-kms';

const [WIDTH, HEIGHT, FRAMES] = [320, 180, 24];

if (isMainThread) await show();
else await decode();

async function show(): Promise<void> {
  const machine = await boot({ drivers: [kms({ mode: '640x360@60', speed: 'max' })] });
  ['decoder'].map((name) => new Worker(new URL(import.meta.url), machine.invite(name)));
  const decoder = machine.createContext(await machine.peer('decoder'));
  const display = Display.open(machine);
  const { crtc, overlays, primary } = display.objects;
  const [videoPlane = primary, textPlane = primary] = overlays;

  const frames = [0, 1, 2].map(() => {
    const buffer = machine.alloc((WIDTH * HEIGHT * 3) / 2);
    const planes = { pitches: [WIDTH, WIDTH], offsets: [0, WIDTH * HEIGHT] };
    const shape = { width: WIDTH, height: HEIGHT, fourcc: DRM_FORMAT_NV12, ...planes };
    return display.addFramebuffer({ buffer, ...shape });
  });
  const subtitles = ['a line of text', 'and another one'].map((text) => {
    const shape = { width: text.length * 16, height: 24, fourcc: DRM_FORMAT_ARGB8888 };
    const buffer = machine.alloc(shape.width * shape.height * 4);
    const access = buffer.access({ write: true, discard: true });
    access.words.fill(0x80808080); // half transparent white, pre-multiplied
    access.finish();
    return display.addFramebuffer({ buffer, ...shape, pitches: [shape.width * 4] });
  });

  // An empty screen to start from: on, and black.
  const screen = machine.alloc(640 * 360 * 4);
  const shape = { width: 640, height: 360, fourcc: 0x34325258, pitches: [640 * 4] };
  display.setMode(display.mode, display.addFramebuffer({ buffer: screen, ...shape }));

  // All of the clip is queued at once: each frame is scanned out as the decoder has left it, scaled to the screen.
  let last = display.queueFlip({ fb: display.addFramebuffer({ buffer: screen, ...shape }) });
  for (let frame = 0; frame < FRAMES; frame++) {
    const fb = frames[frame % frames.length];
    const subtitle = subtitles[frame / (FRAMES / 2)];
    if (fb === undefined) continue;
    decoder.submit({ buffers: [discard(fb.buffer)], payload: frame });
    const request = new AtomicRequest().set(videoPlane, {
      ...{ FB_ID: fb, CRTC_ID: crtc.id, CRTC_X: 0, CRTC_Y: 0, CRTC_W: 640, CRTC_H: 360 },
      ...{ SRC_X: 0, SRC_Y: 0, SRC_W: WIDTH << 16, SRC_H: HEIGHT << 16 },
    });
    if (subtitle !== undefined) {
      const { width, height } = subtitle; // the same commit: a subtitle changes with its frame
      request.set(textPlane, {
        ...{ FB_ID: subtitle, CRTC_ID: crtc.id, CRTC_X: (640 - width) / 2, CRTC_Y: 320 },
        ...{ CRTC_W: width, CRTC_H: height, SRC_W: width << 16, SRC_H: height << 16 },
      });
    }
    const shown = display.queueCommit(request);
    if (shown !== undefined) last = shown.fence;
  }
  last.wait();
  const { shown, dropped } = display.stats();
  console.log(`${shown - 1} commits shown, ${dropped} dropped`);
  console.log(`both planes: CRC ${display.crc().toString(16)}`);
  display.setPlane(textPlane, undefined);
  console.log(`the video alone: CRC ${display.crc().toString(16)}`);

  // What the display cannot do, it says beforehand, and names the property.
  try {
    const request = new AtomicRequest().add(videoPlane, 'CRTC_W', 20_000);
    display.commit(request, { flags: DRM_MODE_ATOMIC_TEST_ONLY });
  } catch (error) {
    console.log(error instanceof Error ? error.message : error);
  }
  await machine.shutdown();
}

/** Stands for a codec: fills NV12 frames, each brighter than the last. */
async function decode(): Promise<void> {
  const machine = await join(workerData);
  machine.serve({
    run({ buffers: [frame], payload }) {
      frame?.bytes.fill(128).fill(16 + Number(payload) * 9, 0, WIDTH * HEIGHT);
    },
  });
}
