/** Commits of several planes, on a CRTC without a machine. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PERIOD, TestBench } from './crtc.test-helper.js';
import { DRM_FORMAT_XRGB8888 } from './fourcc.js';
import { REG } from './registers.js';

/** A bench that is on, with a framebuffer of 640x480 on the primary plane. */
function started(): { bench: TestBench; screen: number } {
  const bench = new TestBench();
  const screen = bench.addFb(1);
  bench.flip(screen);
  bench.vblanks(1);
  bench.happened();
  return { bench, screen };
}

test('all planes of a commit change at one vblank, each job in the order of its seqno', () => {
  const { bench } = started();
  const [a, b] = [bench.addFb(2, 64, 64), bench.addFb(3, 64, 64)];
  bench.commit([bench.at(1, a), bench.at(2, b, { crtcX: 100 })]);
  assert.equal(bench.happened(), []);
  assert.equal([bench.shown(1).fb, bench.shown(2).fb], [0, 0]);
  bench.vblanks(1);
  assert.equal(bench.happened(), ['2 complete', '3 complete']);
  assert.equal([bench.shown(1).fb, bench.shown(2).fb, bench.shown(2).crtcX], [a, b, 100]);
});

test('each plane lets go of its buffer when that plane has moved on', () => {
  const { bench } = started();
  const fbs = [2, 3, 4, 5].map((ino) => bench.addFb(ino, 64, 64));
  const [a = 0, b = 0, c = 0, d = 0] = fbs;
  bench.commit([bench.at(1, a), bench.at(2, b)]);
  bench.vblanks(1);
  bench.happened();
  bench.commit([bench.at(2, c)]);
  bench.vblanks(1);
  assert.equal(bench.happened(), ['4 complete', '3 release']);
  bench.commit([bench.at(1, d)]);
  bench.vblanks(1);
  assert.equal(bench.happened(), ['5 complete', '2 release']);
  bench.crtc.disable(0);
  assert.equal(bench.happened(), ['1 release', '5 release', '4 release']);
});

test('a plane that is turned off lets go at that vblank', () => {
  const { bench } = started();
  const a = bench.addFb(2, 64, 64);
  bench.commit([bench.at(1, a)]);
  bench.vblanks(1);
  bench.happened();
  bench.commit([bench.at(1, 0)]);
  assert.equal(bench.happened(), []);
  bench.vblanks(1);
  assert.equal(bench.happened(), ['3 complete', '3 release', '2 release']);
  assert.is(bench.shown(1).fb, 0);
});

test('a plane that only moves keeps the hold that it has', () => {
  const { bench } = started();
  const a = bench.addFb(2, 64, 64);
  bench.commit([bench.at(1, a)]);
  bench.vblanks(1);
  bench.happened();
  bench.move(bench.at(1, a, { crtcX: 7 }));
  bench.vblanks(1);
  assert.equal(bench.happened(), ['3 complete', '3 release']);
  assert.equal([bench.shown(1).fb, bench.shown(1).crtcX], [a, 7]);
  bench.commit([bench.at(1, 0)]);
  bench.vblanks(1);
  assert.equal(bench.happened(), ['4 complete', '4 release', '2 release']);
});

test('of two commits that are due, the newer one drops the older if it replaces all of it', () => {
  const { bench } = started();
  const [a, b] = [bench.addFb(2, 64, 64), bench.addFb(3, 64, 64)];
  bench.commit([bench.at(1, a)]);
  bench.commit([bench.at(1, b)]);
  bench.vblanks(1);
  assert.equal(bench.happened(), ['2 ECANCELED', '2 release', '3 complete']);
  assert.is(bench.register(REG.DROPPED), 1);
});

test('and shows of the older what it does not replace', () => {
  const { bench } = started();
  const fbs = [2, 3, 4].map((ino) => bench.addFb(ino, 64, 64));
  const [a = 0, b = 0, c = 0] = fbs;
  bench.commit([bench.at(1, a), bench.at(2, b)]);
  bench.commit([bench.at(2, c)]);
  bench.vblanks(1);
  assert.equal(bench.happened(), ['2 complete', '3 complete', '3 release', '4 complete']);
  assert.equal([bench.shown(1).fb, bench.shown(2).fb], [a, c]);
  assert.is(bench.register(REG.DROPPED), 0);
});

test('a move behind a new framebuffer of the same plane is no reason to drop that', () => {
  const { bench } = started();
  const a = bench.addFb(2, 64, 64);
  bench.commit([bench.at(1, a)]);
  bench.move(bench.at(1, a, { crtcX: 9 }));
  bench.vblanks(1);
  assert.equal(bench.happened(), ['2 complete', '3 complete', '3 release']);
  assert.equal([bench.shown(1).fb, bench.shown(1).crtcX], [a, 9]);
  bench.commit([bench.at(1, 0)]);
  bench.vblanks(1);
  assert.equal(bench.happened(), ['4 complete', '4 release', '2 release']);
});

test('a flip of the primary plane does not undo a cursor that moves at the same vblank', () => {
  const { bench, screen } = started();
  const [cursor, next] = [bench.addFb(2, 64, 64), bench.addFb(3)];
  bench.commit([bench.at(3, cursor)]);
  bench.flip(next);
  bench.vblanks(1);
  assert.equal(bench.happened(), ['2 complete', '3 complete', '1 release']);
  assert.equal([bench.shown(0).fb, bench.shown(3).fb], [next, cursor]);
  assert.is.not(screen, next);
});

test('a member that fails takes the whole commit with it; what it was to replace stays', () => {
  const { bench } = started();
  const fbs = [2, 3, 4, 5].map((ino) => bench.addFb(ino, 64, 64));
  const [a = 0, b = 0, c = 0, d = 0] = fbs;
  bench.commit([bench.at(1, a), bench.at(2, b)]);
  bench.vblanks(1);
  bench.happened();
  const [first, part] = bench.commitJobs([bench.at(1, c), bench.at(2, d)]);
  if (first === undefined || part === undefined) throw new Error('two jobs');
  bench.crtc.run(first);
  bench.crtc.failed({ ...part, blocker: -5 });
  assert.equal(bench.happened(), [
    '4 EIO',
    '4 release',
    '5 EIO',
    '5 release',
    // As with a flip: a successor that failed ends the hold, the picture stays.
    '2 release',
    '3 release',
  ]);
  bench.vblanks(2);
  assert.equal([bench.shown(1).fb, bench.shown(2).fb], [a, b]);
  assert.is(bench.register(REG.FAILED), 1);
});

test('a move of a framebuffer that was never shown is skipped', () => {
  const { bench } = started();
  const [a, b] = [bench.addFb(2, 64, 64), bench.addFb(3, 64, 64)];
  bench.commit([bench.at(1, a)]);
  bench.vblanks(1);
  const [bad] = bench.commitJobs([bench.at(1, b)]);
  if (bad === undefined) throw new Error('a job');
  bench.crtc.failed({ ...bad, blocker: -5 });
  bench.move(bench.at(1, b, { crtcX: 50 }));
  bench.vblanks(1);
  assert.equal([bench.shown(1).fb, bench.shown(1).crtcX], [a, 0]);
});

test('a commit that was never submitted whole is given up, and so are its late parts', () => {
  const { bench } = started();
  const fbs = [2, 3, 4].map((ino) => bench.addFb(ino, 64, 64));
  const [a = 0, b = 0, c = 0] = fbs;
  const jobs = bench.commitJobs([bench.at(1, a), bench.at(2, b), bench.at(3, c)]);
  const [first, second, third] = jobs;
  if (first === undefined || second === undefined || third === undefined) throw new Error('three');
  bench.crtc.run(first);
  bench.crtc.run(second);
  bench.after(PERIOD);
  assert.equal(bench.happened(), []);
  bench.words.store(REG.BROKEN_SEQNO, first.seqno); // as its submitter, or who buries that, says
  bench.after(0);
  assert.equal(bench.happened(), ['2 ECANCELED', '2 release', '3 ECANCELED', '3 release']);
  bench.crtc.run(third);
  assert.equal(bench.happened(), ['4 ECANCELED', '4 release']);
  bench.vblanks(1);
  assert.is(bench.shown(1).fb, 0);
});

test('a commit whose next job is none of its own is given up', () => {
  const { bench } = started();
  const [a, b] = [bench.addFb(2, 64, 64), bench.addFb(3, 64, 64)];
  const [first] = bench.commitJobs([bench.at(1, a), bench.at(2, b)]);
  if (first === undefined) throw new Error('a job');
  bench.crtc.run(first);
  bench.commit([bench.at(1, b)]);
  assert.equal(bench.happened(), ['2 ECANCELED', '2 release']);
  bench.vblanks(1);
  assert.is(bench.shown(1).fb, b);
});

test('a worker that dies over a part fails that commit in its next life, and shows the ones after it', () => {
  const { bench } = started();
  const [a, b] = [bench.addFb(2, 64, 64), bench.addFb(3, 64, 64)];
  const updates = [bench.at(1, a), bench.at(2, b)];
  const [first, part] = bench.commitJobs(updates);
  if (first === undefined || part === undefined) throw new Error('two jobs');
  bench.crtc.run(first);
  bench.words.store(REG.IN_HAND, part.seqno); // it was taking this one
  bench.restart();
  bench.happened();
  bench.crtc.run(first); // comes again
  bench.after(0);
  assert.equal(bench.happened(), ['2 EOWNERDEAD', '2 release']);
  bench.commit(updates);
  bench.vblanks(1);
  assert.equal(bench.happened(), ['4 complete', '5 complete']);
});

test('what planes show is known to the next life, though nobody holds it', () => {
  const { bench, screen } = started();
  const a = bench.addFb(2, 64, 64);
  bench.commit([bench.at(1, a, { crtcX: 5 })]);
  bench.vblanks(1);
  bench.restart();
  assert.equal([bench.shown(0).fb, bench.shown(1).fb, bench.shown(1).crtcX], [screen, a, 5]);
});

test('a commit with a mode waits for the flips before it and is shown at once then', () => {
  const { bench, screen } = started();
  const [a, big] = [bench.addFb(2, 64, 64), bench.addFb(3, 800, 600)];
  bench.flip(screen);
  const mode = { active: true, hdisplay: 800, vdisplay: 600, vrefresh: 50_000, refit: false };
  const size = { crtcW: 800, crtcH: 600, srcW: 800 << 16, srcH: 600 << 16 };
  bench.commit([bench.at(0, big, size), bench.at(1, a)], { mode });
  assert.is(bench.register(REG.HDISPLAY), 640);
  bench.vblanks(1);
  assert.equal(bench.happened(), [
    '2 complete',
    '1 release',
    '3 complete',
    '4 complete',
    '2 release',
  ]);
  assert.equal([bench.register(REG.HDISPLAY), bench.shown(0).fb], [800, big]);
});

test('ACTIVE 0 stops vblanks and keeps the planes and their holds; ACTIVE 1 brings the picture back', () => {
  const { bench, screen } = started();
  const mode = { hdisplay: 640, vdisplay: 480, vrefresh: 50_000, refit: false };
  bench.commit([], { mode: { ...mode, active: false } });
  assert.equal(bench.happened(), ['2 complete', '2 release']);
  assert.is(bench.register(REG.ACTIVE), 0);
  assert.is(bench.crtc.tick(bench.time), Infinity);
  assert.is(bench.onScreen, screen);
  bench.commit([], { mode: { ...mode, active: true } });
  assert.is(bench.register(REG.ACTIVE), 1);
  const next = bench.addFb(2);
  bench.happened();
  bench.flip(next);
  bench.vblanks(1);
  assert.equal(bench.happened(), ['4 complete', '1 release']);
});

test('a commit to a CRTC that is off changes its planes at once', () => {
  const bench = new TestBench();
  const a = bench.addFb(2, 64, 64);
  bench.commit([bench.at(1, a)]);
  assert.equal(bench.happened(), ['1 complete']);
  assert.is(bench.shown(1).fb, a);
  assert.is(bench.register(REG.ACTIVE), 0);
});

test('a source beyond its framebuffer, or a buffer that is not claimed, fails and shows nothing', () => {
  const { bench } = started();
  const a = bench.addFb(2, 64, 64);
  bench.commit([bench.at(1, a, { srcX: 1 << 16 })]);
  assert.equal(bench.happened(), ['2 ENOSPC', '2 release']);
  const [job] = bench.commitJobs([bench.at(1, a)]);
  if (job === undefined) throw new Error('a job');
  bench.crtc.run({ ...job, buffers: [{ record: { ino: 77 } }] });
  assert.equal(bench.happened(), ['3 EINVAL', '3 release']);
  bench.vblanks(1);
  assert.is(bench.shown(1).fb, 0);
});

test('removing a framebuffer turns its planes off; only the primary plane takes the CRTC along', () => {
  const { bench, screen } = started();
  const a = bench.addFb(2, 64, 64);
  bench.commit([bench.at(1, a), bench.at(3, a)]);
  bench.vblanks(1);
  bench.happened();
  bench.remove(a);
  assert.equal(bench.happened(), ['2 release', '3 release', '4 complete', '4 release']);
  assert.equal([bench.shown(1).fb, bench.shown(3).fb, bench.register(REG.ACTIVE)], [0, 0, 1]);
  bench.remove(screen);
  assert.equal([bench.onScreen, bench.register(REG.ACTIVE)], [0, 0]);
});

test('disable() takes a commit back with all its jobs', () => {
  const { bench } = started();
  const [a, b] = [bench.addFb(2, 64, 64), bench.addFb(3, 64, 64)];
  bench.commit([bench.at(1, a), bench.at(2, b)]);
  bench.crtc.disable(3);
  const taken = ['2 ECANCELED', '2 release', '3 ECANCELED', '3 release'];
  assert.equal(bench.happened(), [...taken, '1 release']);
  assert.is(bench.register(REG.CANCELLED), 1);
});

test('an async flip is shown at once and lets go of its predecessor; behind a pending one it waits', () => {
  const { bench, screen } = started();
  const [a, b] = [bench.addFb(2), bench.addFb(3)];
  bench.time += 3;
  bench.flip(a, undefined, { async: true });
  assert.equal(bench.happened(), ['2 complete', '1 release']);
  assert.is(bench.onScreen, a);
  bench.flip(b);
  bench.flip(screen, undefined, { async: true });
  assert.equal(bench.happened(), []);
  bench.vblanks(1);
  assert.equal(bench.happened(), ['3 ECANCELED', '3 release', '4 complete', '2 release']);
});

test("framebuffers of a dead owner's go at once, with the flips that wait to show them", () => {
  const { bench, screen } = started();
  const shape = { width: 640, height: 480, fourcc: DRM_FORMAT_XRGB8888, pitches: [2560] };
  const add = (ino: number): number =>
    bench.framebuffers.add({ ino, pointer: 0, offsets: [0], ...shape }, 9);
  const [shown, waiting] = [add(2), add(3)];
  bench.commit([bench.at(1, shown)]);
  bench.vblanks(1);
  bench.flip(waiting);
  bench.flip(screen);
  bench.happened();
  assert.is(bench.framebuffers.disown(9), true);
  bench.words.store(REG.DOOMED, 1);
  bench.after(0);
  assert.equal(bench.happened(), ['3 ENOENT', '3 release', '1 release', '2 release']);
  assert.equal([bench.shown(1).fb, bench.onScreen, bench.register(REG.ACTIVE)], [0, screen, 1]);
  assert.equal(
    [bench.framebuffers.find(shown), bench.framebuffers.find(waiting)],
    [undefined, undefined],
  );
  bench.vblanks(1);
  assert.equal(bench.happened(), ['4 complete']);
  assert.is(bench.register(REG.REAPED), 1);
});

test.run();
