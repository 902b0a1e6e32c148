// kms_vrr of igt-gpu-tools: the rate of flips decides when vblanks come. On a manual clock: intervals are exact, where
// the original lets a quarter of the frames be wrong.
import { boot, type Machine } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { makeFb } from '../display.test-helper.js';
import {
  AtomicRequest,
  Display,
  DRM_MODE_ATOMIC_ALLOW_MODESET,
  DRM_MODE_PAGE_FLIP_EVENT,
  type Framebuffer,
  kms,
} from '../index.js';

const MODE = '64x64@125';
/** ms, of the highest rate. */
const SHORTEST = 8;
/** ms, of the lowest: 40 Hz. */
const LONGEST = 25;
/** ms, of a rate between, that is no multiple of the shortest frame. */
const MIDDLE = 13;
const FRAMES = 12;

interface Bench {
  readonly display: Display;
  readonly machine: Machine;
  readonly fbs: readonly [Framebuffer, Framebuffer];
  /** A commit of CRTC properties, shown. */
  set(values: Readonly<Record<string, number>>, flags?: number): void;
  /** Flips `apart` ms after one another; the intervals at which they came on screen. */
  flip(apart: readonly number[]): number[];
}

/** A machine with a picture on screen, whose screen can vary its rate down to `vrr` Hz; 0: it cannot. */
async function withScreen(vrr: number, run: (bench: Bench) => void): Promise<void> {
  const machine = await boot({ drivers: [kms({ mode: MODE, vrr })], clock: 'manual' });
  try {
    const display = Display.open(machine);
    const fbs = [makeFb(machine, display, 1), makeFb(machine, display, 2)] as const;
    display.setMode(MODE, fbs[0]);
    const bench = { display, machine, fbs };
    run({
      ...bench,
      set: (values, flags) => set(bench, values, flags),
      flip: (apart) => flip(bench, apart),
    });
  } finally {
    await machine.shutdown();
  }
}

type Setup = Pick<Bench, 'display' | 'machine' | 'fbs'>;

function set(
  { display, machine }: Setup,
  values: Readonly<Record<string, number>>,
  flags: number | undefined,
): void {
  const request = new AtomicRequest().set(display.objects.crtc, values);
  const result = display.queueCommit(request, flags === undefined ? {} : { flags });
  machine.advance(LONGEST);
  assert.is(result?.fence.status, 1);
}

/** Lets a flip come, ms by ms; its time. */
function shownAt({ display, machine }: Setup): number {
  for (let ms = 0; ms <= LONGEST + SHORTEST; ms++) {
    machine.advance(ms === 0 ? 0 : 1);
    try {
      return display.readEvent().timestamp;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error;
    }
  }
  throw new Error('a flip took longer than the longest frame and the shortest');
}

function flip(setup: Setup, apart: readonly number[]): number[] {
  const { display, machine, fbs } = setup;
  let turn = 0;
  const next = (): number => {
    const fb = fbs[turn++ % 2 === 0 ? 1 : 0];
    display.pageFlip(fb, { flags: DRM_MODE_PAGE_FLIP_EVENT });
    return shownAt(setup);
  };
  let last = next();
  return apart.map((ms) => {
    for (let i = 0; i < ms; i++) machine.advance(1);
    const time = next();
    const interval = time - last;
    last = time;
    return Math.round(interval * 1e6) / 1e6;
  });
}

const steady = (ms: number): number[] => Array<number>(FRAMES).fill(ms);

/** With VRR each frame takes its own time, and without it a multiple of the shortest. */
function basic({ display, set: setCrtc, flip: flips }: Bench, flags: number): void {
  const { crtc, connector } = display.objects;
  assert.is(display.getProperties(connector).get('vrr_capable')?.value, 1);
  setCrtc({ VRR_ENABLED: 1 }, flags);
  assert.is(display.getProperties(crtc).get('VRR_ENABLED')?.value, 1);
  assert.equal(flips(steady(MIDDLE)), steady(MIDDLE));
  setCrtc({ VRR_ENABLED: 0 }, flags);
  assert.equal(flips(steady(MIDDLE)), steady(2 * SHORTEST));
}

test('flip-basic: frames take the time between the flips while VRR_ENABLED is 1, and only then', () =>
  withScreen(40, (bench) => basic(bench, DRM_MODE_ATOMIC_ALLOW_MODESET)));

test('flip-basic-fastset: turning it on and off is no modeset', () =>
  withScreen(40, (bench) => basic(bench, 0)));

test('flip-dpms: off and on again, the rate varies as before', () =>
  withScreen(40, ({ set: setCrtc, flip: flips, display }) => {
    setCrtc({ VRR_ENABLED: 1 });
    assert.equal(flips(steady(MIDDLE)), steady(MIDDLE));
    setCrtc({ ACTIVE: 0 }, DRM_MODE_ATOMIC_ALLOW_MODESET);
    assert.not(display.active);
    setCrtc({ ACTIVE: 1 }, DRM_MODE_ATOMIC_ALLOW_MODESET);
    assert.ok(display.active);
    assert.equal(flips(steady(MIDDLE)), steady(MIDDLE));
  }));

test('flipline: no frame is shorter than that of the highest rate; what is later than the lowest waits for a refresh', () =>
  withScreen(40, ({ set: setCrtc, flip: flips }) => {
    setCrtc({ VRR_ENABLED: 1 });
    assert.equal(flips(steady(3)), steady(SHORTEST), 'faster than the screen');
    assert.equal(flips(steady(SHORTEST)), steady(SHORTEST), 'just as fast');
    assert.equal(flips(steady(LONGEST - 1)), steady(LONGEST - 1), 'just within the range');
    // The screen refreshed itself after 25 ms; a flip after 30 is shown when that frame is over.
    assert.equal(flips(steady(30)), steady(LONGEST + SHORTEST), 'slower than the screen');
  }));

test('max-min: from the highest rate to the lowest and back with each frame', () =>
  withScreen(40, ({ set: setCrtc, flip: flips }) => {
    setCrtc({ VRR_ENABLED: 1 });
    const apart = steady(SHORTEST).map((ms, i) => (i % 2 === 0 ? ms : LONGEST - 1));
    assert.equal(flips(apart), apart);
  }));

test('negative-basic: a screen that cannot vary its rate keeps it, and VRR_ENABLED changes nothing', () =>
  withScreen(0, ({ display, set: setCrtc, flip: flips }) => {
    const { connector } = display.objects;
    assert.is(display.getProperties(connector).get('vrr_capable')?.value, 0);
    assert.equal(flips(steady(MIDDLE)), steady(2 * SHORTEST));
    setCrtc({ VRR_ENABLED: 1 });
    assert.equal(flips(steady(MIDDLE)), steady(2 * SHORTEST));
  }));

test('cmrr: frames of 1000/1001 of a rate, by their present times, none dropped and none early or late', () =>
  withScreen(40, ({ display, machine, fbs, set: setCrtc }) => {
    setCrtc({ VRR_ENABLED: 1 });
    const frame = 1001 / 60; // 59.94 Hz
    const flips = steady(0).map((_, i) =>
      display.queueFlip({ fb: fbs[i % 2 === 0 ? 1 : 0], at: i * frame }),
    );
    for (let ms = 0; ms < (FRAMES + 2) * frame; ms++) machine.advance(1);
    const times = flips.map((each) => display.presented(each)?.timestamp ?? Number.NaN);
    const [first = Number.NaN] = times;
    times.forEach((time, i) => {
      const off = Math.abs(time - first - i * frame);
      assert.ok(off < 1e-6, `frame ${i} is ${off} ms off`);
    });
    assert.is(display.stats().dropped, 0);
  }));

test.run();
