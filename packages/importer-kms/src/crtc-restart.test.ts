/** A CRTC worker that dies, and its next life on the same registers (design D11). */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { CrtcState, type CrtcTiming } from './crtc-state.js';
import { PERIOD, TestBench } from './crtc.test-helper.js';
import { DyingWords } from './dying-words.test-helper.js';
import { REG, registerWords, TIMING } from './registers.js';

test('the picture stays, and the next flip replaces it', () => {
  const bench = new TestBench();
  const [a, b] = [bench.addFb(1), bench.addFb(2)];
  bench.flip(a);
  bench.vblanks(1);
  bench.restart();
  assert.is(bench.onScreen, a);
  assert.is(bench.register(REG.ACTIVE), 1);
  bench.happened();
  bench.flip(b);
  bench.vblanks(1);
  // What held a was released with the dead: there is nothing to release twice.
  assert.equal(bench.happened(), ['2 complete']);
  assert.is(bench.onScreen, b);
});

test('vblanks go on in the same beat, and those of the time between are missed ones', () => {
  const bench = new TestBench();
  bench.flip(bench.addFb(1));
  bench.vblanks(3);
  const beat = bench.time;
  assert.is(bench.register(REG.SEQUENCE), 3);
  bench.time += 2.25 * PERIOD;
  bench.restart();
  assert.is(bench.crtc.tick(bench.time), beat + 3 * PERIOD);
  assert.is(bench.register(REG.SEQUENCE), 5);
  assert.is(bench.double(REG.VBLANKS), 5);
  assert.is(bench.double(REG.MISSED), 1);
});

test('the count of vblanks goes on from where it was off', () => {
  const bench = new TestBench();
  const a = bench.addFb(1);
  bench.flip(a);
  bench.vblanks(4);
  bench.crtc.disable(0);
  bench.restart();
  assert.is(bench.register(REG.ACTIVE), 0);
  assert.is(bench.onScreen, 0);
  assert.is(bench.crtc.tick(bench.time), Infinity);
  bench.time += 1000;
  bench.flip(a);
  bench.vblanks(1);
  assert.is(bench.register(REG.SEQUENCE), 5);
});

test('present times go on counting from the same epoch', () => {
  const bench = new TestBench();
  const [a, b] = [bench.addFb(1), bench.addFb(2)];
  bench.flip(a, 5000);
  bench.vblanks(1);
  bench.restart();
  bench.happened();
  bench.flip(b, 5000 + 3 * PERIOD);
  bench.vblanks(2);
  assert.equal(bench.happened(), []);
  bench.vblanks(1);
  assert.equal(bench.happened(), ['2 complete']);
});

test('a sequence whose start was lost is started by the flip after it', () => {
  const bench = new TestBench();
  const [a, b, c] = [bench.addFb(1), bench.addFb(2), bench.addFb(3)];
  bench.flip(a, 0);
  bench.vblanks(1);
  bench.flip(b, 2 * PERIOD);
  bench.flip(c, 90_000, { start: true }); // b will come again, this one not: it was in hand
  assert.is(bench.register(REG.START_LOST), 3);
  bench.restart();
  bench.happened();
  bench.again(
    { kind: 'flip', fb: b, at: 2 * PERIOD, start: false, async: false, payload: undefined },
    2,
  );
  bench.vblanks(2);
  assert.equal(bench.happened(), ['2 complete'], 'it stood before the start: by the old epoch');
  bench.flip(a, 90_000 + PERIOD);
  bench.vblanks(1);
  assert.equal(bench.happened(), ['4 complete', '2 release'], 'not in 90 s, as by the old epoch');
  bench.restart();
  bench.flip(b, 90_000 + 3 * PERIOD);
  bench.vblanks(1);
  assert.equal(bench.happened(), [], 'and this sequence is the one that goes on');
  bench.vblanks(1);
  assert.equal(bench.happened(), ['5 complete']);
});

test('a start that waited for earlier flips comes again itself, once', () => {
  const bench = new TestBench();
  const [a, b, c] = [bench.addFb(1), bench.addFb(2), bench.addFb(3)];
  bench.flip(a, 0);
  bench.vblanks(1);
  bench.flip(b, 2 * PERIOD);
  bench.flip(c, 90_000, { start: true });
  bench.restart();
  bench.happened();
  bench.again(
    { kind: 'flip', fb: b, at: 2 * PERIOD, start: false, async: false, payload: undefined },
    2,
  );
  bench.again(
    { kind: 'flip', fb: c, at: 90_000, start: true, async: false, payload: undefined },
    3,
  );
  bench.flip(a, 90_000 + 2 * PERIOD);
  bench.vblanks(2);
  bench.vblanks(1);
  assert.equal(bench.happened(), ['2 complete', '3 complete', '2 release']);
  bench.vblanks(2);
  assert.equal(bench.happened(), ['4 complete', '3 release']);
  assert.is(bench.register(REG.START_LOST), 0);
});

test('a start that was carried out is not carried out again', () => {
  const bench = new TestBench();
  const [a, b] = [bench.addFb(1), bench.addFb(2)];
  bench.flip(a, 700, { start: true });
  bench.vblanks(1);
  assert.is(bench.register(REG.START_LOST), 0);
  bench.restart();
  bench.happened();
  bench.flip(b, 700 + 2 * PERIOD);
  bench.vblanks(1);
  assert.equal(bench.happened(), []);
});

test('the mode that was set stays', () => {
  const bench = new TestBench();
  bench.modeset([320, 240, 100_000]);
  bench.restart();
  assert.equal(
    [REG.HDISPLAY, REG.VDISPLAY, REG.VREFRESH].map((word) => bench.register(word)),
    [320, 240, 100_000],
  );
  bench.flip(bench.addFb(1, 320, 240));
  assert.is(bench.crtc.tick(bench.time), bench.time + 10);
});

test('a mode that is set while the CRTC is off has its own rate', () => {
  const bench = new TestBench();
  bench.modeset([320, 240, 100_000]);
  bench.flip(bench.addFb(1, 320, 240));
  assert.is(bench.crtc.tick(bench.time), bench.time + 10);
});

test('flips that disable() took back stay taken back', () => {
  const bench = new TestBench();
  const a = bench.addFb(1);
  bench.crtc.disable(1);
  bench.restart();
  bench.flip(a);
  assert.equal(bench.happened(), ['1 ECANCELED', '1 release']);
  bench.flip(a);
  bench.vblanks(1);
  assert.equal(bench.happened(), ['2 complete']);
});

test('a death between any two stores of a state leaves the old one in force, whole', () => {
  const before: CrtcTiming = {
    hdisplay: 640,
    vdisplay: 480,
    vrefresh: 50_000,
    active: true,
    vrr: false,
    epoch: 1000.5,
    base: 7,
    presentEpoch: undefined,
  };
  const after = { ...before, hdisplay: 320, active: false, epoch: 9.25, base: 9, presentEpoch: 4 };
  for (let stores = 0; ; stores++) {
    const words = new DyingWords(new ArrayBuffer(registerWords(1) * 4));
    const state = new CrtcState(words, 0);
    assert.is(state.load(), undefined);
    state.save(before);
    words.left = stores;
    let died = false;
    try {
      state.save(after);
    } catch {
      died = true;
    }
    assert.equal(state.load(), died ? before : after, `after ${stores} stores`);
    if (died) continue;
    assert.ok(stores >= TIMING.WORDS - 3, 'every field was tried');
    return;
  }
});

test('a worker that dies amidst the framebuffers of the dead takes them off in its next life', () => {
  for (const removed of [false, true]) {
    const bench = new TestBench();
    const a = bench.addFb(1);
    bench.flip(a);
    bench.vblanks(1);
    bench.framebuffers.disown(0);
    if (removed) bench.framebuffers.remove(a);
    bench.restart();
    bench.after(0);
    assert.equal([bench.onScreen, bench.register(REG.ACTIVE)], [0, 0]);
    assert.is(bench.framebuffers.find(a), undefined);
  }
});

test.run();
