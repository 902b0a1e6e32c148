// kms_writeback of igt-gpu-tools: what is on screen, written into a dma-buf by a commit.
import { boot } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf, HEIGHT, makeFb, messageOf, MODE, paint, WIDTH } from '../display.test-helper.js';
import {
  AtomicRequest,
  Display,
  DRM_FORMAT_ARGB8888,
  DRM_FORMAT_NV12,
  DRM_FORMAT_RGB565,
  DRM_MODE_ATOMIC_ALLOW_MODESET,
  DRM_MODE_ATOMIC_NONBLOCK,
  DRM_MODE_ATOMIC_TEST_ONLY,
  type Framebuffer,
  kms,
  type PropertyValue,
} from '../index.js';

const machine = await boot({ drivers: [kms({ mode: MODE })] });
const display = Display.open(machine);
const { crtc, writeback, primary, overlays } = display.objects;
const [overlay = primary] = overlays;
const screen = makeFb(machine, display);
const target = makeFb(machine, display);
const picture = (x: number, y: number): number => (0xff000000 | (x << 18) | (y << 10) | 0x21) >>> 0;

test.before.each(() => {
  display.disable();
  paint(screen, picture);
  paint(target, () => 0xdeadbeef);
  display.setMode(MODE, screen);
});
test.after(() => machine.shutdown());

function request(values: Record<string, PropertyValue>): AtomicRequest {
  return new AtomicRequest().set(writeback, { CRTC_ID: crtc.id, ...values });
}

const flags: number = DRM_MODE_ATOMIC_ALLOW_MODESET;

function refused(wrong: AtomicRequest, says: RegExp, more = flags): void {
  assert.is(
    codeOf(() => display.commit(wrong, { flags: more })),
    'EINVAL',
  );
  assert.match(
    messageOf(() => display.commit(wrong, { flags: more })),
    says,
  );
}

function fbOf(fourcc: number, width: number, cpp: number): Framebuffer {
  const buffer = machine.alloc(width * HEIGHT * cpp * 2);
  const pitches = fourcc === DRM_FORMAT_NV12 ? [width, width] : [width * cpp];
  const offsets = fourcc === DRM_FORMAT_NV12 ? [0, width * HEIGHT] : [0];
  const fb = display.addFramebuffer({ buffer, width, height: HEIGHT, fourcc, pitches, offsets });
  buffer.close();
  return fb;
}

test('writeback-pixel-formats: the connector says what it writes, and writes each of them', () => {
  assert.ok((writeback.formats?.length ?? 0) >= 2);
  for (const fourcc of writeback.formats ?? []) {
    const cpp = fourcc === DRM_FORMAT_RGB565 ? 2 : 4;
    const fb = fbOf(fourcc, WIDTH, cpp);
    display.commit(request({ WRITEBACK_FB_ID: fb }), { flags })?.writeback?.wait();
    const access = fb.buffer.access({ read: true });
    const at = 5 * WIDTH + 9;
    if (cpp === 2) {
      const pixel = access.words[at >> 1] ?? 0;
      const [r, g, b] = [(9 << 2) >> 3, (5 << 2) >> 2, 0x21 >> 3];
      assert.is(pixel >>> 16, (r << 11) | (g << 5) | b);
    } else {
      assert.is(access.words[at], picture(9, 5));
    }
    access.finish();
    display.rmFramebuffer(fb);
  }
});

test('writeback-invalid-parameters: a fence without a framebuffer, a wrong size or format; the fence stays -1', () => {
  const out = new Int32Array([77]);
  const fence = { WRITEBACK_OUT_FENCE_PTR: out };
  refused(request(fence), /Writeback-1 .*WRITEBACK_OUT_FENCE_PTR .*set WRITEBACK_FB_ID too/);
  assert.is(out[0], -1);
  const wide = fbOf(DRM_FORMAT_ARGB8888, WIDTH + 1, 4);
  refused(
    request({ WRITEBACK_FB_ID: wide, ...fence }),
    /WRITEBACK_FB_ID \d+: it is 65x64, and must be/,
  );
  const nv12 = fbOf(DRM_FORMAT_NV12, WIDTH, 1);
  refused(
    request({ WRITEBACK_FB_ID: nv12, ...fence }),
    /it is NV12, the connector writes XRGB8888/,
  );
  refused(request({ WRITEBACK_FB_ID: screen }), /its buffer is on primary in the same commit/);
  refused(request({ WRITEBACK_FB_ID: 0x7fffff01 }), /there is no such framebuffer/);
  refused(request({ WRITEBACK_FB_ID: target, CRTC_ID: 0 }), /on no CRTC; set its CRTC_ID too/);
  display.commit(request({ CRTC_ID: 0 }), { flags });
  refused(request({ WRITEBACK_FB_ID: target }), /CRTC_ID 256: that is a modeset/, 0);
  assert.is(out[0], -1);
  display.disable();
  refused(request({ WRITEBACK_FB_ID: target }), /the CRTC is off/);
  for (const fb of [wide, nv12]) display.rmFramebuffer(fb);
});

test('writeback-fb-id: it is of one commit, and reads back as 0', () => {
  const property = (): unknown => display.getProperties(writeback).get('WRITEBACK_FB_ID')?.value;
  display.commit(request({ WRITEBACK_FB_ID: target }), { flags })?.writeback?.wait();
  assert.is(property(), 0);
  assert.is(display.getProperties(writeback).get('CRTC_ID')?.value, crtc.id);
  const after = display.commit(new AtomicRequest().add(primary, 'alpha', 0xffff));
  assert.is(after?.writeback, undefined, 'none without a framebuffer');
  const test = { flags: flags | DRM_MODE_ATOMIC_TEST_ONLY };
  assert.is(display.commit(request({ WRITEBACK_FB_ID: target }), test), undefined);
});

test('writeback-check-output: what was on screen is in the buffer, planes composed, and nothing else is touched', () => {
  const padded = (target.pitches[0] ?? 0) / 4;
  const words = (): Uint32Array => {
    const access = target.buffer.access({ read: true });
    const copy = access.words.slice();
    access.finish();
    return copy;
  };
  const before = words();
  const out = new Int32Array(1);
  const glass = fbOf(DRM_FORMAT_ARGB8888, 16, 4);
  paint(glass, () => 0xff00ff00);
  const shown = request({ WRITEBACK_FB_ID: target, WRITEBACK_OUT_FENCE_PTR: out }).set(overlay, {
    ...{ FB_ID: glass, CRTC_ID: crtc.id, CRTC_X: 8, CRTC_Y: 8, CRTC_W: 16, CRTC_H: 16 },
    ...{ SRC_W: 16 << 16, SRC_H: 16 << 16 },
  });
  const result = display.commit(shown, { flags: flags | DRM_MODE_ATOMIC_NONBLOCK });
  const file = machine.syncFile(out[0] ?? -1);
  assert.is(file.wait(), 1);
  assert.is(file.fd, result?.writebackOutFence?.fd);
  file.close();
  const after = words();
  for (let y = 0; y < HEIGHT; y++) {
    for (let x = 0; x < padded; x++) {
      const inside = x >= 8 && x < 24 && y >= 8 && y < 24;
      const pixel = inside ? 0xff00ff00 : picture(x, y);
      const expected = x < WIDTH ? pixel : before[y * padded + x];
      if (after[y * padded + x] !== expected) assert.unreachable(`pixel ${x}, ${y}`);
    }
  }
  display.rmFramebuffer(glass);
});

test('a commit that was not shown writes nothing: its writeback has the same errno', () => {
  const timeline = machine.createTimeline();
  const inFences = [timeline.createFence(1)];
  const result = display.queueCommit(request({ WRITEBACK_FB_ID: target }), { flags, inFences });
  timeline.close();
  result?.writeback?.wait();
  assert.is(result?.writeback?.error, 'ENOENT');
});

test.run();
