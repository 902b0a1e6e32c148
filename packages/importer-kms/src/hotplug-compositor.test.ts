/** Hotplug as a compositor lives through it: flips in flight, a link that fails, a screen that goes and another that comes. */
import { boot, type Machine } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf, makeFb, messageOf } from './display.test-helper.js';
import {
  AtomicRequest,
  Display,
  DRM_MODE_ATOMIC_ALLOW_MODESET,
  DRM_MODE_ATOMIC_NONBLOCK,
  DRM_MODE_ATOMIC_TEST_ONLY,
  DRM_MODE_LINK_STATUS_BAD,
  DRM_MODE_LINK_STATUS_GOOD,
  DRM_MODE_PAGE_FLIP_EVENT,
  type Framebuffer,
  kms,
} from './index.js';

const MODE = '64x64@125';
const PERIOD = 8;

/** A machine with two cards on a manual clock, the first on screen `a`. */
async function withCompositor(
  run: (bench: {
    machine: Machine;
    display: Display;
    other: Display;
    a: Framebuffer;
    b: Framebuffer;
  }) => void | Promise<void>,
): Promise<void> {
  const drivers = [kms({ mode: MODE }), kms({ card: 1, mode: MODE })];
  const machine = await boot({ drivers, clock: 'manual' });
  try {
    const display = Display.open(machine);
    const [a, b] = [makeFb(machine, display, 1), makeFb(machine, display, 2)];
    display.setMode(MODE, a);
    machine.advance(PERIOD);
    await run({ machine, display, other: Display.open(machine, '/dev/dri/card1'), a, b });
  } finally {
    await machine.shutdown();
  }
}

/** What a compositor does with an output that is gone: everything off, in one commit. */
function off({ objects }: Display): AtomicRequest {
  return new AtomicRequest()
    .set(objects.crtc, { ACTIVE: 0, MODE_ID: 0 })
    .set(objects.connector, { CRTC_ID: 0 })
    .set(objects.primary, { FB_ID: 0, CRTC_ID: 0 });
}

/** And with one that is there again. */
function on({ objects }: Display, fb: Framebuffer, blob: number): AtomicRequest {
  const size = { CRTC_W: 64, CRTC_H: 64, SRC_W: 64 << 16, SRC_H: 64 << 16 };
  const { crtc, connector, primary } = objects;
  return new AtomicRequest()
    .set(crtc, { ACTIVE: 1, MODE_ID: blob })
    .set(connector, { CRTC_ID: crtc.id })
    .set(primary, { FB_ID: fb, CRTC_ID: crtc.id, ...size });
}

const linkStatus = (display: Display): number | undefined =>
  display.getProperties(display.objects.connector).get('link-status')?.value;

test('a hotplug comes while a flip is pending: the event at once, and the flip is shown all the same', () =>
  withCompositor(async ({ machine, display, other, b }) => {
    const drawing = b.buffer.access({ write: true });
    const told = display.nextHotplug();
    const flip = display.pageFlip(b, { flags: DRM_MODE_PAGE_FLIP_EVENT, userData: 7 });
    display.setConnectorStatus('disconnected');
    assert.is((await told).status, 'disconnected');
    assert.is(flip.status, 0, 'its render is not even done');
    drawing.finish();
    machine.advance(PERIOD);
    const { userData, error } = display.readEvent();
    assert.equal([flip.status, userData, error], [1, 7, undefined]);
    assert.is(display.onScreen, b.id);
    assert.is(
      codeOf(() => other.waitHotplug({ timeout: 0 })),
      'ETIME',
      'the other card has its own connector',
    );
  }));

test('a screen is pulled out under a commit, the output is torn down, and comes back with other modes', () =>
  withCompositor(({ machine, display, a, b }) => {
    const { primary } = display.objects;
    const flags = DRM_MODE_ATOMIC_NONBLOCK;
    const inFlight = display.commit(new AtomicRequest().add(primary, 'FB_ID', b), { flags });
    display.setConnectorStatus('disconnected');
    display.getConnector();
    // Behind the one in flight, as commits of the kernel queue up behind each other.
    const down = display.queueCommit(off(display), { flags: DRM_MODE_ATOMIC_ALLOW_MODESET });
    machine.advance(PERIOD);
    machine.advance(PERIOD);
    assert.equal([inFlight?.fence.status, down?.fence.status], [1, 1]);
    assert.not(display.active);
    for (const fb of [a, b]) fb.buffer.access({ write: true, timeout: 0 }).finish();
    assert.is(
      codeOf(() => display.pageFlip(a)),
      'EBUSY',
    );
    assert.match(
      messageOf(() => display.commit(new AtomicRequest().add(primary, 'FB_ID', a))),
      /^EINVAL: .*CRTC_ID 0: FB_ID is set/,
    );
    assert.match(
      messageOf(() => display.commit(on(display, a, display.createModeBlob(MODE)), { flags })),
      /^EINVAL: .*DRM_MODE_ATOMIC_ALLOW_MODESET/,
    );

    display.setConnectorStatus('connected', { modes: ['64x64@100', MODE] });
    const { status, modes } = display.waitHotplug({ timeout: 0 });
    assert.equal([status, modes.length], ['connected', 2]);
    const [preferred = MODE] = modes;
    const back = display.queueCommit(on(display, a, display.createModeBlob(preferred)), {
      flags: DRM_MODE_ATOMIC_ALLOW_MODESET,
    });
    machine.advance(10);
    assert.is(back?.fence.status, 1);
    assert.equal([display.onScreen, display.mode.name], [a.id, '64x64@100']);
    const before = display.waitVblank().sequence;
    machine.advance(30);
    assert.is(display.waitVblank().sequence, before + 3, 'at the rate of the new screen');
  }));

test('a link that failed is BAD and announced; flips go on, and a modeset makes it GOOD', () =>
  withCompositor(async ({ machine, display, b }) => {
    const { connector } = display.objects;
    assert.is(linkStatus(display), DRM_MODE_LINK_STATUS_GOOD);
    const told = display.nextHotplug();
    display.failLink();
    const { status, modes } = await told;
    assert.equal([status, modes.length], ['connected', 1], 'the screen is there still');
    assert.is(linkStatus(display), DRM_MODE_LINK_STATUS_BAD);

    const flip = display.pageFlip(b);
    machine.advance(PERIOD);
    assert.is(flip.status, 1);
    assert.is(linkStatus(display), DRM_MODE_LINK_STATUS_BAD, 'a flip trains nothing');

    const good = new AtomicRequest().add(connector, 'link-status', DRM_MODE_LINK_STATUS_GOOD);
    assert.match(
      messageOf(() => display.commit(good)),
      /^EINVAL: .*Virtual-1 .*link-status 0: that is a modeset; give DRM_MODE_ATOMIC_ALLOW_MODESET/,
    );
    const allowed = DRM_MODE_ATOMIC_ALLOW_MODESET;
    display.commit(good, { flags: allowed | DRM_MODE_ATOMIC_TEST_ONLY });
    assert.is(linkStatus(display), DRM_MODE_LINK_STATUS_BAD, 'a test changes nothing');
    const result = display.queueCommit(good, { flags: allowed });
    machine.advance(PERIOD);
    assert.is(result?.fence.status, 1);
    assert.is(linkStatus(display), DRM_MODE_LINK_STATUS_GOOD);
    assert.is(display.onScreen, b.id);
    display.commit(good, { flags: allowed | DRM_MODE_ATOMIC_TEST_ONLY });
    assert.is(
      codeOf(() => display.waitHotplug({ timeout: 0 })),
      'ETIME',
      'what userspace did itself is no event',
    );
  }));

test('userspace cannot make a good link bad, and setMode always trains it', () =>
  withCompositor(({ display, machine }) => {
    const { connector } = display.objects;
    const bad = new AtomicRequest().add(connector, 'link-status', DRM_MODE_LINK_STATUS_BAD);
    const result = display.queueCommit(bad);
    machine.advance(PERIOD);
    assert.is(result?.fence.status, 1, 'ignored, and no modeset');
    assert.is(linkStatus(display), DRM_MODE_LINK_STATUS_GOOD);
    const other = new AtomicRequest().add(connector, 'link-status', 2);
    assert.match(
      messageOf(() => display.commit(other)),
      /^EINVAL: .*link-status takes 0 \(Good\), 1 \(Bad\)/,
    );
    display.failLink();
    display.disable();
    assert.is(linkStatus(display), DRM_MODE_LINK_STATUS_BAD, 'off is no training');
    display.setMode(MODE);
    assert.is(linkStatus(display), DRM_MODE_LINK_STATUS_GOOD);
  }));

test.run();
