// Audio and video together: each frame is shown at its time, not before, and a late one is dropped.
// On a manual clock, so that what it prints is exact.
import { boot, type Fence } from '@dmabuf/core';
import { Display, DRM_FORMAT_XRGB8888, type Framebuffer, kms } from '@dmabuf/importer-kms';

const [WIDTH, HEIGHT] = [320, 180];

const machine = await boot({ drivers: [kms({ mode: `${WIDTH}x${HEIGHT}@50` })], clock: 'manual' });
const display = Display.open(machine);
const fbs = [0, 1, 2, 3].map((): Framebuffer => {
  const buffer = machine.alloc(WIDTH * HEIGHT * 4);
  const shape = { width: WIDTH, height: HEIGHT, fourcc: DRM_FORMAT_XRGB8888 };
  return display.addFramebuffer({ buffer, ...shape, pitches: [WIDTH * 4] });
});
const fb = (frame: number): Framebuffer => fbs[frame % fbs.length] as Framebuffer;

/** What became of a frame that was wanted at a time of the sequence that began at `epoch`. */
function report(name: string, flip: Fence, at: number, epoch: number): void {
  const shown = display.presented(flip);
  const time = shown === undefined ? undefined : shown.timestamp - epoch;
  console.log(
    `${name}, wanted at ${at} ms: ${time === undefined ? `dropped (${flip.error})` : `shown at ${time} ms`}`,
  );
}

// 24 frames a second on a display of 50 Hz: each waits for the first vblank from its time on.
const times = [0, 41.667, 83.333, 125];
const flips = times.map((at, frame) => display.queueFlip({ fb: fb(frame), at }));
for (let ms = 0; ms < 200; ms += 5) machine.advance(5);
const epoch = flips[0] === undefined ? 0 : (display.presented(flips[0])?.timestamp ?? 0);
flips.forEach((flip, i) => report(`frame ${i}`, flip, times[i] ?? 0, epoch));

// A decoder that is late: when its frame is ready the next one is due too, and wins. Sound does not wait.
const decoding = fb(4).buffer.access({ write: true });
const late = [200, 220].map((at, i) => display.queueFlip({ fb: fb(4 + i), at }));
for (let ms = 0; ms < 60; ms += 5) machine.advance(5);
decoding.finish();
for (let ms = 0; ms < 40; ms += 5) machine.advance(5);
late.forEach((flip, i) => report(`late frame ${i}`, flip, 200 + i * 20, epoch));

// A seek: other timestamps, and a sequence of its own that begins when its first frame is shown.
const seek = [90_000, 90_041.667].map((at, i) =>
  display.queueFlip({ fb: fb(6 + i), at, start: i === 0 }),
);
for (let ms = 0; ms < 100; ms += 5) machine.advance(5);
const [first, second] = seek.map((flip) => display.presented(flip)?.timestamp ?? NaN);
console.log(
  `after a seek to 90 s the second frame comes ${(second ?? NaN) - (first ?? NaN)} ms after the first`,
);

const { shown, dropped, missedVblanks } = display.stats();
console.log(`${shown} shown, ${dropped} dropped, ${missedVblanks} vblanks missed`);
await machine.shutdown();
