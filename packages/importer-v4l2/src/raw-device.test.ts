/**
 * The video device with no compression: raw pictures and Y4M streams on the OUTPUT queue.
 */
import { createHash } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { boot, type Machine } from '@dmabuf/core';
import { asNv12, pattern } from './codec/test/raw-clip.js';
import {
  v4l2,
  V4L2_BUF_TYPE_VIDEO_OUTPUT,
  V4L2_FMT_FLAG_COMPRESSED,
  VideoDevice,
} from './index.js';
import { V4l2Player } from './test/v4l2-player.js';

let machine: Machine;
test.before(async () => {
  machine = await boot({ drivers: [v4l2()] });
});
test.after(async () => {
  await machine.shutdown();
});

const W = 48;
const H = 34;
const pictures = Array.from({ length: 6 }, (_, i) => pattern(W, H, 3 * i));
const md5 = (data: Uint8Array): string => createHash('md5').update(data).digest('hex');
const md5s = pictures.map(({ data }) => md5(data));

test('raw formats are listed as what they are, with the bytes of a picture', () => {
  using video = VideoDevice.open(machine);
  const type = V4L2_BUF_TYPE_VIDEO_OUTPUT;
  const raw = video.enumFmt(type).filter(({ flags }) => (flags & V4L2_FMT_FLAG_COMPRESSED) === 0);
  assert.equal(
    raw.map(({ fourcc }) => fourcc),
    ['YU12', 'NV12'],
  );
  const format = video.sFmt({ type, pixelformat: 'NV12', width: W, height: H });
  assert.equal(format.planes, [{ sizeimage: (W * H * 3) / 2, bytesperline: W }]);
  assert.equal(video.gFmt(type).planes, format.planes);
});

for (const fourcc of ['YU12', 'NV12']) {
  test(`${fourcc} goes through queueDecode once its size is told`, async () => {
    using video = VideoDevice.open(machine);
    video.setFormat({ output: { fourcc }, capture: { width: W, height: H } });
    const size = (W * H * 3) / 2;
    const bitstream = machine.alloc(size);
    const capture = machine.alloc(size);
    for (const [timestamp, picture] of pictures.entries()) {
      const staging = bitstream.access({ write: true, discard: true });
      staging.bytes.set(fourcc === 'YU12' ? picture.data : asNv12(picture).data);
      staging.finish();
      const source = { buffer: bitstream, offset: 0, size };
      assert.is(await video.queueDecode({ bitstream: source, timestamp, capture }).settled(), 1);
      using reading = capture.access({ read: true });
      assert.is(md5(reading.bytes.subarray(0, size)), md5s[timestamp]);
      assert.equal([capture.metadata.width, capture.metadata.height], [W, H]);
    }
    bitstream.close();
    capture.close();
  });
}

test('the size outlives the worker, for the packets do not tell it', async () => {
  using video = VideoDevice.open(machine);
  video.setFormat({ output: { fourcc: 'YU12' }, capture: { width: W, height: H } });
  const size = (W * H * 3) / 2;
  const bitstream = machine.alloc(size);
  const capture = machine.alloc(size);
  const decode = async (timestamp: number): Promise<string> => {
    const staging = bitstream.access({ write: true, discard: true });
    staging.bytes.set(pictures[timestamp]?.data ?? []);
    staging.finish();
    const source = { buffer: bitstream, offset: 0, size };
    assert.is(await video.queueDecode({ bitstream: source, timestamp, capture }).settled(), 1);
    using reading = capture.access({ read: true });
    return md5(reading.bytes.subarray(0, size));
  };
  assert.is(await decode(0), md5s[0]);
  const { restarts } = machine.actorStats(video.actor);
  machine.resetDevice(video.actor, 'the test killed it');
  for (const start = performance.now(); machine.actorStats(video.actor).restarts === restarts;) {
    if (performance.now() - start > 30_000) throw new Error('it was not started again');
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
  assert.is(await decode(1), md5s[1]);
  bitstream.close();
  capture.close();
});

test('a Y4M stream plays by QBUF and DQBUF: it tells its size itself', () => {
  const line = Buffer.from(`YUV4MPEG2 W${W} H${H} F25:1\n`);
  const frame = Buffer.from('FRAME\n');
  const packets = pictures.map(({ data }, timestamp) => ({
    data: Buffer.concat(timestamp === 0 ? [line, frame, data] : [frame, data]),
    timestamp,
  }));
  const player = new V4l2Player(machine, 'YU12');
  player.play(packets);
  assert.equal(
    player.shown.map((shown) => shown.md5),
    md5s,
  );
  assert.equal(player.events, ['5:1', '2:0']);
  player.video.close();
});

test.run();
