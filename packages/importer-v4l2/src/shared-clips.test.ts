/**
 * The reference clips through one device: from two files at once, on one worker or two; those that no decoder
 * here handles are refused with the reason.
 */
import { readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  AV1_CLIP,
  CHANGING_CLIP,
  clipPath,
  frameMd5s,
  hasClip,
  loadClip,
  REFUSED_CLIPS,
  STEADY_CLIPS,
  type Clip,
} from './codec/test/clips.js';
import { v4l2, VideoDevice } from './index.js';
import { Bench, largestPicture, Queued } from './test/playback.js';

/** What built-in decoders handle. */
const DECODED = [...STEADY_CLIPS, CHANGING_CLIP];
/** What the message of a refusal names. */
const REASON = /profile/i;
/** Frames of the second file are told apart by their numbers. */
const SECOND = 10_000;

function renumbered(clip: Clip): Clip {
  const packets = clip.packets.map(({ data, timestamp }) => ({
    data,
    timestamp: timestamp + SECOND,
  }));
  return { ...clip, packets };
}

/** Plays `a` and `b` at the same time; MD5s of what each showed. */
async function together(bench: Bench, a: Clip, b: Clip): Promise<[string[], string[]]> {
  const queued = [a, renumbered(b)].map(
    (clip) => new Queued(bench, clip, { bytes: largestPicture(clip), depth: 2 }),
  );
  const found: [string[], string[]] = [[], []];
  let reads = 0;
  for (const { fences, video, shown } of queued) {
    for (const fence of fences.values()) await fence.settled();
    assert.is(video.stats().errors, 0);
    reads += shown;
  }
  for (const { frame, md5 } of await bench.take(reads)) {
    found[frame >= SECOND ? 1 : 0].push(md5 ?? '-');
  }
  for (const one of queued) one.close();
  return found;
}

test('every reference clip is decoded, refused with a reason, or of an optional decoder', () => {
  const name = DECODED[0] ?? '';
  if (!hasClip(name)) return; // says so
  const known = [...DECODED, AV1_CLIP, ...REFUSED_CLIPS].sort();
  const there = readdirSync(dirname(clipPath(name)));
  const clips = there.filter((file) => !/\.(md5|framemd5|json)$/.test(file)).sort();
  assert.equal(clips, known);
});

for (const name of DECODED) {
  const title = `${name} beside itself: each file decodes as exactly as alone`;
  if (!hasClip(name)) {
    test.skip(title, () => {});
    continue;
  }
  test(title, async () => {
    await using bench = await Bench.boot();
    const clip = await loadClip(name);
    const before = bench.machine.stats().buffers;
    const [a, b] = await together(bench, clip, clip);
    const expected = frameMd5s(name);
    assert.equal(a, expected);
    assert.equal(b, expected);
    assert.is(bench.machine.stats().buffers, before);
  });
}

for (const name of REFUSED_CLIPS) {
  const title = `${name} is refused, and the message says why and what to do`;
  if (!hasClip(name)) {
    test.skip(title, () => {});
    continue;
  }
  test(title, async () => {
    await using bench = await Bench.boot();
    const { fourcc, packets } = await loadClip(name);
    using video = VideoDevice.open(bench.machine);
    const header = packets[0]?.data.slice(0, 1000);
    assert.throws(
      () => video.setFormat({ output: { fourcc, ...(header && { header }) } }),
      (error: Error) => error.message.startsWith('EINVAL') && REASON.test(error.message),
    );
  });
}

test('two workers share the files; when one is killed, the file of the other goes on unharmed', async () => {
  await using bench = await Bench.boot({ drivers: [v4l2({ workers: 2 })] });
  const { machine } = bench;
  const name = 'dog-h264-tiny.mp4';
  const clip = await loadClip(name);
  const bytes = largestPicture(clip);
  const first = new Queued(bench, clip, { bytes, depth: 2 });
  const second = new Queued(bench, renumbered(clip), { bytes, depth: 2 });
  assert.is.not(first.video.actor, second.video.actor, 'each file has a worker of its own');
  machine.resetDevice(first.video.actor, 'the test killed it');
  const good = [...second.fences.values()];
  for (const fence of good) assert.is(await fence.settled(), 1);
  for (const fence of first.fences.values()) assert.is.not(await fence.settled(), 0);
  assert.is(second.video.stats().errors, 0);
  assert.is(machine.actorStats(second.video.actor).restarts, 0);
  const frames = await bench.take(first.shown + second.shown);
  const shown = frames.filter(({ frame }) => frame >= SECOND);
  assert.equal(
    shown.map(({ md5 }) => md5),
    frameMd5s(name),
  );
  const third = new Queued(bench, clip, { bytes, depth: 2 });
  for (const fence of third.fences.values()) assert.is(await fence.settled(), 1, 'it is back');
  await bench.take(third.shown);
  assert.is(machine.actorStats(first.video.actor).restarts, 1);
  for (const queued of [first, second, third]) queued.close();
});

test.run();
