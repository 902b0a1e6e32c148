/**
 * Decoding by the calls of V4L2 alone: QBUF, DQBUF, poll, events (dev-decoder.rst), from real clips to
 * the pictures that ffmpeg makes of them.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { boot, type Machine } from '@dmabuf/core';
import { frameMd5s, hasClip, loadClip } from './codec/test/clips.js';
import { v4l2 } from './index.js';
import { V4l2Player } from './test/v4l2-player.js';

let machine: Machine;
test.before(async () => {
  machine = await boot({ drivers: [v4l2()] });
});
test.after(async () => {
  await machine.shutdown();
});

for (const name of ['dog-h264-tiny.mp4', 'dog-vp9-tiny.webm', 'vp80-00-comprehensive-001.ivf']) {
  const title = `${name} by QBUF and DQBUF gives every picture, in order, then LAST and EOS`;
  if (!hasClip(name)) {
    test.skip(title, () => {});
    continue;
  }
  test(title, async () => {
    const clip = await loadClip(name);
    const player = new V4l2Player(machine, clip.fourcc);
    player.play(clip.packets);
    const { shown, events } = player;
    assert.equal(
      shown.map(({ md5 }) => md5),
      frameMd5s(name),
    );
    assert.equal(
      shown.map(({ timestamp }) => timestamp),
      shown.map(({ timestamp }) => timestamp).sort((a, b) => a - b),
    );
    assert.equal(events, ['5:1', '2:0']);
    assert.throws(() => player.takePicture(), /^EPIPE/);
    player.video.close();
  });
}

test('in three buffers a picture, and the multi-planar calls, it is the same', async () => {
  const name = 'dog-h264-tiny.mp4';
  const clip = await loadClip(name);
  const options = { multiplanar: true, pixelformat: 'YM12' };
  const player = new V4l2Player(machine, clip.fourcc, options);
  player.play(clip.packets);
  assert.is(player.video.querybuf(player.capture, 0).planes.length, 3);
  assert.equal(
    player.shown.map(({ md5 }) => md5),
    frameMd5s(name),
  );
  player.video.close();
});

test('a stream that changes its size plays through: event, LAST, new buffers', async () => {
  const name = 'resolution_change_500frames-vp9.ivf';
  if (!hasClip(name)) return; // says so
  const clip = await loadClip(name);
  const player = new V4l2Player(machine, clip.fourcc);
  player.play(clip.packets);
  const md5s = frameMd5s(name);
  assert.is(player.shown.length, md5s.length);
  assert.equal(
    player.shown.map(({ md5 }) => md5),
    md5s,
  );
  const sizes = new Set(player.shown.map(({ width }) => width));
  assert.ok(sizes.size > 1);
  const changes = player.events.filter((event) => event === '5:1').length;
  assert.ok(changes >= sizes.size);
  console.log(`${name}: ${changes} changes of size, ${player.shown.length} pictures`);
  player.video.close();
});

test.run();
