/**
 * Damage, and several files of one device at once: what goes wrong with one frame stays with it.
 */
import type { Fence } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { codecOf } from './codec/index.js';
import {
  AV1_CLIP,
  CHANGING_CLIP,
  damagePackets,
  feed,
  frameMd5s,
  hasClip,
  loadClip,
  pictureMd5,
  REFUSED_CLIPS,
  STEADY_CLIPS,
  type Clip,
} from './codec/test/clips.js';
import { VideoDevice } from './index.js';
import { Bench, largestPicture, Queued, stage } from './test/playback.js';

const seed = Number(process.env['DMABUF_SEED'] ?? Date.now() % 1_000_000);
console.log(`seed ${seed} (DMABUF_SEED=${seed} repeats this run)`);

const EIO = -5;
/** A fence that failed so long ago that its context has forgotten how (it keeps ten errors). */
const ESTALE = -116;

let bench: Bench;
test.before(async () => {
  bench = await Bench.boot();
});
test.after(async () => {
  await bench[Symbol.asyncDispose]();
});

/** What a decoder makes of packets that were damaged in the same way: MD5s of sound pictures. */
async function bareMd5s(clip: Clip): Promise<Map<number, string>> {
  const decoder = await codecOf(clip.fourcc).open();
  const found = new Map<number, string>();
  const packets = clip.packets.filter(({ data }) => data.length > 0);
  await feed(decoder, packets, ({ pictures }) => {
    for (const picture of pictures) {
      if (!picture.damaged) found.set(picture.timestamp, pictureMd5(picture));
    }
  });
  await decoder.close();
  return found;
}

for (const name of [
  ...['dog-h264-tiny.mp4', 'dog-vp9-tiny.webm', 'dog-vp8.webm'],
  ...[...STEADY_CLIPS, CHANGING_CLIP, AV1_CLIP],
]) {
  const title = `30 % of ${name} damaged: every fence signals, what is flagged good is, no buffer is lost`;
  if (!hasClip(name)) {
    test.skip(title, () => {});
    continue;
  }
  test(title, async () => {
    const original = await loadClip(name);
    const clip = { ...original, packets: damagePackets(original.packets, seed).packets };
    const before = bench.machine.stats();
    const queued = new Queued(bench, clip, { bytes: largestPicture(original), original });
    const { statuses, frames, stats } = await queued.finish();
    assert.ok([...statuses.values()].every((status) => status !== 0));
    const expected = await bareMd5s(clip);
    for (const [timestamp, { md5, error }] of frames) {
      // A damaged size may not fit its buffer, which ends the stream: later ones are cancelled.
      const ended = error !== 0 && error !== EIO;
      if (!ended) assert.is(md5, expected.get(timestamp), `frame ${timestamp}`);
      const status = statuses.get(timestamp);
      if (status === ESTALE) continue;
      assert.is(status, error === 0 ? 1 : error, `fence of frame ${timestamp}`);
    }
    const { packets, decoded, errors, hidden, dropped } = stats;
    assert.is(packets, decoded + errors + hidden + dropped);
    // A decoder may conceal all of it: then what it gave out is what the bare one gives.
    console.log(`# ${errors} errors`);
    console.log(`${name}: ${packets} packets, ${decoded} good, ${errors} ERROR, ${hidden} hidden`);
    const after = bench.machine.stats();
    assert.is(after.buffers, before.buffers);
    assert.is(after.bytes, before.bytes);
  });
}

for (const name of REFUSED_CLIPS) {
  const title = `30 % of ${name}, which is refused, damaged: every fence signals, and nothing is lost`;
  if (!hasClip(name)) {
    test.skip(title, () => {});
    continue;
  }
  test(title, async () => {
    const { machine } = bench;
    const original = await loadClip(name);
    const clip = { ...original, packets: damagePackets(original.packets, seed).packets };
    const before = machine.stats();
    const video = VideoDevice.open(machine);
    video.setFormat({ output: { fourcc: clip.fourcc } });
    const { buffer, offsets } = stage(machine, clip);
    const frames = [0, 1, 2, 3].map(() => machine.alloc(1 << 20));
    const fences: Fence[] = [];
    let refused = 0;
    for (const [i, { data }] of clip.packets.entries()) {
      const bitstream = { buffer, offset: offsets[i] ?? 0, size: data.length };
      const capture = frames[i % frames.length];
      if (capture === undefined || data.length === 0) continue;
      try {
        fences.push(video.queueDecode({ bitstream, timestamp: i, capture }));
      } catch {
        refused++; // once the stream is known for what it is
      }
    }
    for (const fence of fences) assert.is.not(await fence.settled(), 0);
    const { actor } = machine.device('/dev/video0');
    console.log(`${name}: ${fences.length} packets queued, ${refused} refused`);
    assert.is(machine.actorStats(actor).lastDeath, '');
    video.close();
    for (const one of [buffer, ...frames]) one.close();
    for (let i = 0; i < 1000 && machine.stats().buffers > before.buffers; i++) {
      await new Promise((resolve) => {
        setTimeout(resolve, 2);
      });
    }
    assert.is(machine.stats().buffers, before.buffers);
  });
}

test('one lost packet costs its frame and those that refer to it, up to the next key frame', async () => {
  const name = 'dog-h264-tiny.mp4';
  const original = await loadClip(name);
  const packets = original.packets.map(({ data, timestamp }) => ({
    data: timestamp === 5 ? data.slice(0, 6) : data,
    timestamp,
  }));
  const next = original.packets.findIndex(
    ({ data }, i) => i > 5 && codecOf('H264').inspect(data).keyframe,
  );
  const clip = { ...original, packets };
  const queued = new Queued(bench, clip, { bytes: largestPicture(original), original });
  const { statuses, frames } = await queued.finish();
  const expected = frameMd5s(name);
  for (const [timestamp, { md5, error }] of frames) {
    const spoilt = timestamp >= 5 && timestamp < next;
    const status = statuses.get(timestamp);
    if (status !== ESTALE) assert.is(status, spoilt ? EIO : 1, `fence ${timestamp}`);
    assert.is(error, spoilt ? EIO : 0, `reader of frame ${timestamp}`);
    assert.is(md5, spoilt ? undefined : expected[timestamp]);
  }
});

test('two files of one device decode at once, each as exactly as alone', async () => {
  const names = ['dog-h264-tiny.mp4', 'dog-vp9-tiny.webm'];
  const clips = await Promise.all(names.map(loadClip));
  const queued = clips.map(
    // Frames of both arrive at one reader: told apart by their numbers.
    (clip, file) => {
      const packets = clip.packets.map(({ data, timestamp }) => ({
        data,
        timestamp: timestamp + 1000 * file,
      }));
      return new Queued(bench, { ...clip, packets }, { bytes: largestPicture(clip) });
    },
  );
  const total = queued.reduce((sum, { fences }) => sum + fences.size, 0);
  const found: string[][] = [[], []];
  for (const { fences } of queued) for (const fence of fences.values()) await fence.settled();
  for (const { frame, md5 } of await bench.take(total)) {
    found[Math.floor(frame / 1000)]?.push(md5 ?? '-');
  }
  queued.forEach(({ video }, i) => {
    assert.equal(found[i], frameMd5s(names[i] ?? ''));
    assert.is(video.stats().errors, 0);
    video.close();
  });
});

test.run();
