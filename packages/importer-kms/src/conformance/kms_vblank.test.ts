// kms_vblank of igt-gpu-tools. On a manual clock where time is what is asked for.
import { boot, type Machine, type Peer } from '@dmabuf/core';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf, makeFb, messageOf, MODE, withDisplay } from '../display.test-helper.js';
import {
  Display,
  DRM_MODE_PAGE_FLIP_EVENT,
  DRM_VBLANK_ABSOLUTE,
  DRM_VBLANK_EVENT,
  DRM_VBLANK_NEXTONMISS,
  DRM_VBLANK_RELATIVE,
  DRM_VBLANK_SECONDARY,
  type Framebuffer,
  kms,
} from '../index.js';

/** Of the clock's mode: whole ms, so that steps add up exactly. */
const CLOCK_MODE = '64x64@125';
const PERIOD = 8;

/** A machine on a manual clock, its display on. */
async function withClock(
  run: (display: Display, machine: Machine, fb: Framebuffer) => void,
): Promise<void> {
  const machine = await boot({ drivers: [kms({ mode: CLOCK_MODE })], clock: 'manual' });
  try {
    const display = Display.open(machine);
    const fb = makeFb(machine, display, 1);
    display.setMode(CLOCK_MODE, fb);
    machine.advance(PERIOD);
    run(display, machine, fb);
  } finally {
    await machine.shutdown();
  }
}

test('invalid: unknown bits, and a CRTC that there is not', () =>
  withDisplay({}, (display, machine) => {
    display.setMode(MODE, makeFb(machine, display, 1));
    const ask = (type: number): unknown => display.waitVblank({ type });
    for (const type of [0x100, DRM_VBLANK_RELATIVE | 0x80, 1.5]) {
      assert.is(
        codeOf(() => ask(type)),
        'EINVAL',
      );
    }
    for (const type of [DRM_VBLANK_SECONDARY, 31 << 1, 2]) {
      assert.match(
        messageOf(() => ask(type)),
        /^EINVAL: .*another CRTC than the first/,
      );
    }
    assert.is(
      codeOf(() => display.waitVblank({ sequence: 0.5 })),
      'EINVAL',
    );
  }));

test('crtc-id: events of vblanks, flips and commits name the CRTC', () =>
  withClock((display, machine, fb) => {
    const next = makeFb(machine, display, 2);
    display.waitVblank({
      type: DRM_VBLANK_RELATIVE | DRM_VBLANK_EVENT,
      sequence: 1,
      userData: 'v',
    });
    display.pageFlip(next, { flags: DRM_MODE_PAGE_FLIP_EVENT, userData: 'f' });
    machine.advance(PERIOD);
    const events = [display.readEvent(), display.readEvent()];
    assert.equal(new Set(events.map(({ userData }) => userData)), new Set(['f', 'v']));
    for (const { crtc } of events) assert.is(crtc, display.objects.crtc.id);
    assert.is(events[0]?.sequence, events[1]?.sequence);
    assert.is(display.onScreen, next.id);
    assert.is.not(fb, next);
  }));

test('accuracy-idle: an event for each absolute number, with that number and its time, and none left over', () =>
  withClock((display, machine) => {
    const first = display.waitVblank();
    const type = DRM_VBLANK_ABSOLUTE | DRM_VBLANK_EVENT;
    for (let i = 1; i <= 120; i++) {
      display.waitVblank({ type, sequence: first.sequence + i, userData: i });
    }
    for (let i = 1; i <= 120; i++) {
      machine.advance(PERIOD);
      const event = display.readEvent();
      assert.equal([event.userData, event.sequence], [i, first.sequence + i]);
      assert.ok(Math.abs(event.timestamp - first.timestamp - i * PERIOD) < 1e-6);
    }
    assert.is(
      codeOf(() => display.readEvent()),
      'EAGAIN',
    );
    assert.is(display.stats().missedVblanks, 0);
  }));

test('requests that do not ascend, and ones that have passed: at once, or the next one', () =>
  withClock((display, machine) => {
    const { sequence } = display.waitVblank();
    const type = DRM_VBLANK_ABSOLUTE | DRM_VBLANK_EVENT;
    for (const ahead of [3, 2, 1, 0, -1]) {
      display.waitVblank({ type, sequence: sequence + ahead, userData: ahead });
    }
    const next = { type: type | DRM_VBLANK_NEXTONMISS, sequence: sequence - 5, userData: 'next' };
    assert.is(display.waitVblank(next).sequence, sequence + 1);
    const seen: [unknown, number | undefined][] = [];
    const drain = (): void => {
      for (let more = true; more;) {
        try {
          const event = display.readEvent();
          seen.push([event.userData, event.sequence]);
        } catch {
          more = false;
        }
      }
    };
    machine.advance(0);
    drain();
    assert.equal(seen.splice(0), [
      [0, sequence],
      [-1, sequence],
    ]);
    for (const expected of [[1, 'next'], [2], [3]]) {
      machine.advance(PERIOD);
      drain();
      assert.equal(
        seen.map(([userData]) => userData),
        expected,
      );
      const at = sequence + Number(expected[0]);
      for (const [, got] of seen.splice(0)) assert.is(got, at);
    }
  }));

test('a vblank that nobody served is missed, counted, and not made up for', () =>
  withClock((display, machine) => {
    const { sequence, timestamp } = display.waitVblank();
    const type = DRM_VBLANK_ABSOLUTE | DRM_VBLANK_EVENT;
    display.waitVblank({ type, sequence: sequence + 1 });
    machine.advance(PERIOD * 10);
    const event = display.readEvent();
    const late = (event.sequence ?? 0) - sequence;
    assert.ok(late >= 1);
    assert.ok(Math.abs(event.timestamp - timestamp - late * PERIOD) < 1e-6, 'its own time');
    const { vblanks, missedVblanks } = display.stats();
    assert.is(display.waitVblank().sequence, sequence + 10);
    assert.ok(missedVblanks >= late - 1 && missedVblanks < vblanks);
  }));

test('query-idle: the number and time of the newest vblank, at once', () =>
  withClock((display, machine) => {
    const a = display.waitVblank();
    assert.equal(display.waitVblank(), a);
    machine.advance(PERIOD);
    const b = display.waitVblank();
    assert.is(b.sequence, a.sequence + 1);
    assert.ok(Math.abs(b.timestamp - a.timestamp - PERIOD) < 1e-6);
  }));

test('query-busy: numbers and times agree while flips go on', () =>
  withDisplay({}, (display, machine) => {
    const fbs = [makeFb(machine, display, 1), makeFb(machine, display, 2)];
    display.setMode(MODE, fbs[0]);
    const { sequence, timestamp } = display.waitVblank({ sequence: 1 });
    for (let i = 0; i < 20; i++) {
      const fb = fbs[i % 2];
      if (fb !== undefined) display.queueFlip({ fb }).wait();
      const now = display.waitVblank();
      const passed = now.sequence - sequence;
      assert.ok(Math.abs(now.timestamp - timestamp - (passed * 1000) / 240) < 1e-6);
    }
  }));

test('wait-idle: waiting for the next vblank gives it', () =>
  withDisplay({}, (display, machine) => {
    display.setMode(MODE, makeFb(machine, display, 1));
    let { sequence, timestamp } = display.waitVblank({ sequence: 1 });
    for (let i = 0; i < 10; i++) {
      const next = display.waitVblank({ type: DRM_VBLANK_RELATIVE, sequence: 1 });
      assert.ok(next.sequence > sequence && next.timestamp > timestamp);
      ({ sequence, timestamp } = next);
    }
  }));

test('wait-busy: the same while flips are pending', () =>
  withDisplay({}, (display, machine) => {
    const fbs = [makeFb(machine, display, 1), makeFb(machine, display, 2)] as const;
    display.setMode(MODE, fbs[0]);
    let { sequence } = display.waitVblank({ sequence: 1 });
    for (let i = 0; i < 10; i++) {
      display.queueFlip({ fb: fbs[(i + 1) % 2] ?? fbs[0] });
      const next = display.waitVblank({ sequence: 1 });
      assert.ok(next.sequence > sequence);
      ({ sequence } = next);
    }
  }));

/** Asks two other processes at once. */
async function forked(request: string): Promise<void> {
  await withDisplay({}, async (display, machine) => {
    display.setMode(MODE, makeFb(machine, display, 1));
    display.waitVblank({ sequence: 1 });
    const workers = ['one', 'two'].map(
      (name) =>
        new Worker(new URL('../vblank.test-helper.js', import.meta.url), {
          ...machine.invite(name),
        }),
    );
    for (const name of ['one', 'two']) {
      const peer: Peer = await machine.peer(name);
      const seen = machine.ioctl(peer, request, undefined, 20_000) as number[];
      // A vblank that a busy machine missed is answered with the next one: never with one before.
      const [first = 0] = seen;
      seen.forEach((sequence, i) => {
        assert.ok(sequence >= (request === 'WAIT' ? first + i : first), seen.join());
      });
    }
    const gone = workers.map((worker) => once(worker, 'exit'));
    await machine.shutdown();
    await Promise.all(gone);
  });
}

test('query-forked: other processes ask, each on its own', () => forked('QUERY'));

test('wait-forked: other processes wait, each on its own', () => forked('WAIT'));

test('ts-continuation-dpms-rpm: off is EINVAL; after on the count goes on from where it was', () =>
  withClock((display, machine, fb) => {
    machine.advance(PERIOD * 5);
    const before = display.waitVblank();
    const waiting = { type: DRM_VBLANK_RELATIVE | DRM_VBLANK_EVENT, sequence: 50, userData: 'off' };
    display.waitVblank(waiting);
    display.disable();
    assert.is(display.readEvent().userData, 'off', 'an event is never lost');
    assert.match(
      messageOf(() => display.waitVblank({ sequence: 1 })),
      /^EINVAL: .*is off, so there are no vblanks/,
    );
    machine.advance(1000);
    display.setMode(CLOCK_MODE, fb);
    machine.advance(PERIOD * 3);
    const after = display.waitVblank();
    assert.ok(after.sequence >= before.sequence && after.sequence <= before.sequence + 128);
    assert.ok(after.timestamp > before.timestamp + 1000);
  }));

test('ts-continuation-modeset: the count goes on over another mode', () =>
  withClock((display, machine, fb) => {
    const before = display.waitVblank();
    display.setMode('64x64@100', fb);
    machine.advance(10);
    machine.advance(10);
    const after = display.waitVblank();
    assert.is(after.sequence, before.sequence + 2);
  }));

test('ts-continuation-idle: ten idle seconds are as many vblanks as the rate says', () =>
  withClock((display, machine) => {
    const before = display.waitVblank();
    machine.advance(10_000);
    const after = display.waitVblank();
    assert.is(after.sequence, before.sequence + 1250);
    assert.ok(Math.abs(after.timestamp - before.timestamp - 10_000) < 1e-6);
  }));

test.run();
