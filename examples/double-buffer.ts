// Double buffering: a renderer and a display take turns on two buffers, and nobody tells them when.
import { Worker, isMainThread, workerData } from 'node:worker_threads';
import { boot, discard, type Fence, join, type SyncFile } from '@dmabuf/core';
import { Display, DRM_FORMAT_XRGB8888, kms } from '@dmabuf/importer-kms';

const [WIDTH, HEIGHT, FRAMES] = [320, 180, 30];

if (isMainThread) {
  const machine = await boot({ drivers: [kms({ mode: `${WIDTH}x${HEIGHT}@60` })] });
  ['renderer'].map((name) => new Worker(new URL(import.meta.url), machine.invite(name)));
  const renderer = machine.createContext(await machine.peer('renderer'));
  const display = Display.open(machine);
  const fbs = [0, 1].map(() => {
    const buffer = machine.alloc(WIDTH * HEIGHT * 4);
    const shape = { width: WIDTH, height: HEIGHT, pitches: [WIDTH * 4] };
    return display.addFramebuffer({ buffer, fourcc: DRM_FORMAT_XRGB8888, ...shape });
  });

  display.setMode(display.mode, fbs[1]); // something to start from

  // Half a second of frames, queued before the first is drawn. A render waits, on its buffer's own queue,
  // until the display has moved on to the other one; a flip waits until its render is done.
  const frames: { file: SyncFile; render: Fence; flip: Fence }[] = [];
  for (let frame = 0; frame < FRAMES; frame++) {
    const fb = fbs[frame % 2];
    if (fb === undefined) continue;
    const render = renderer.submit({ buffers: [discard(fb.buffer)], payload: frame });
    frames.push({ file: render.hold(), render, flip: display.queueFlip({ fb }) });
  }
  frames.at(-1)?.flip.wait(); // the only time that this thread is needed

  const { shown, dropped } = display.stats();
  console.log(`${shown} flips on ${fbs.length} buffers, ${dropped} dropped`);
  const early = frames.filter(({ render }, i) => {
    // What it draws into is on screen until the frame before it is.
    const before = frames[i - 1];
    if (before === undefined) return false;
    const shown = display.presented(before.flip)?.timestamp ?? NaN;
    return !((render.times()?.started ?? NaN) >= shown);
  });
  console.log(`renders that began while their buffer was still on screen: ${early.length}`);
  for (const { file } of frames) file.close();
  await machine.shutdown();
} else {
  const machine = await join(workerData);
  machine.serve({
    run: ({ buffers: [frame], payload }) => void frame?.words.fill(Number(payload) * 0x080808),
  });
}
