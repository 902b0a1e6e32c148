/** Variable refresh: a vblank comes with the flip that it is to show, within what the screen can do. */
import { boot } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PERIOD, TestBench } from './crtc.test-helper.js';
import { makeFb, messageOf } from './display.test-helper.js';
import { AtomicRequest, Display, kms } from './index.js';
import { REG } from './registers.js';

/** At 50 Hz and at least 20: frames of 20 to 50 ms. */
const LONGEST = 50;

/** A CRTC with a picture on screen, whose newest vblank is now, and its rate varies. */
function vary(): { bench: TestBench; fbs: readonly number[] } {
  const bench = new TestBench({ vrr: 20 });
  const fbs = [1, 2, 3].map((ino) => bench.addFb(ino));
  bench.flip(fbs[0] ?? 0);
  bench.commit([], { vrr: true });
  bench.vblanks(2);
  bench.happened();
  return { bench, fbs };
}

test('without a flip the screen refreshes at its lowest rate', () => {
  const { bench } = vary();
  const { time } = bench;
  const first = bench.register(REG.SEQUENCE);
  assert.is(bench.after(PERIOD), time + LONGEST);
  assert.is(bench.register(REG.SEQUENCE), first);
  assert.is(bench.after(LONGEST - PERIOD), time + 2 * LONGEST);
  assert.is(bench.register(REG.SEQUENCE), first + 1);
});

test('a flip that comes after a period is shown at once, and the next frame counts from it', () => {
  const { bench, fbs } = vary();
  const [, b = 0, c = 0] = fbs;
  bench.after(33);
  bench.flip(b);
  assert.equal(bench.happened().slice(0, 1), ['3 complete']);
  const at = bench.time;
  bench.flip(c);
  assert.equal(bench.happened(), [], 'not before a period has passed');
  assert.is(bench.after(0), at + PERIOD);
  bench.after(PERIOD);
  assert.equal(bench.happened(), ['4 complete', '3 release']);
});

test('a flip that comes before a period has passed is shown at its end, one with a present time then', () => {
  const { bench, fbs } = vary();
  const [a = 0, b = 0, c = 0] = fbs;
  bench.after(5);
  bench.flip(b, 100); // begins the sequence
  bench.after(PERIOD - 5);
  assert.is(bench.onScreen, b);
  bench.flip(c, 100 + 31);
  assert.is(bench.after(0), bench.time + 31);
  bench.after(31);
  assert.is(bench.onScreen, c);
  bench.flip(a, 100 + 31 + 70); // further than a frame can last
  assert.is(bench.after(0), bench.time + LONGEST);
  bench.after(LONGEST);
  assert.is(bench.onScreen, c);
  assert.is(bench.after(0), bench.time + 20);
  bench.after(20);
  assert.is(bench.onScreen, a);
});

test('a late wake-up has missed what came at the lowest rate meanwhile', () => {
  const { bench } = vary();
  const first = bench.register(REG.SEQUENCE);
  const { time } = bench;
  bench.after(3 * LONGEST + 7);
  assert.is(bench.register(REG.SEQUENCE), first + 3);
  assert.is(bench.after(0), time + 4 * LONGEST);
});

test('off again, the beat goes on from the last vblank', () => {
  const { bench, fbs } = vary();
  bench.commit([], { vrr: false }); // shown a period after the last vblank
  bench.after(PERIOD + 11);
  assert.is(bench.after(0), bench.time + PERIOD - 11);
  bench.flip(fbs[1] ?? 0);
  bench.after(PERIOD - 12);
  assert.is(bench.onScreen, fbs[0]);
  bench.after(1);
  assert.is(bench.onScreen, fbs[1]);
});

test('the next life of the worker varies the rate as the last one did', () => {
  const { bench, fbs } = vary();
  bench.after(LONGEST);
  const { time } = bench;
  bench.restart();
  assert.is(bench.after(30), time + LONGEST);
  bench.flip(fbs[1] ?? 0);
  assert.is(bench.onScreen, fbs[1]);
});

test('a screen that cannot vary its rate does not, whatever VRR_ENABLED says', () => {
  const bench = new TestBench();
  bench.flip(bench.addFb(1));
  bench.commit([], { vrr: true });
  bench.vblanks(2);
  assert.is(bench.after(0), bench.time + PERIOD);
});

test('vrr_capable and VRR_ENABLED are properties, and the vblanks of a machine follow them', async () => {
  const machine = await boot({ drivers: [kms({ mode: '64x64@125', vrr: 20 })], clock: 'manual' });
  try {
    const display = Display.open(machine);
    const { crtc, connector } = display.objects;
    assert.is(display.getProperties(connector).get('vrr_capable')?.value, 1);
    assert.match(
      messageOf(() => display.setProperty(connector, 'vrr_capable', 0)),
      /^EINVAL: .*it can only be read/,
    );
    display.setMode('64x64@125', makeFb(machine, display, 1));
    const result = display.queueCommit(new AtomicRequest().add(crtc, 'VRR_ENABLED', 1));
    machine.advance(8);
    assert.is(result?.fence.status, 1);
    assert.is(display.getProperties(crtc).get('VRR_ENABLED')?.value, 1);
    const { sequence, timestamp } = display.waitVblank();
    machine.advance(49);
    assert.is(display.waitVblank().sequence, sequence);
    machine.advance(1);
    assert.equal(display.waitVblank(), { sequence: sequence + 1, timestamp: timestamp + 50 });
    machine.advance(23);
    const flip = display.pageFlip(makeFb(machine, display, 2));
    machine.advance(0);
    assert.equal(display.presented(flip), { sequence: sequence + 2, timestamp: timestamp + 73 });
  } finally {
    await machine.shutdown();
  }
});

test('vrr out of range is refused', () => {
  for (const vrr of [-1, 241, Number.NaN]) assert.throws(() => kms({ vrr }), /vrr must be/);
});

test.run();
