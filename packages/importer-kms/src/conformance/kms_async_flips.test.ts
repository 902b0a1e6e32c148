// kms_async_flips of igt-gpu-tools: flips that are shown at once. On a manual clock where time is asked for.
import { boot, type Machine } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf, HEIGHT, makeFb, messageOf, paint, WIDTH } from '../display.test-helper.js';
import {
  AtomicRequest,
  Display,
  DRM_FORMAT_ARGB8888,
  DRM_MODE_ATOMIC_ALLOW_MODESET,
  DRM_MODE_ATOMIC_NONBLOCK,
  DRM_MODE_PAGE_FLIP_ASYNC,
  DRM_MODE_PAGE_FLIP_EVENT,
  DRM_MODE_FB_MODIFIERS,
  type DrmEvent,
  type Framebuffer,
  kms,
} from '../index.js';

const MODE = '64x64@125';
const PERIOD = 8;
const ASYNC: number = DRM_MODE_PAGE_FLIP_ASYNC | DRM_MODE_PAGE_FLIP_EVENT;

type Flip = (fb: Framebuffer, flags: number) => DrmEvent;

/** A machine on a manual clock, on screen `a`, one ms after a vblank. */
async function withClock(
  run: (bench: {
    display: Display;
    machine: Machine;
    a: Framebuffer;
    b: Framebuffer;
    legacy: Flip;
    atomic: Flip;
  }) => void,
): Promise<void> {
  const machine = await boot({ drivers: [kms({ mode: MODE })], clock: 'manual' });
  try {
    const display = Display.open(machine);
    const [a, b] = [makeFb(machine, display, 1), makeFb(machine, display, 2)];
    display.setMode(MODE, a);
    machine.advance(PERIOD);
    machine.advance(1);
    const legacy: Flip = (fb, flags) => {
      display.pageFlip(fb, { flags });
      machine.advance((flags & DRM_MODE_PAGE_FLIP_ASYNC) === 0 ? PERIOD : 0);
      return display.readEvent();
    };
    const atomic: Flip = (fb, flags) => {
      const request = new AtomicRequest().add(display.objects.primary, 'FB_ID', fb);
      display.commit(request, { flags: flags | DRM_MODE_ATOMIC_NONBLOCK });
      machine.advance((flags & DRM_MODE_PAGE_FLIP_ASYNC) === 0 ? PERIOD : 0);
      return display.readEvent();
    };
    run({ display, machine, a, b, legacy, atomic });
  } finally {
    await machine.shutdown();
  }
}

test('async-flip-with-page-flip-events: many flips in one frame, each with its event', () =>
  withClock(({ display, a, b, legacy }) => {
    for (let i = 0; i < 20; i++) {
      const fb = i % 2 === 0 ? b : a;
      assert.is(legacy(fb, ASYNC).error, undefined);
      assert.is(display.onScreen, fb.id);
    }
    assert.is(display.stats().vblanks, 1, 'all within one frame');
  }));

test('async-flip-with-page-flip-events-atomic: the same by commits', () =>
  withClock(({ display, a, b, atomic }) => {
    for (let i = 0; i < 20; i++) {
      const fb = i % 2 === 0 ? b : a;
      assert.is(atomic(fb, ASYNC).error, undefined);
      assert.is(display.onScreen, fb.id);
    }
    assert.is(display.stats().vblanks, 1);
  }));

test('test-time-stamp: a flip is between the last vblank and the next one', () =>
  withClock(({ display, machine, a, b, legacy }) => {
    for (let i = 0; i < 5; i++) {
      const before = display.waitVblank();
      const { sequence, timestamp } = legacy(i % 2 === 0 ? b : a, ASYNC);
      assert.is(sequence, before.sequence);
      assert.ok(timestamp >= before.timestamp && timestamp < before.timestamp + PERIOD);
      machine.advance(3);
    }
  }));

test('alternate-sync-async-flip: one waits for its vblank, the other does not', () =>
  withClock(({ display, a, b, legacy }) => {
    for (let i = 0; i < 5; i++) {
      const { timestamp } = display.waitVblank();
      assert.is.not(legacy(b, ASYNC).timestamp, timestamp);
      const sync = legacy(a, DRM_MODE_PAGE_FLIP_EVENT);
      assert.is(sync.timestamp, timestamp + PERIOD);
    }
  }));

test('alternate-sync-async-flip-atomic: the same by commits', () =>
  withClock(({ display, a, b, atomic }) => {
    for (let i = 0; i < 5; i++) {
      const { timestamp } = display.waitVblank();
      assert.is.not(atomic(b, ASYNC).timestamp, timestamp);
      assert.is(atomic(a, DRM_MODE_PAGE_FLIP_EVENT).timestamp, timestamp + PERIOD);
    }
  }));

test('test-cursor: a cursor that is on stays as it is', () =>
  withClock(({ display, machine, b, legacy }) => {
    const buffer = machine.alloc(16 * 16 * 4);
    const shape = { width: 16, height: 16, fourcc: DRM_FORMAT_ARGB8888, pitches: [64] };
    const cursor = display.addFramebuffer({ buffer, ...shape });
    display.setCursor(cursor, 3, 3);
    machine.advance(PERIOD);
    legacy(b, ASYNC);
    assert.equal([display.onScreen, display.shownOn(display.objects.cursor)], [b.id, cursor.id]);
  }));

/** Of another format, and one of another modifier, which cannot even be added. */
function others(machine: Machine, display: Display): Framebuffer {
  const buffer = machine.alloc(WIDTH * HEIGHT * 4);
  const shape = { width: WIDTH, height: HEIGHT, fourcc: DRM_FORMAT_ARGB8888, pitches: [WIDTH * 4] };
  const tiled = { flags: DRM_MODE_FB_MODIFIERS, modifier: [0x0100_0000_0000_0001n] };
  assert.is(
    codeOf(() => display.addFramebuffer({ buffer, ...shape, ...tiled })),
    'EINVAL',
  );
  return display.addFramebuffer({ buffer, ...shape });
}

test('invalid-async-flip: another format is EINVAL', () =>
  withClock(({ display, machine, a }) => {
    const other = others(machine, display);
    assert.match(
      messageOf(() => display.pageFlip(other, { flags: ASYNC })),
      /^EINVAL: .*another pixel format/,
    );
    assert.match(
      messageOf(() => display.pageFlip(a, { flags: 0x10 })),
      /^EINVAL: .*flags 0x10 has bits/,
    );
    assert.is(display.onScreen, a.id);
  }));

test('invalid-async-flip-atomic: nothing but the framebuffer of the primary plane may change', () =>
  withClock(({ display, machine, a, b }) => {
    const { primary, overlays, crtc } = display.objects;
    const flags = DRM_MODE_PAGE_FLIP_ASYNC | DRM_MODE_ATOMIC_ALLOW_MODESET;
    const refused = (request: AtomicRequest, says: RegExp): void =>
      assert.match(
        messageOf(() => display.commit(request, { flags })),
        says,
      );
    const flip = (fb: Framebuffer): AtomicRequest => new AtomicRequest().add(primary, 'FB_ID', fb);
    refused(flip(others(machine, display)), /^EINVAL: .*FB_ID \d+: its format is not XR24/);
    refused(flip(b).add(primary, 'CRTC_X', 1), /^EINVAL: .*primary .*CRTC_X 1: .*alone/);
    refused(flip(b).add(primary, 'alpha', 1), /^EINVAL: .*alpha 1/);
    refused(flip(b).add(crtc, 'ACTIVE', 0), /^EINVAL: .*ACTIVE changes/);
    const [overlay = primary] = overlays;
    const size = { CRTC_W: 64, CRTC_H: 64, SRC_W: 64 << 16, SRC_H: 64 << 16 };
    const on = flip(b).set(overlay, { FB_ID: a, CRTC_ID: crtc.id, ...size });
    refused(on, /^EINVAL: .*overlay-0 /);
    assert.is(display.onScreen, a.id);
  }));

test('crc: what is on screen is never the buffer that the CPU draws into', async () => {
  const machine = await boot({ drivers: [kms({ mode: MODE })] });
  const display = Display.open(machine);
  const fbs = [makeFb(machine, display, 0x111111), makeFb(machine, display, 0x111111)];
  display.setMode(MODE, fbs[0]);
  const crc = display.crc();
  for (let i = 1; i <= 20; i++) {
    const fb = fbs[i % 2];
    if (fb === undefined) continue;
    // Waits until the flip before it has let go of this one.
    const access = fb.buffer.access({ write: true, discard: true });
    access.words.fill(0xff00ff);
    assert.is(display.crc(), crc);
    access.finish();
    paint(fb, () => 0x111111);
    display.pageFlip(fb, { flags: DRM_MODE_PAGE_FLIP_ASYNC }).wait();
  }
  assert.is(display.stats().shown, 20);
  await machine.shutdown();
});

test.run();
