/** Atomic commits on a real machine: what conformance does not ask for. */
import { boot } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf, makeFb, messageOf, MODE } from './display.test-helper.js';
import { AtomicRequest, Display, kms, type PropertyValue } from './index.js';

const machine = await boot({ drivers: [kms({ mode: MODE })], tables: { jobs: 64 } });
const display = Display.open(machine);
const { crtc, primary, overlays, cursor } = display.objects;
const [first = primary, second = primary] = overlays;
const screen = makeFb(machine, display, 1);

test.before.each(() => {
  display.disable();
  display.setMode(MODE, screen);
});
test.after(() => machine.shutdown());

/** A framebuffer of the whole screen on a plane, by id alone. */
function on(fb: number): Record<string, PropertyValue> {
  const place = { CRTC_X: 0, CRTC_Y: 0, CRTC_W: 64, CRTC_H: 64 };
  const source = { SRC_X: 0, SRC_Y: 0, SRC_W: 64 << 16, SRC_H: 64 << 16 };
  return { FB_ID: fb, CRTC_ID: crtc.id, ...place, ...source };
}

/** Takes all slots of the job table but `free`; what gives them back. */
function fillJobs(free: number): () => void {
  const timeline = machine.createTimeline();
  for (let point = 1; ; point++) {
    try {
      timeline.createFence(point);
    } catch {
      timeline.increment(free);
      return () => timeline.close();
    }
  }
}

for (const free of [0, 1, 2]) {
  test(`a commit of three planes that finds ${free} free jobs is refused, and leaves nothing behind`, () => {
    const fbs = [1, 2].map(() => makeFb(machine, display));
    const [a = screen, b = screen] = fbs;
    const request = new AtomicRequest()
      .set(first, on(a.id))
      .set(second, on(b.id))
      .add(cursor, 'alpha', 0x8000 + free);
    const giveBack = fillJobs(free);
    assert.is(
      codeOf(() => display.queueCommit(request)),
      'ENOSPC',
    );
    giveBack();
    assert.is(display.getProperties(first).get('FB_ID')?.value, 0);
    for (const fb of fbs) fb.buffer.access({ write: true, timeout: 20_000 }).finish();
    assert.equal([display.shownOn(first), display.shownOn(second)], [0, 0]);
    assert.is(display.commit(request)?.fence.status, 1, 'and works once there is room');
    assert.equal([display.shownOn(first), display.shownOn(second)], [a.id, b.id]);
    for (const fb of fbs) display.rmFramebuffer(fb);
    assert.equal([display.shownOn(first), display.shownOn(second)], [0, 0]);
    assert.is(display.onScreen, screen.id);
  });
}

test('a commit of several planes that has been shown is pending with none of its jobs', () => {
  const fbs = [1, 2].map(() => makeFb(machine, display));
  const [a = screen, b = screen] = fbs;
  for (let i = 0; i < 50; i++) {
    const request = new AtomicRequest().set(first, on(i % 2 === 0 ? a.id : b.id));
    request.set(second, on(i % 2 === 0 ? b.id : a.id)).add(cursor, 'alpha', i);
    const result = display.commit(request);
    assert.is(display.pending, 0);
    assert.ok(result !== undefined && display.presented(result.fence) !== undefined);
  }
  for (const fb of fbs) display.rmFramebuffer(fb);
});

test('a framebuffer may be named by its id, by a Display that did not add it', () => {
  const fb = makeFb(machine, display, 3);
  const { buffers } = machine.stats();
  const another = Display.open(machine);
  another.commit(new AtomicRequest().set(first, on(fb.id)));
  assert.is(display.shownOn(first), fb.id);
  assert.is(machine.stats().buffers, buffers);
  display.rmFramebuffer(fb);
  assert.match(
    messageOf(() => another.commit(new AtomicRequest().set(first, on(fb.id)))),
    /FB_ID \d+: there is no such framebuffer/,
  );
});

test('the largest numbers that a commit can hold fit into the payload of its job', () => {
  const fb = makeFb(machine, display);
  const place = { CRTC_X: -(2 ** 31), CRTC_Y: -(2 ** 31), CRTC_W: 1024, CRTC_H: 1024 };
  const looks = { zpos: 3, alpha: 0xffff, 'pixel blend mode': 2, COLOR_ENCODING: 1 };
  const request = new AtomicRequest().set(first, { ...on(fb.id), ...place, ...looks });
  const result = display.queueCommit(request, { at: Math.PI, start: true });
  assert.is(result?.fence.wait(), 1);
  display.rmFramebuffer(fb);
});

test('a present time holds a commit back, and of two that are due the newer one is shown', () => {
  const [a, b] = [makeFb(machine, display), makeFb(machine, display)];
  const show = (fb: number): AtomicRequest => new AtomicRequest().set(first, on(fb));
  const begin = display.queueCommit(show(a.id), { at: 0, start: true });
  assert.is(begin?.fence.wait(), 1);
  const start = begin && display.presented(begin.fence);
  const later = display.queueCommit(show(b.id), { at: 100 });
  assert.is(later?.fence.wait(), 1);
  const end = later && display.presented(later.fence);
  const passed = (end?.timestamp ?? 0) - (start?.timestamp ?? 0);
  assert.ok(passed >= 99.9, `${passed} ms`);
  for (const fb of [a, b]) display.rmFramebuffer(fb);
});

test('a commit of which a render failed is skipped, on all its planes', () => {
  const [a, b] = [makeFb(machine, display), makeFb(machine, display)];
  const timeline = machine.createTimeline();
  const gate = timeline.createFence(1);
  const request = new AtomicRequest().set(first, on(a.id)).set(second, on(b.id));
  const result = display.queueCommit(request, { inFences: [gate] });
  timeline.close(); // its fences fail with ENOENT
  result?.fence.wait();
  assert.is(result?.fence.error, 'ENOENT');
  assert.equal([display.shownOn(first), display.shownOn(second)], [0, 0]);
  for (const fb of [a, b]) fb.buffer.access({ write: true, timeout: 20_000 }).finish();
  for (const fb of [a, b]) display.rmFramebuffer(fb);
});

test.run();
