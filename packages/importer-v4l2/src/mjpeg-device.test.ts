/**
 * Motion JPEG through the video device, from AVI files: queued ahead, and by QBUF and DQBUF.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { aviFile, chunk } from './bitstream/test/avi-writer.js';
import { codecOf } from './codec/index.js';
import { frameMd5s, hasClip, loadClip, pictureMd5, random, type Clip } from './codec/test/clips.js';
import { randomBlocks, writeJpeg } from './codec/test/jpeg-writer.js';
import { parseAvi, V4L2_BUF_TYPE_VIDEO_OUTPUT, VideoDevice } from './index.js';
import { Bench, play } from './test/playback.js';
import { V4l2Player } from './test/v4l2-player.js';

let bench: Bench;
test.before(async () => {
  bench = await Bench.boot();
});
test.after(async () => {
  await bench[Symbol.asyncDispose]();
});

const SHARED = 'flower_mjpeg.avi';

/** A tiny clip of our own, as an AVI file has it: frames without Huffman tables. */
function ownClip(): Clip {
  const next = random(11);
  const fields = {
    width: 52,
    height: 38,
    sampling: [
      [2, 2],
      [1, 1],
      [1, 1],
    ],
  } as const;
  const frames = Array.from({ length: 8 }, () => {
    const blocks = fields.sampling.map((_, i) => randomBlocks(fields, i, next));
    return chunk('00dc', writeJpeg({ ...fields, blocks, withoutTables: true, restart: 2 }));
  });
  const file = parseAvi(aviFile({ width: 52, height: 38, rate: [25, 1] }, frames));
  const packets = file.frames.map(({ data, index }) => ({ data, timestamp: index }));
  return { name: 'generated', fourcc: file.fourcc, packets };
}

async function md5sOf(clip: Clip): Promise<string[]> {
  const decoder = await codecOf(clip.fourcc).open();
  const found: string[] = [];
  for (const packet of clip.packets) {
    const { pictures, fault } = await decoder.decode(packet);
    if (fault !== undefined) throw fault;
    found.push(...pictures.map(pictureMd5));
  }
  await decoder.close();
  return found;
}

test('ENUM_FMT lists both, the device takes both', () => {
  using video = VideoDevice.open(bench.machine);
  const listed = video.enumFmt(V4L2_BUF_TYPE_VIDEO_OUTPUT);
  for (const fourcc of ['MJPG', 'JPEG']) {
    assert.ok(listed.some((format) => format.fourcc === fourcc && format.available));
    assert.is(video.setFormat({ output: { fourcc } }).output?.fourcc, fourcc);
  }
});

test('an AVI of ours, queued ahead, comes out picture by picture', async () => {
  const clip = ownClip();
  const played = await play(bench, clip, 3);
  assert.equal(
    [...played.frames.values()].map(({ md5 }) => md5),
    await md5sOf(clip),
  );
  const [metadata] = [...played.frames.values()].map((frame) => frame.metadata);
  assert.equal([metadata?.width, metadata?.height], [52, 38]);
  assert.equal([metadata?.range, metadata?.matrix], ['full', 'bt601']);
});

test('a damaged frame fails with EIO, and costs no other', async () => {
  const clip = ownClip();
  const packets = clip.packets.map(({ data, timestamp }) =>
    timestamp === 3 ? { data: data.subarray(0, data.length >> 1), timestamp } : { data, timestamp },
  );
  const { statuses, frames } = await play(bench, { ...clip, packets }, 3);
  assert.equal(
    [...statuses.values()].map((status) => (status === 1 ? 'ok' : status)),
    ['ok', 'ok', 'ok', -5, 'ok', 'ok', 'ok', 'ok'],
  );
  const md5s = await md5sOf(clip);
  for (const [timestamp, { md5 }] of frames) {
    if (timestamp !== 3) assert.is(md5, md5s[timestamp]);
  }
});

test('by QBUF and DQBUF it is the same, then LAST and EOS', async () => {
  const clip = ownClip();
  const player = new V4l2Player(bench.machine, clip.fourcc);
  player.play(clip.packets);
  assert.equal(
    player.shown.map(({ md5 }) => md5),
    await md5sOf(clip),
  );
  assert.equal(player.events, ['5:1', '2:0']);
  player.video.close();
});

const title = `every frame of ${SHARED}, through the device, equals ffmpeg's`;
if (hasClip(SHARED)) {
  test(title, async () => {
    const clip = await loadClip(SHARED);
    const player = new V4l2Player(bench.machine, clip.fourcc);
    player.play(clip.packets);
    assert.equal(
      player.shown.map(({ md5 }) => md5),
      frameMd5s(SHARED),
    );
    player.video.close();
  });
} else test.skip(title, () => {});

test.run();
