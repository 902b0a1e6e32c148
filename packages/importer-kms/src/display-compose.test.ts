/** What is on screen, planes composed: as CRCs and in sinks. */
import { boot } from '@dmabuf/core';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { crc32 } from 'node:zlib';
import { PNG } from 'pngjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf, HEIGHT, makeFb, MODE, paint, WIDTH } from './display.test-helper.js';
import {
  AtomicRequest,
  Display,
  DRM_FORMAT_ARGB8888,
  DRM_FORMAT_NV12,
  DRM_MODE_BLEND_COVERAGE,
  type Framebuffer,
  kms,
} from './index.js';

const machine = await boot({ drivers: [kms({ mode: MODE })] });
const display = Display.open(machine);
const { primary, overlays, cursor } = display.objects;
const [overlay = primary, video = primary] = overlays;
const SIZE = 16;
const background = (x: number, y: number): number => 0x102030 + x * 0x010000 + y;
const screen = makeFb(machine, display);
const glass = makeGlass();
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dmabuf-compose-'));

test.before.each(() => {
  display.disable();
  paint(screen, background);
  display.setMode(MODE, screen);
});
test.after(async () => {
  await machine.shutdown();
  fs.rmSync(folder, { recursive: true });
});

/** Half transparent white in its left half, solid red in its right. */
function makeGlass(): Framebuffer {
  const buffer = machine.alloc(SIZE * SIZE * 4);
  const shape = { width: SIZE, height: SIZE, fourcc: DRM_FORMAT_ARGB8888, pitches: [SIZE * 4] };
  const fb = display.addFramebuffer({ buffer, ...shape });
  paint(fb, (x) => (x < SIZE / 2 ? 0x80ffffff : 0xffff0000));
  return fb;
}

/** The CRC of a picture that a function describes. */
function crcOf(pixel: (x: number, y: number) => number): number {
  const words = new Uint32Array(WIDTH * HEIGHT);
  for (let i = 0; i < words.length; i++) {
    words[i] = (pixel(i % WIDTH, Math.floor(i / WIDTH)) | 0xff000000) >>> 0;
  }
  return crc32(new Uint8Array(words.buffer));
}

/** The background with the glass at a place, blended as coverage. */
function withGlass(left: number, top: number): (x: number, y: number) => number {
  return (x, y) => {
    const [gx, gy] = [x - left, y - top];
    const below = background(x, y);
    if (gx < 0 || gy < 0 || gx >= SIZE || gy >= SIZE) return below;
    if (gx >= SIZE / 2) return 0xff0000;
    const mix = (shift: number): number =>
      Math.round((0x80 * 255 + 0x7f * ((below >>> shift) & 255)) / 255) << shift;
    return mix(16) | mix(8) | mix(0);
  };
}

test('the CRC of the primary plane alone is that of its pixels', () => {
  assert.is(display.crc(), crcOf(background));
});

test('an overlay is blended onto it where it is, and is clipped at the edge', () => {
  display.setPlane(overlay, glass, { x: 10, y: 20 });
  display.setProperty(overlay, 'pixel blend mode', DRM_MODE_BLEND_COVERAGE);
  assert.is(display.crc(), crcOf(withGlass(10, 20)));
  const move = new AtomicRequest().set(overlay, { CRTC_X: WIDTH - 5, CRTC_Y: -3 });
  const result = display.commit(move, { crc: true });
  assert.is(result?.crc?.wait(), crcOf(withGlass(WIDTH - 5, -3)));
  display.setPlane(overlay, undefined);
  assert.is(display.crc(), crcOf(background));
});

test('zpos decides who is above whom; alpha 0 shows nothing', () => {
  display.setPlane(overlay, glass, { x: 0, y: 0, width: WIDTH, height: HEIGHT });
  const behind = new AtomicRequest().add(overlay, 'zpos', 0).add(primary, 'zpos', 1);
  display.commit(behind);
  assert.is(display.crc(), crcOf(background));
  display.commit(new AtomicRequest().add(primary, 'alpha', 0).add(overlay, 'alpha', 0));
  assert.is(
    display.crc(),
    crcOf(() => 0),
  );
  const back = new AtomicRequest().set(primary, { zpos: 0, alpha: 0xffff });
  display.commit(back.set(overlay, { zpos: 1, alpha: 0xffff, FB_ID: 0, CRTC_ID: 0 }));
});

test('a video plane shows NV12, scaled to the screen', () => {
  const [width, height] = [32, 16];
  const buffer = machine.alloc((width * height * 3) / 2);
  const shape = { width, height, fourcc: DRM_FORMAT_NV12 };
  const layout = { pitches: [width, width], offsets: [0, width * height] };
  const fb = display.addFramebuffer({ buffer, ...shape, ...layout });
  const access = buffer.access({ write: true, discard: true });
  access.bytes.fill(128);
  access.bytes.fill(235, 0, width * height);
  access.finish();
  display.setPlane(video, fb, { x: 0, y: 0, width: WIDTH, height: HEIGHT });
  assert.is(
    display.crc(),
    crcOf(() => 0xffffff),
  );
  display.rmFramebuffer(fb);
  buffer.close();
});

test('a sink records what was on screen, the cursor included', () => {
  const file = path.join(folder, 'cursor.png');
  const sink = display.openSink({ file });
  display.setCursor(glass, 4, 4).wait();
  const flip = display.queueFlip({ fb: screen });
  assert.is(display.queueWriteback({ fb: screen, after: flip }).wait(), 1);
  assert.equal(sink.close().recorded, 1);
  const { data } = PNG.sync.read(fs.readFileSync(file));
  const at = (x: number, y: number): number[] => [
    ...data.subarray((y * WIDTH + x) * 4).subarray(0, 3),
  ];
  assert.equal(at(4 + SIZE - 1, 4), [255, 0, 0]);
  assert.equal(at(0, 0), [0x10, 0x20, 0x30]);
});

test('a frame that was not shown has no CRC, but the errno of its commit', () => {
  const timeline = machine.createTimeline();
  const gate = timeline.createFence(1);
  const flip = display.queueFlip({ fb: screen, inFences: [gate] });
  const crc = display.queueCrc(flip);
  assert.is(crc.value, undefined);
  timeline.close();
  assert.is(
    codeOf(() => crc.wait()),
    'ENOENT',
  );
  assert.is(display.crc(), crcOf(background), 'and the next frame is whole');
  display.disable();
  assert.is(
    codeOf(() => display.crc()),
    'EBUSY',
  );
});

test('a framebuffer may be removed while its frame waits to be composed', () => {
  const fb = makeFb(machine, display, 0x123456);
  display.setPlane(cursor, glass);
  const flip = display.queueFlip({ fb });
  const crc = display.queueCrc(flip);
  display.rmFramebuffer(fb);
  assert.type(crc.wait(), 'number');
});

test.run();
