// kms_atomic of igt-gpu-tools: properties, checks and fences of atomic commits.
import { boot } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf, makeFb, messageOf, MODE, HEIGHT, WIDTH } from '../display.test-helper.js';
import {
  AtomicRequest,
  Display,
  DRM_FORMAT_ARGB8888,
  DRM_MODE_ATOMIC_ALLOW_MODESET,
  DRM_MODE_ATOMIC_NONBLOCK,
  DRM_MODE_ATOMIC_TEST_ONLY,
  DRM_MODE_PAGE_FLIP_EVENT,
  type DisplayObject,
  type Framebuffer,
  kms,
  type PropertyValue,
} from '../index.js';

const machine = await boot({ drivers: [kms({ mode: MODE })] });
const display = Display.open(machine);
const { crtc, connector, primary, overlays, cursor } = display.objects;
const [overlay = primary, second = primary] = overlays;
const all: readonly DisplayObject[] = [crtc, connector, ...display.objects.planes];
const screen = makeFb(machine, display, 1);
const other = makeFb(machine, display, 2);
const size = 16;
const small = smallFb();

test.before.each(() => {
  display.disable();
  display.setMode(MODE, screen);
});
test.after(() => machine.shutdown());

function smallFb(): Framebuffer {
  const buffer = machine.alloc(size * size * 4);
  const shape = { width: size, height: size, fourcc: DRM_FORMAT_ARGB8888, pitches: [size * 4] };
  return display.addFramebuffer({ buffer, ...shape });
}

/** All values of all objects. */
function state(): unknown {
  return all.map((object) =>
    [...display.getProperties(object)].map(([, { name, value }]) => [name, value]),
  );
}

function value(object: DisplayObject, name: string): number {
  return display.getProperties(object).get(name)?.value ?? NaN;
}

/** The small framebuffer on a plane. */
function shownAt(x: number, y: number): Record<string, PropertyValue> {
  const source = { SRC_X: 0, SRC_Y: 0, SRC_W: size << 16, SRC_H: size << 16 };
  return {
    FB_ID: small,
    CRTC_ID: crtc.id,
    ...{ CRTC_X: x, CRTC_Y: y, CRTC_W: size, CRTC_H: size },
    ...source,
  };
}

/** Refused with a code, naming object, property and value; nothing has changed, no job was queued. */
function refused(request: AtomicRequest, code: string, says: RegExp, flags = 0): void {
  const before = state();
  const { pending } = display;
  assert.is(
    codeOf(() => display.commit(request, { flags })),
    code,
  );
  assert.match(
    messageOf(() => display.commit(request, { flags })),
    says,
  );
  assert.equal(state(), before, 'nothing has changed');
  assert.is(display.pending, pending);
}

test('plane-overlay-legacy: what SETPLANE sets is read back, and what a commit sets is shown', () => {
  display.setPlane(overlay, small, { x: 3, y: 4 });
  assert.equal(
    ['FB_ID', 'CRTC_ID', 'CRTC_X', 'CRTC_Y', 'CRTC_W', 'SRC_W'].map((name) => value(overlay, name)),
    [small.id, crtc.id, 3, 4, size, size << 16],
  );
  assert.is(display.shownOn(overlay), small.id);
  display.commit(new AtomicRequest().set(overlay, { FB_ID: 0, CRTC_ID: 0 }));
  assert.equal([value(overlay, 'FB_ID'), display.shownOn(overlay)], [0, 0]);
  display.commit(new AtomicRequest().set(overlay, shownAt(1, 2)));
  display.setPlane(overlay, undefined);
  assert.equal([value(overlay, 'FB_ID'), value(overlay, 'CRTC_ID')], [0, 0]);
});

test('plane-primary-legacy: SETCRTC and PAGE_FLIP are read back, and a commit is what they go on from', () => {
  assert.equal(
    [value(primary, 'FB_ID'), value(primary, 'CRTC_W'), value(primary, 'SRC_H')],
    [screen.id, WIDTH, HEIGHT << 16],
  );
  display.pageFlip(other).wait();
  assert.is(value(primary, 'FB_ID'), other.id);
  display.commit(new AtomicRequest().add(primary, 'FB_ID', screen));
  assert.is(display.onScreen, screen.id);
  display.pageFlip(other).wait();
  assert.is(display.onScreen, other.id);
  display.queueFlip({ fb: screen }).wait();
  assert.is(value(primary, 'FB_ID'), screen.id);
});

test('plane-cursor-legacy: CURSOR is read back, moving included', () => {
  display.setCursor(small, 5, 6).wait();
  assert.equal([value(cursor, 'FB_ID'), display.shownOn(cursor)], [small.id, small.id]);
  display.moveCursor(-7, 8).wait();
  assert.equal([value(cursor, 'CRTC_X'), value(cursor, 'CRTC_Y')], [-7, 8]);
  display.commit(new AtomicRequest().set(cursor, shownAt(9, 9)));
  assert.is(value(cursor, 'CRTC_X'), 9);
  display.setCursor(undefined).wait();
  assert.is(display.shownOn(cursor), 0);
});

test('plane-primary-overlay-mutable-zpos: zpos is set and read, and may put an overlay behind', () => {
  display.commit(
    new AtomicRequest().set(overlay, { ...shownAt(0, 0), zpos: 0 }).add(primary, 'zpos', 3),
  );
  assert.equal([value(overlay, 'zpos'), value(primary, 'zpos')], [0, 3]);
  refused(
    new AtomicRequest().add(overlay, 'zpos', 4),
    'EINVAL',
    /overlay-0 .*zpos 4: zpos takes 0 to 3/,
  );
  display.commit(new AtomicRequest().add(overlay, 'zpos', 1).add(primary, 'zpos', 0));
});

test('test-only: TEST_ONLY leaves every property as it was', () => {
  const before = state();
  const request = new AtomicRequest()
    .set(overlay, { ...shownAt(5, 5), alpha: 7 })
    .set(cursor, shownAt(6, 6))
    .add(crtc, 'ACTIVE', 0);
  const flags = DRM_MODE_ATOMIC_TEST_ONLY | DRM_MODE_ATOMIC_ALLOW_MODESET;
  assert.is(display.commit(request, { flags }), undefined);
  assert.equal(state(), before);
  assert.is(display.pending, 0);
});

test('plane-invalid-params: each is refused by the name of its property', () => {
  const on = (values: Record<string, PropertyValue>): AtomicRequest =>
    new AtomicRequest().set(overlay, { ...shownAt(0, 0), ...values });
  refused(on({ FB_ID: 0 }), 'EINVAL', /FB_ID 0: CRTC_ID is set/);
  refused(on({ CRTC_ID: 0 }), 'EINVAL', /CRTC_ID 0: FB_ID is set/);
  refused(on({ FB_ID: 0x7fff_ff01 }), 'EINVAL', /FB_ID 2147483393: there is no such framebuffer/);
  refused(
    on({ CRTC_ID: connector.id }),
    'EINVAL',
    /CRTC_ID 4096: the one CRTC of this display is 256/,
  );
  refused(
    on({ CRTC_X: 0x7fff_ffff }),
    'ERANGE',
    /CRTC_X 2147483647: with a size of 16 it overflows/,
  );
  refused(on({ CRTC_Y: 0x7fff_fff0 }), 'ERANGE', /CRTC_Y .*overflows/);
  refused(on({ CRTC_X: 2 ** 31 }), 'EINVAL', /CRTC_X 2147483648: CRTC_X takes/);
  refused(on({ CRTC_W: -1 }), 'EINVAL', /CRTC_W -1: CRTC_W takes 0 to/);
  refused(on({ CRTC_W: 1.5 }), 'EINVAL', /CRTC_W 1.5/);
  refused(
    on({ SRC_W: (size + 1) << 16 }),
    'ENOSPC',
    /SRC_W 1114112: 17 pixels; framebuffer \d+ has 16 columns/,
  );
  refused(on({ SRC_H: (size + 1) << 16 }), 'ENOSPC', /SRC_H .*16 rows/);
  refused(on({ SRC_X: 1 }), 'ENOSPC', /SRC_X 1: it ends at 16\.00001/);
  refused(on({ SRC_Y: 1 << 16 }), 'ENOSPC', /SRC_Y 65536: it ends at 17;/);
  refused(on({ CRTC_W: size * 17 }), 'ERANGE', /CRTC_W 272: .* the plane scales by 1\/16 to 16/);
  refused(on({ alpha: 0x10000 }), 'EINVAL', /alpha 65536: alpha takes 0 to 65535/);
  refused(on({ 'pixel blend mode': 3 }), 'EINVAL', /pixel blend mode 3: .* 0 \(None\), 1/);
  refused(on({ type: 1 }), 'EINVAL', /type 1: it can only be read/);
  const cursorFb = new AtomicRequest().set(cursor, { ...shownAt(0, 0), CRTC_W: size * 2 });
  refused(cursorFb, 'ERANGE', /cursor .*CRTC_W 32: .*the plane does not scale/);
  const wrong = new AtomicRequest().set(cursor, { ...shownAt(0, 0), FB_ID: other });
  refused(wrong, 'EINVAL', /cursor .*FB_ID \d+: it is XRGB8888, the plane scans out ARGB8888/);
});

test('plane-invalid-params-fence: IN_FENCE_FD takes a sync file, once', () => {
  const on = (fd: PropertyValue): AtomicRequest =>
    new AtomicRequest().set(overlay, shownAt(0, 0)).add(overlay, 'IN_FENCE_FD', fd);
  refused(on(999), 'EINVAL', /IN_FENCE_FD 999: not the fd of a sync file/);
  refused(on(small.buffer.fd), 'EINVAL', /IN_FENCE_FD \d+: not the fd of a sync file/);
  refused(on(-2), 'EINVAL', /IN_FENCE_FD -2: IN_FENCE_FD takes/);
  const timeline = machine.createTimeline();
  const file = timeline.createFence(1).hold();
  const twice = on(file.fd).add(overlay, 'IN_FENCE_FD', file.fd);
  refused(twice, 'EINVAL', /IN_FENCE_FD \d+: it was set before in this request/);
  const result = display.commit(on(file.fd), { flags: DRM_MODE_ATOMIC_NONBLOCK });
  assert.is(result?.fence.status, 0, 'it waits for the fence');
  assert.is(display.shownOn(overlay), 0);
  timeline.increment(1);
  assert.is(result?.fence.wait(), 1);
  assert.is(display.shownOn(overlay), small.id);
  display.commit(on(-1));
  file.close();
  timeline.close();
});

test('crtc-invalid-params: MODE_ID, ACTIVE and the connector must agree, and a modeset be allowed', () => {
  const modeset = DRM_MODE_ATOMIC_ALLOW_MODESET;
  const add = (object: DisplayObject, name: string, v: number): AtomicRequest =>
    new AtomicRequest().add(object, name, v);
  refused(add(crtc, 'ACTIVE', 0), 'EINVAL', /crtc-0 .*ACTIVE 0: that is a modeset/);
  refused(add(crtc, 'ACTIVE', 2), 'EINVAL', /ACTIVE 2: ACTIVE takes 0 to 1/, modeset);
  refused(add(crtc, 'MODE_ID', 0), 'EINVAL', /ACTIVE 1: there is no mode/, modeset);
  refused(add(crtc, 'MODE_ID', screen.id), 'EINVAL', /MODE_ID \d+: .*mode blob/, modeset);
  refused(
    add(connector, 'CRTC_ID', 0),
    'EINVAL',
    /MODE_ID \d+: no connector is on the CRTC/,
    modeset,
  );
  const off = add(crtc, 'MODE_ID', 0).add(crtc, 'ACTIVE', 0);
  refused(off, 'EINVAL', /Virtual-1 .*CRTC_ID 256: the CRTC has no mode/, modeset);
  off.add(connector, 'CRTC_ID', 0);
  refused(
    off,
    'EINVAL',
    /primary .*CRTC_ID 256: the CRTC has no mode; take its planes off/,
    modeset,
  );
  off.set(primary, { FB_ID: 0, CRTC_ID: 0 });
  display.commit(off, { flags: modeset });
  assert.equal([display.active, value(crtc, 'MODE_ID')], [false, 0]);
  const blob = display.createModeBlob('128x64@240');
  const on = add(crtc, 'MODE_ID', blob)
    .add(crtc, 'ACTIVE', 1)
    .add(connector, 'CRTC_ID', crtc.id)
    .set(primary, { FB_ID: screen, CRTC_ID: crtc.id });
  refused(on, 'EINVAL', /that is a modeset/);
  display.commit(on, { flags: modeset });
  assert.equal(
    [display.active, display.mode.name, value(crtc, 'MODE_ID')],
    [true, '128x64@240', blob],
  );
  display.destroyModeBlob(blob);
  assert.is(display.mode.name, '128x64@240', 'the CRTC keeps it');
});

test('crtc-invalid-params-fence: OUT_FENCE_PTR is -1 until a commit has succeeded', () => {
  const out = new Int32Array([77]);
  const withOut = (v: PropertyValue): AtomicRequest =>
    new AtomicRequest().add(primary, 'FB_ID', other).add(crtc, 'OUT_FENCE_PTR', v);
  refused(withOut(4096), 'EFAULT', /OUT_FENCE_PTR 4096: .*Int32Array/);
  const gone = new Int32Array(1);
  structuredClone(gone.buffer, { transfer: [gone.buffer] });
  refused(withOut(gone), 'EFAULT', /OUT_FENCE_PTR an Int32Array/);
  const bad = withOut(out).add(primary, 'alpha', -1);
  refused(bad, 'EINVAL', /alpha -1/);
  assert.is(out[0], -1);
  out[0] = 77;
  assert.is(display.commit(withOut(out), { flags: DRM_MODE_ATOMIC_TEST_ONLY }), undefined);
  assert.is(out[0], -1, 'none for a test');
  const result = display.commit(withOut(out), { flags: DRM_MODE_ATOMIC_NONBLOCK });
  assert.is(out[0], result?.outFence?.fd);
  const file = machine.syncFile(out[0] ?? -1);
  assert.is(file.wait(), 1);
  assert.is(display.onScreen, other.id);
  file.close();
  display.disable();
  const alone = new AtomicRequest().add(crtc, 'OUT_FENCE_PTR', out);
  refused(alone, 'EINVAL', /OUT_FENCE_PTR .*the CRTC is off and stays off/);
  refused(
    new AtomicRequest().add(crtc, 'ACTIVE', 0),
    'EINVAL',
    /DRM_MODE_PAGE_FLIP_EVENT 1: the CRTC is off and stays off/,
    DRM_MODE_PAGE_FLIP_EVENT,
  );
  assert.is(out[0], -1);
});

test('atomic-invalid-params: flags, objects, properties', () => {
  const empty = new AtomicRequest();
  display.commit(empty);
  refused(empty, 'EINVAL', /names no object of the CRTC/, DRM_MODE_PAGE_FLIP_EVENT);
  refused(empty, 'EINVAL', /flags 0x10000 has bits beside/, 0x10000);
  const both = DRM_MODE_ATOMIC_TEST_ONLY | DRM_MODE_PAGE_FLIP_EVENT;
  refused(empty, 'EINVAL', /TEST_ONLY commit is never shown/, both);
  refused(
    new AtomicRequest().add(0, 'FB_ID', 0),
    'ENOENT',
    /object 0 is no CRTC, plane or connector/,
  );
  refused(new AtomicRequest().add(screen.id, 'FB_ID', 0), 'ENOENT', /object \d+ is no CRTC/);
  refused(
    new AtomicRequest().add(crtc, 'FB_ID', 0),
    'ENOENT',
    /crtc-0 .*has no property "FB_ID"; it has ACTIVE/,
  );
  refused(new AtomicRequest().add(primary, 12345, 0), 'ENOENT', /has no property 12345/);
  display.commit(new AtomicRequest().add(primary, 'alpha', 5).add(primary, 'alpha', 0xffff));
  assert.is(value(primary, 'alpha'), 0xffff, 'the same property twice: the last one counts');
  const id = display.getProperties(primary).get('alpha')?.id ?? 0;
  display.commit(new AtomicRequest().add(primary, id, 9));
  assert.is(value(primary, 'alpha'), 9, 'a property may be given by its id');
});

test('an event comes once, with sequence and timestamp of its vblank', () => {
  const request = new AtomicRequest().add(primary, 'FB_ID', other).set(second, shownAt(1, 1));
  const flags = DRM_MODE_ATOMIC_NONBLOCK | DRM_MODE_PAGE_FLIP_EVENT;
  const result = display.commit(request, { flags, userData: { frame: 7 } });
  const event = display.readEvent({ timeout: 20_000 });
  assert.equal([event.type, event.userData, event.crtc], ['flip', { frame: 7 }, crtc.id]);
  const presented = result && display.presented(result.fence);
  assert.equal({ sequence: event.sequence, timestamp: event.timestamp }, presented);
  assert.is(
    codeOf(() => display.readEvent()),
    'EAGAIN',
  );
});

test('a non-blocking commit behind a pending one is EBUSY and leaves nothing; a blocking one waits', () => {
  const drawing = other.buffer.access({ write: true });
  const flags = DRM_MODE_ATOMIC_NONBLOCK;
  const first = display.commit(new AtomicRequest().add(primary, 'FB_ID', other), { flags });
  const move = new AtomicRequest().set(overlay, shownAt(2, 2));
  refused(move, 'EBUSY', /are pending on .*queueCommit/, flags);
  const queued = display.queueCommit(move);
  drawing.finish();
  assert.equal([first?.fence.wait(), queued?.fence.wait()], [1, 1]);
  display.commit(new AtomicRequest().set(overlay, { FB_ID: 0, CRTC_ID: 0 }));
});

test.run();
