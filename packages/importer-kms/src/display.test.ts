import { DmaBufError, type Fence, type Machine } from '@dmabuf/core';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  codeOf,
  HEIGHT,
  makeFb,
  messageOf,
  MODE,
  paint,
  WIDTH,
  withDisplay,
} from './display.test-helper.js';
import { Display, DRM_FORMAT_NV12, DRM_FORMAT_RGB565, DRM_FORMAT_XRGB8888 } from './index.js';

/** Whether the CPU could write a buffer now. */
function isFree(fb: { buffer: { access(options: object): { finish(): void } } }): boolean {
  try {
    fb.buffer.access({ write: true, discard: true, timeout: 0 }).finish();
    return true;
  } catch (error) {
    if (error instanceof DmaBufError && error.code === 'ETIME') return false;
    throw error;
  }
}

test('flips are shown in order, and the last one stays on screen', () =>
  withDisplay({}, (display, machine) => {
    assert.is(display.active, false);
    const fbs = [makeFb(machine, display), makeFb(machine, display)];
    const fences: Fence[] = [];
    for (let i = 0; i < 9; i++) {
      const fb = fbs[i % 2];
      if (fb !== undefined) fences.push(display.queueFlip({ fb, at: i * 10 }));
    }
    assert.is(fences.at(-1)?.wait(), 1);
    const stats = display.stats();
    // On a busy machine late ones may be dropped; none is lost, and none goes wrong.
    assert.is(stats.shown + stats.dropped, 9);
    assert.is(fences.filter((fence) => fence.status === 1).length, stats.shown);
    assert.is(fences.filter((fence) => fence.error === 'ECANCELED').length, stats.dropped);
    assert.is(display.onScreen, fbs[0]?.id);
    assert.is(stats.lateness.count, stats.shown);
    assert.ok((stats.lastFlip ?? 0) > (stats.firstFlip ?? Infinity));
    assert.is(display.pending, 0);
    assert.is(display.active, true);
  }));

test('the old buffer is let go when its successor is on screen, and not before', () =>
  withDisplay({}, (display, machine) => {
    const [a, b] = [makeFb(machine, display), makeFb(machine, display)];
    assert.is(isFree(a), true);
    display.queueFlip({ fb: a }).wait();
    assert.is(isFree(a), false);
    const reading = a.buffer.access({ read: true, timeout: 0 });
    reading.finish();
    display.queueFlip({ fb: b }).wait();
    // The release follows the fence at once: a bracket waits for it.
    a.buffer.access({ write: true }).finish();
    assert.is(isFree(a), true);
    assert.is(isFree(b), false);
    display.disable();
    b.buffer.access({ write: true }).finish();
    assert.is(display.onScreen, 0);
    assert.is(display.active, false);
  }));

test('rendering ahead into two framebuffers needs nobody in the middle', () =>
  withDisplay({ speed: 'max' }, async (display, machine) => {
    const fbs = [makeFb(machine, display), makeFb(machine, display)];
    const worker = new Worker(new URL('./painter.test-helper.js', import.meta.url), {
      ...machine.invite('painter'),
    });
    const painter = machine.createContext(await machine.peer('painter'), 'painter');
    let last: Fence | undefined;
    for (let i = 0; i < 100; i++) {
      const fb = fbs[i % 2];
      if (fb === undefined) continue;
      painter.submit({ buffers: [{ buffer: fb.buffer, access: 'discard' }], payload: i });
      last = display.queueFlip({ fb });
    }
    assert.is(last?.wait(), 1);
    assert.is(display.stats().shown, 100, 'in max none is dropped');
    const shown = fbs[1]?.buffer.access({ read: true });
    assert.is(shown?.words[0], 99);
    shown?.finish();
    await gone(machine, worker);
  }));

test('a frame whose render failed is skipped, its predecessor stays, the next one is shown', () =>
  withDisplay({}, async (display, machine) => {
    const [a, b] = [makeFb(machine, display), makeFb(machine, display)];
    const worker = new Worker(new URL('./painter.test-helper.js', import.meta.url), {
      ...machine.invite('painter'),
    });
    const painter = machine.createContext(await machine.peer('painter'), 'painter');
    display.queueFlip({ fb: a }).wait();
    painter.submit({ buffers: [{ buffer: b.buffer, access: 'discard' }], payload: -1 });
    const bad = display.queueFlip({ fb: b });
    assert.is(bad.wait(), -5);
    assert.is(bad.error, 'EIO');
    assert.is(display.onScreen, a.id);
    assert.is(display.stats().failed, 1);
    painter.submit({ buffers: [{ buffer: b.buffer, access: 'discard' }], payload: 1 });
    assert.is(display.queueFlip({ fb: b }).wait(), 1);
    assert.is(display.onScreen, b.id);
    await gone(machine, worker);
  }));

test("an in-fence holds a flip back, and its failure is the flip's", () =>
  withDisplay({}, async (display, machine) => {
    const fb = makeFb(machine, display);
    const worker = new Worker(new URL('./painter.test-helper.js', import.meta.url), {
      ...machine.invite('painter'),
    });
    const painter = machine.createContext(await machine.peer('painter'), 'painter');
    const [good, bad] = [painter.submit({ payload: 1 }), painter.submit({ payload: -1 })];
    const flip = display.queueFlip({ fb, inFences: [good] });
    assert.is(flip.wait(), 1);
    assert.is(good.status, 1);
    assert.is(display.queueFlip({ fb, inFences: [bad] }).wait(), -5);
    await gone(machine, worker);
  }));

test('pageFlip keeps to the rules of Linux: EBUSY while off or pending, EINVAL for another format', () =>
  withDisplay({}, (display, machine) => {
    const [a, b] = [makeFb(machine, display), makeFb(machine, display)];
    assert.match(
      messageOf(() => display.pageFlip(a)),
      /^EBUSY: .*is off; use setMode/,
    );
    display.setMode(display.mode, a);
    assert.is(display.onScreen, a.id, 'a modeset shows its framebuffer at once');
    const drawing = b.buffer.access({ write: true });
    const fence = display.pageFlip(b);
    assert.match(
      messageOf(() => display.pageFlip(a)),
      /^EBUSY: .*1 flips are pending .*queueFlip/,
    );
    assert.is(fence.status, 0);
    drawing.finish();
    assert.is(fence.wait(), 1);
    const buffer = machine.alloc(WIDTH * 2 * HEIGHT);
    const size = { width: WIDTH, height: HEIGHT, fourcc: DRM_FORMAT_RGB565 };
    const rgb565 = display.addFramebuffer({ buffer, ...size, pitches: [WIDTH * 2] });
    assert.match(
      messageOf(() => display.pageFlip(rgb565)),
      /^EINVAL: .*another pixel format/,
    );
  }));

test('setMode changes the mode and refuses what does not fit, without changing anything', () =>
  withDisplay({}, (display, machine) => {
    const fb = makeFb(machine, display);
    display.queueFlip({ fb }).wait();
    assert.is(
      codeOf(() => display.setMode('1920x1080@60')),
      'ENOSPC',
    );
    assert.is(
      codeOf(() => display.setMode('1920x1080@60', fb)),
      'ENOSPC',
    );
    assert.is(
      codeOf(() => display.setMode('1x1@60')),
      'EINVAL',
    );
    assert.is(display.mode.name, MODE);
    display.setMode(`${WIDTH}x${HEIGHT}@120`, fb);
    assert.is(display.mode.vrefresh, 120_000);
    assert.is(display.queueFlip({ fb }).wait(), 1);
    display.disable();
    display.setMode('1920x1080@60');
    assert.is(
      codeOf(() => display.queueFlip({ fb })),
      'ENOSPC',
    );
  }));

test('ADDFB2 names the field that is wrong and leaves nothing behind', () =>
  withDisplay({ framebuffers: 1, overlays: 0 }, (display, machine) => {
    const buffer = machine.alloc(WIDTH * 4 * HEIGHT);
    const good = {
      buffer,
      width: WIDTH,
      height: HEIGHT,
      fourcc: DRM_FORMAT_XRGB8888,
      pitches: [WIDTH * 4],
    };
    const fault = (change: object): string =>
      messageOf(() => display.addFramebuffer({ ...good, ...change }));
    assert.match(fault({ pitches: [WIDTH] }), /^EINVAL: .*addfb2: pitches\[0] 64 is below/);
    assert.match(fault({ pitches: [] }), /handles\[0] is missing/);
    assert.match(fault({ height: HEIGHT + 1 }), /handles\[0] is a buffer of/);
    assert.match(fault({ offsets: [8] }), /handles\[0] is a buffer of/);
    assert.match(fault({ fourcc: 0 }), /fourcc/);
    const nv12 = { fourcc: DRM_FORMAT_NV12, pitches: [WIDTH, WIDTH], offsets: [0, WIDTH * HEIGHT] };
    assert.match(
      fault(nv12),
      /no plane of this display scans out NV12; convert it to one of XRGB8888/,
    );
    const fb = display.addFramebuffer(good);
    assert.match(fault({}), /^ENOSPC: .*all 1 framebuffers/);
    display.rmFramebuffer(fb);
    display.addFramebuffer(good);
  }));

test('a removed framebuffer is ENOENT, and its removal turns the display off if it is shown', () =>
  withDisplay({}, (display, machine) => {
    const [a, b] = [makeFb(machine, display), makeFb(machine, display)];
    display.queueFlip({ fb: a }).wait();
    display.rmFramebuffer(b);
    assert.is(display.active, true);
    display.rmFramebuffer(a);
    assert.is(display.active, false);
    assert.is(
      codeOf(() => display.queueFlip({ fb: a })),
      'ENOENT',
    );
    assert.is(
      codeOf(() => display.rmFramebuffer(a)),
      'ENOENT',
    );
  }));

test('disable takes back flips whose render has not even begun', () =>
  withDisplay({}, (display, machine) => {
    const fb = makeFb(machine, display);
    const rendering = fb.buffer.access({ write: true });
    const flip = display.queueFlip({ fb });
    display.disable();
    rendering.finish();
    assert.is(flip.wait(), -125);
    assert.is(display.active, false);
    assert.is(display.stats().cancelled, 1);
  }));

test('another thread opens the display by its handle and flips framebuffers that it was passed', () =>
  withDisplay({}, async (display, machine) => {
    const [a, b] = [makeFb(machine, display), makeFb(machine, display)];
    const worker = new Worker(new URL('./feeder.test-helper.js', import.meta.url), {
      ...machine.invite('feeder'),
    });
    const feeder = await machine.peer('feeder');
    for (const fb of [a, b]) {
      machine.passFd(feeder, fb.buffer.fd, { display: display.handle, fb: fb.handle });
    }
    const point: unknown = machine.ioctl(feeder, 'FLIP');
    assert.is(point, 1, 'status of the last flip');
    assert.is(display.onScreen, b.id);
    const { shown, dropped } = display.stats();
    assert.is(shown + dropped, 10);
    await gone(machine, worker);
  }));

test('misuse of queueFlip is a TypeError and queues nothing', () =>
  withDisplay({}, (display, machine) => {
    const fb = makeFb(machine, display);
    assert.throws(() => display.queueFlip({ fb, at: NaN }), TypeError);
    assert.throws(() => display.queueFlip({ fb, payload: 0.5 }), TypeError);
    assert.is(display.pending, 0);
  }));

test('what is no display cannot be opened as one', () =>
  withDisplay({}, (_display, machine) => {
    assert.is(
      codeOf(() => Display.open(machine, '/dev/dri/card0-writeback')),
      'ENODEV',
    );
    assert.match(
      messageOf(() => Display.open(machine, '/dev/dri/card7')),
      /^ENOENT: .*\/dev\/dri\/card0/,
    );
  }));

test('the trace shows every vblank and every flip with its payload', () =>
  withDisplay({ trace: true }, (display, machine) => {
    const fb = makeFb(machine, display);
    paint(fb, (x, y) => x ^ y);
    display.queueFlip({ fb, payload: 4711 }).wait();
    const names = machine.trace().traceEvents.map(({ name }) => name);
    assert.ok(names.includes('flip 4711'));
    assert.ok(names.includes('vblank'));
  }));

async function gone(machine: Machine, worker: Worker): Promise<void> {
  const exit = once(worker, 'exit');
  await machine.shutdown();
  await exit;
}

test.run();
