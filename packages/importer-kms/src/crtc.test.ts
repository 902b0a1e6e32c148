import { DmaBufError, errno } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PERIOD, TestBench } from './crtc.test-helper.js';
import { LatenessHistogram } from './lateness.js';
import { REG } from './registers.js';

test('an idle display asks for no wake-up', () => {
  const bench = new TestBench();
  assert.is(bench.crtc.tick(bench.time), Infinity);
  assert.is(bench.register(REG.ACTIVE), 0);
  assert.is(bench.onScreen, 0);
});

test('the first flip turns the CRTC on and is shown a whole period later', () => {
  const bench = new TestBench();
  const a = bench.addFb(1);
  bench.flip(a);
  assert.is(bench.register(REG.ACTIVE), 1);
  assert.is(bench.after(0), bench.time + PERIOD);
  assert.equal(bench.happened(), []);
  bench.after(PERIOD - 1);
  assert.equal(bench.happened(), []);
  bench.after(1);
  assert.equal(bench.happened(), ['1 complete']);
  assert.is(bench.onScreen, a);
});

test('a buffer is let go when its successor is on screen, and not before', () => {
  const bench = new TestBench();
  const [a, b] = [bench.addFb(1), bench.addFb(2)];
  bench.flip(a);
  bench.vblanks(1);
  assert.equal(bench.happened(), ['1 complete']);
  bench.vblanks(5);
  assert.equal(bench.happened(), [], 'the last one stays on screen');
  bench.flip(b);
  assert.equal(bench.happened(), []);
  bench.vblanks(1);
  assert.equal(bench.happened(), ['2 complete', '1 release']);
});

test('late flips are dropped, counted, and released at once with ECANCELED', () => {
  const bench = new TestBench();
  const fbs = [1, 2, 3, 4].map((ino) => bench.addFb(ino));
  for (const [i, fb] of fbs.entries()) bench.flip(fb, i * PERIOD);
  bench.vblanks(1);
  assert.equal(bench.happened(), ['1 complete']);
  bench.after(2 * PERIOD + 3);
  assert.equal(bench.happened(), ['2 ECANCELED', '2 release', '3 complete', '1 release']);
  assert.is(bench.register(REG.DROPPED), 1);
  assert.is(bench.register(REG.SHOWN), 2);
  assert.is(bench.double(REG.MISSED), 1);
  assert.is(bench.double(REG.VBLANKS), 3);
});

test('a flip is shown at the first vblank from its time on, counted from the first one shown', () => {
  const bench = new TestBench();
  const [a, b] = [bench.addFb(1), bench.addFb(2)];
  bench.flip(a, 5000);
  bench.flip(b, 5000 + PERIOD + 1);
  bench.vblanks(2);
  assert.equal(bench.happened(), ['1 complete']);
  bench.vblanks(1);
  assert.equal(bench.happened(), ['2 complete', '1 release']);
});

test('the limit of a flip runs from its present time, that of one behind a barrier not before its turn', () => {
  const bench = new TestBench();
  const fb = bench.addFb(1);
  bench.flip(fb, 500);
  bench.flip(fb, 60_000);
  const start = bench.time;
  assert.equal([...bench.waits.values()], [-Infinity, Infinity], 'their sequence has not begun');
  bench.vblanks(1);
  const epoch = start + PERIOD - 500;
  assert.is(bench.waits.get(2), epoch + 60_000);
  bench.flip(fb);
  assert.is(bench.waits.get(3), -Infinity, 'at once');
  bench.flip(fb, 0, { start: true });
  assert.is(bench.waits.get(4), Infinity, 'it waits for those before it');
});

test('the tolerance lets a timestamp in whole ms keep its vblank', () => {
  for (const [tolerance, expected] of [
    [0.002, 0],
    [1, 1],
  ] as const) {
    const bench = new TestBench({ tolerance });
    const [a, b] = [bench.addFb(1), bench.addFb(2)];
    bench.flip(a, 0);
    bench.flip(b, PERIOD + 0.7);
    bench.vblanks(2);
    assert.is(bench.happened().includes('2 complete'), expected === 1);
  }
});

test('a flip whose render failed ends with that errno and its predecessor stays', () => {
  const bench = new TestBench();
  const [a, b, c] = [bench.addFb(1), bench.addFb(2), bench.addFb(3)];
  bench.flip(a);
  bench.vblanks(1);
  bench.crtc.failed(
    bench.job(
      { kind: 'flip', fb: b, at: undefined, start: false, async: false, payload: undefined },
      -errno.EIO,
    ),
  );
  bench.vblanks(3);
  // Its memory is free from here on: a run of failed frames would else wait for itself.
  assert.equal(bench.happened(), ['1 complete', '2 EIO', '2 release', '1 release']);
  assert.is(bench.onScreen, a);
  assert.is(bench.register(REG.FAILED), 1);
  bench.flip(c);
  bench.vblanks(1);
  assert.equal(bench.happened(), ['3 complete']);
});

test('a flip that is shown after one behind it has failed does not hold its framebuffer', () => {
  const bench = new TestBench();
  const [a, b] = [bench.addFb(1), bench.addFb(2)];
  bench.flip(a);
  bench.crtc.failed(
    bench.job(
      { kind: 'flip', fb: b, at: undefined, start: false, async: false, payload: undefined },
      -errno.EIO,
    ),
  );
  assert.equal(bench.happened(), ['2 EIO', '2 release']);
  bench.vblanks(1);
  assert.equal(bench.happened(), ['1 complete', '1 release']);
  assert.is(bench.onScreen, a);
});

test('a late wake-up counts the vblanks that it slept through and drifts by nothing', () => {
  const bench = new TestBench();
  bench.flip(bench.addFb(1));
  bench.vblanks(1);
  const shown = bench.time;
  bench.after(10 * PERIOD + 7);
  assert.is(bench.double(REG.MISSED), 9);
  assert.is(bench.double(REG.VBLANKS), 11);
  assert.is(bench.crtc.tick(bench.time), shown + 11 * PERIOD);
  assert.equal(
    bench.kinds('VBLANK').map(({ seqno, a }) => [seqno, a]),
    [
      [1, 0],
      [11, 9],
    ],
  );
});

test('flip lateness is the time from the vblank to the flip', () => {
  const bench = new TestBench();
  bench.flip(bench.addFb(1));
  bench.after(PERIOD + 0.25);
  const { count, max } = new LatenessHistogram(bench.words, REG.LATENESS).summary();
  assert.is(count, 1);
  assert.is(max, 0.25);
  assert.is(bench.double(REG.FIRST_FLIP), bench.time);
  assert.is(bench.double(REG.LAST_FLIP), bench.time);
});

test('a trace record of a flip names the vblank, the context and the payload or the seqno', () => {
  const bench = new TestBench();
  const [a, b] = [bench.addFb(1), bench.addFb(2)];
  bench.flip(a);
  bench.vblanks(1);
  bench.flip(b, undefined, { payload: 4711 });
  bench.vblanks(2);
  assert.equal(
    bench.kinds('FLIP').map(({ seqno, a: context, b: flip }) => [seqno, context, flip]),
    [
      [1, 9, 1],
      [2, 9, 4711],
    ],
  );
});

test('vblanks are kept in the midst of a long batch of jobs', () => {
  const bench = new TestBench();
  const [a, b] = [bench.addFb(1), bench.addFb(2)];
  bench.flip(a, 0);
  bench.time += PERIOD;
  bench.flip(b, 5 * PERIOD);
  assert.equal(bench.happened(), ['1 complete'], 'shown without a tick');
});

test('in max flips are shown at once, in order, none is dropped, and no vblank runs', () => {
  const bench = new TestBench({ speed: 'max' });
  const fbs = [1, 2, 3].map((ino) => bench.addFb(ino));
  for (const [i, fb] of fbs.entries()) bench.flip(fb, i * 1e6);
  assert.equal(bench.happened(), [
    '1 complete',
    '2 complete',
    '1 release',
    '3 complete',
    '2 release',
  ]);
  assert.is(bench.crtc.tick(bench.time), Infinity);
  assert.is(bench.double(REG.VBLANKS), 0);
  assert.is(bench.register(REG.DROPPED), 0);
  assert.is(bench.onScreen, fbs[2]);
});

test('disable lets go of what is on screen, takes back what is queued, and stops vblanks', () => {
  const bench = new TestBench();
  const [a, b, c] = [bench.addFb(1), bench.addFb(2), bench.addFb(3)];
  bench.flip(a, 0);
  bench.vblanks(1);
  bench.flip(b, 1000);
  bench.modeset([320, 240, 60_000]);
  bench.happened();
  bench.crtc.ioctl('DISABLE', 4);
  assert.equal(bench.happened(), [
    '2 ECANCELED',
    '2 release',
    '3 ECANCELED',
    '3 release',
    '1 release',
  ]);
  assert.is(bench.crtc.tick(bench.time), Infinity);
  assert.is(bench.onScreen, 0);
  bench.flip(c, 2000);
  assert.equal(bench.happened(), ['4 ECANCELED', '4 release'], 'queued before, ready only now');
  assert.is(bench.register(REG.ACTIVE), 0);
  assert.is(bench.register(REG.CANCELLED), 2);
  bench.flip(c, 7000);
  bench.vblanks(1);
  assert.equal(
    bench.happened(),
    ['5 complete'],
    'a later flip turns it on, with an epoch of its own',
  );
});

test('vblank numbers go on after off and on', () => {
  const bench = new TestBench();
  const a = bench.addFb(1);
  bench.flip(a);
  bench.vblanks(3);
  bench.crtc.disable(1);
  bench.time += 1e6;
  bench.flip(a);
  bench.vblanks(1);
  assert.equal(
    bench.kinds('VBLANK').map(({ seqno }) => seqno),
    [1, 2, 3, 4],
  );
  assert.is(bench.double(REG.MISSED), 0);
});

test('a modeset waits for the flips before it, and flips after it wait for it', () => {
  const bench = new TestBench();
  const [a, b, big] = [bench.addFb(1), bench.addFb(2), bench.addFb(3, 800, 600)];
  bench.flip(a, 0);
  bench.flip(b, 2 * PERIOD);
  bench.modeset([800, 600, 100_000], big);
  bench.flip(big, 4 * PERIOD);
  bench.vblanks(2);
  assert.equal(bench.happened(), ['1 complete']);
  assert.is(bench.register(REG.HDISPLAY), 640);
  bench.vblanks(1);
  assert.equal(bench.happened(), ['2 complete', '1 release', '3 complete', '2 release']);
  assert.is(bench.register(REG.HDISPLAY), 800);
  assert.is(bench.crtc.tick(bench.time), bench.time + 10, 'at the new rate');
  bench.vblanks(4);
  assert.equal(bench.happened(), ['4 complete', '3 release']);
});

test('a modeset without a framebuffer keeps what is on screen, if that covers the mode', () => {
  const bench = new TestBench();
  bench.flip(bench.addFb(1));
  bench.vblanks(1);
  bench.modeset([320, 240, 50_000]);
  bench.modeset([1920, 1080, 50_000]);
  assert.equal(bench.happened(), [
    '1 complete',
    '2 complete',
    '2 release',
    '3 ENOSPC',
    '3 release',
  ]);
  assert.is(bench.register(REG.HDISPLAY), 320);
});

test('a modeset of a display that is off leaves it off', () => {
  const bench = new TestBench();
  bench.modeset([320, 240, 50_000]);
  assert.equal(bench.happened(), ['1 complete', '1 release']);
  assert.is(bench.crtc.tick(bench.time), Infinity);
});

test('a modeset out of range ends with EINVAL and changes nothing', () => {
  const bench = new TestBench();
  bench.modeset([16, 16, 50_000]);
  assert.equal(bench.happened(), ['1 EINVAL', '1 release']);
  assert.is(bench.register(REG.HDISPLAY), 640);
});

test('removing a framebuffer waits for its flips and turns the CRTC off if it is shown', () => {
  const bench = new TestBench();
  const a = bench.addFb(1);
  bench.flip(a, 0);
  bench.remove(a);
  assert.equal(bench.happened(), []);
  bench.vblanks(1);
  assert.equal(bench.happened(), ['1 complete', '1 release', '2 complete', '2 release']);
  assert.is(bench.onScreen, 0);
  assert.is(bench.framebuffers.find(a), undefined);
  assert.is(bench.crtc.tick(bench.time), Infinity);
});

test('a flip to a framebuffer that is gone, too small, or of another buffer fails and is counted', () => {
  const bench = new TestBench();
  const [gone, small, other] = [bench.addFb(1), bench.addFb(2, 320, 200), bench.addFb(3)];
  bench.framebuffers.remove(gone);
  bench.flip(gone);
  bench.flip(small);
  const job = bench.job({
    kind: 'flip',
    fb: other,
    at: undefined,
    start: false,
    async: false,
    payload: undefined,
  });
  bench.crtc.run({ ...job, buffers: [{ record: { ino: 99 } }] });
  assert.equal(bench.happened(), [
    '1 ENOENT',
    '1 release',
    '2 ENOSPC',
    '2 release',
    '3 EINVAL',
    '3 release',
  ]);
  assert.is(bench.register(REG.FAILED), 3);
  assert.is(bench.register(REG.ACTIVE), 0, 'they do not turn the display on');
});

test('a new sequence starts with an epoch of its own, behind the one before it', () => {
  const bench = new TestBench();
  const [a, b, c] = [bench.addFb(1), bench.addFb(2), bench.addFb(3)];
  bench.flip(a, 0);
  bench.flip(b, PERIOD);
  bench.flip(c, 0, { start: true });
  bench.flip(a, 2 * PERIOD);
  bench.vblanks(2);
  assert.equal(bench.happened(), ['1 complete', '2 complete', '1 release']);
  bench.vblanks(1);
  assert.equal(bench.happened(), ['3 complete', '2 release']);
  bench.vblanks(1);
  assert.equal(bench.happened(), []);
  bench.vblanks(1);
  assert.equal(bench.happened(), ['4 complete', '3 release']);
});

test('when the flip that starts a sequence fails, the next one starts it', () => {
  const bench = new TestBench();
  const [a, b] = [bench.addFb(1), bench.addFb(2)];
  bench.flip(a, 1000);
  bench.vblanks(1);
  const first = {
    kind: 'flip',
    fb: b,
    at: 0,
    start: true,
    async: false,
    payload: undefined,
  } as const;
  bench.crtc.failed(bench.job(first, -errno.EIO));
  bench.flip(b, PERIOD);
  bench.vblanks(1);
  assert.equal(bench.happened(), ['1 complete', '2 EIO', '2 release', '1 release', '3 complete']);
});

test('what is no command is EINVAL, and an unknown ioctl ENOTTY', () => {
  const bench = new TestBench();
  const job = bench.job({ kind: 'rmfb', fb: 1 });
  const code = (run: () => void): string => {
    try {
      run();
    } catch (error) {
      if (error instanceof DmaBufError) return error.code;
    }
    return 'nothing';
  };
  for (const payload of [0, -1, 1.5, 'flip', null, [], [1, 2], [2, 1, 1, 1, -1], { fb: 1 }]) {
    assert.is(
      code(() => bench.crtc.run({ ...job, payload })),
      'EINVAL',
    );
  }
  assert.is(
    code(() => bench.crtc.ioctl('SETGAMMA', 1)),
    'ENOTTY',
  );
  assert.is(
    code(() => bench.crtc.ioctl('DISABLE', 'now')),
    'EINVAL',
  );
  assert.equal(bench.happened(), []);
});

test('a flip that is due but for rounding has its vblank met exactly too', () => {
  const bench = new TestBench({ spin: 0.5 });
  const [a, b] = [bench.addFb(1), bench.addFb(2)];
  bench.flip(a, 0);
  bench.flip(b, PERIOD + 0.001);
  const next = bench.after(PERIOD);
  assert.equal(bench.happened(), ['1 complete']);
  assert.ok(next < bench.time + PERIOD - 0.1, 'woken ahead of it');
});

test('with a busy wait a vblank with a flip is met exactly, and one without is not waited for', () => {
  const bench = new TestBench({ spin: 0.5 });
  let reads = 0;
  // Time that passes by looking at it: 0.01 ms a look.
  Object.defineProperty(bench, 'time', {
    configurable: true,
    get: () => 1000 + 0.01 * reads++,
  });
  bench.flip(bench.addFb(1));
  const wake = bench.crtc.tick(bench.time);
  const due = wake + 0.25;
  reads = Math.ceil((wake - 1000) / 0.01);
  const next = bench.crtc.tick(bench.time);
  assert.equal(bench.happened(), ['1 complete'], 'woken ahead of the vblank, shown at it');
  assert.ok(1000 + 0.01 * reads >= due);
  assert.ok(
    Math.abs(next - due - PERIOD) < 1e-6,
    'nothing is due then: woken at the vblank itself',
  );
});

test.run();
