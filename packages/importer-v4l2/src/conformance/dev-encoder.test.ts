// Linux, Documentation/userspace-api/media/v4l/dev-encoder.rst and v4l2-mem2mem.c: what a stateful encoder owes its
// application, as cases under names of our own.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { boot, type Machine } from '@dmabuf/core';
import { codecOf } from '../codec/index.js';
import { feed } from '../codec/test/clips.js';
import {
  EPOLLPRI,
  EncoderDevice,
  v4l2Encoder,
  V4L2_BUF_FLAG_ERROR,
  V4L2_CID_MPEG_VIDEO_BITRATE,
  V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME,
  V4L2_CID_MPEG_VIDEO_GOP_SIZE,
  V4L2_ENC_CMD_START,
  V4L2_ENC_CMD_STOP,
  V4L2_EVENT_EOS,
  type V4l2BufferInfo,
} from '../index.js';
import { type Coded, HEIGHT, picture, V4l2Encoder, WIDTH } from '../test/v4l2-encoder.js';

const STOP = { cmd: V4L2_ENC_CMD_STOP };
const START = { cmd: V4L2_ENC_CMD_START };
const LIMIT = 20_000;

let machine: Machine;
test.before(async () => {
  machine = await boot({ drivers: [v4l2Encoder()] });
});
test.after(async () => {
  await machine.shutdown();
});

/** Timestamps of the pictures that decoding packets gives; faults are thrown. */
async function decoded(fourcc: string, packets: readonly Coded[]): Promise<number[]> {
  const decoder = await codecOf(fourcc).open();
  const shown: number[] = [];
  await feed(decoder, packets, ({ pictures, fault }) => {
    if (fault !== undefined) throw fault;
    for (const { timestamp, width, height, damaged } of pictures) {
      assert.equal([width, height, damaged], [WIDTH, HEIGHT, false]);
      shown.push(timestamp);
    }
  });
  await decoder.close();
  return shown;
}

/** Encodes pictures one by one; `before` may change controls. Returns the packets. */
function oneByOne(
  run: V4l2Encoder,
  count: number,
  before: (i: number) => void = () => {},
): readonly Coded[] {
  for (let i = 0; i < count; i++) {
    before(i);
    run.feed(i);
    run.takePacket();
    run.takeOutput();
  }
  return run.packets;
}

const keys = (packets: readonly Coded[]): number[] =>
  packets.filter(({ key }) => key).map(({ timestamp }) => timestamp);
const isEmptyLast = (buffer: V4l2BufferInfo): boolean =>
  EncoderDevice.isLast(buffer) && buffer.planes[0]?.bytesused === 0;

for (const fourcc of ['VP80', 'VP90', 'MJPG']) {
  test(`round_trip: what is encoded to ${fourcc} decodes, from I420 and NV12`, async () => {
    for (const pixelformat of ['YU12', 'NV12'] as const) {
      const run = new V4l2Encoder(machine, fourcc, { pixelformat });
      run.encode(6);
      assert.equal(
        run.packets.map(({ timestamp }) => timestamp),
        [0, 1, 2, 3, 4, 5],
      );
      assert.ok(run.packets[0]?.key);
      assert.equal(await decoded(fourcc, run.packets), [0, 1, 2, 3, 4, 5]);
      assert.is(run.video.stats().errors, 0);
      run.close();
    }
  });
}

test('s_fmt_busy: formats are fixed while either queue has buffers', () => {
  const run = new V4l2Encoder(machine, 'VP80');
  const { video, output, capture } = run;
  video.streamoff(output);
  video.streamoff(capture);
  assert.throws(() => video.sFmt({ type: capture, pixelformat: 'VP90' }), /^EBUSY/);
  assert.throws(() => video.sFmt({ type: output, width: 32, height: 32 }), /^EBUSY/);
  video.reqbufs({ count: 0, type: output, memory: 1 });
  assert.throws(() => video.sFmt({ type: output, width: 32, height: 32 }), /^EBUSY.*CAPTURE has/);
  video.reqbufs({ count: 0, type: capture, memory: 1 });
  video.sFmt({ type: output, width: 32, height: 32 });
  assert.is(video.gFmt(capture).width, 32, 'CAPTURE follows');
  run.close();
});

test('timestamps: CAPTURE has that of OUTPUT', () => {
  const run = new V4l2Encoder(machine, 'VP80');
  for (const timestamp of [7, 1000.5, 90_000]) {
    run.feed(timestamp);
    assert.is(run.takePacket().timestamp, timestamp);
  }
  run.close();
});

test('gop: key frames come at the distance that was set', () => {
  const run = new V4l2Encoder(machine, 'VP80');
  run.video.sCtrl(V4L2_CID_MPEG_VIDEO_GOP_SIZE, 4);
  assert.equal(keys(oneByOne(run, 9)), [0, 4, 8]);
  run.close();
});

test('force_key_frame: the next picture that is queued becomes one, and no other', () => {
  const run = new V4l2Encoder(machine, 'VP80');
  const packets = oneByOne(run, 8, (i) => {
    if (i === 3) run.video.sCtrl(V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME, 1);
  });
  assert.equal(keys(packets), [0, 3]);
  run.close();
});

test('bitrate: what is set counts from the next picture on', async () => {
  const run = new V4l2Encoder(machine, 'VP80');
  const packets = oneByOne(run, 40, (i) => {
    if (i === 0) run.video.sCtrl(V4L2_CID_MPEG_VIDEO_BITRATE, 2_000_000);
    if (i === 20) run.video.sCtrl(V4L2_CID_MPEG_VIDEO_BITRATE, 20_000);
  });
  const bytes = (some: readonly Coded[]): number =>
    some.reduce((sum, { data }) => sum + data.length, 0);
  const [high, low] = [bytes(packets.slice(0, 20)), bytes(packets.slice(20))];
  console.log(`# 20 pictures: ${high} bytes at 2 Mbit/s, ${low} at 20 kbit/s`);
  assert.ok(low < high);
  assert.ok(packets[20]?.key);
  assert.is((await decoded('VP80', packets)).length, packets.length);
  run.close();
});

test('drain: what was queued comes out, then LAST, EOS, EPIPE; START goes on with a key frame', () => {
  const run = new V4l2Encoder(machine, 'VP80');
  const { video } = run;
  video.subscribeEvent({ type: V4L2_EVENT_EOS });
  run.encode(2);
  assert.ok((video.poll(EPOLLPRI, LIMIT) & EPOLLPRI) !== 0);
  assert.is(video.dqevent().type, V4L2_EVENT_EOS);
  assert.throws(() => run.takePacket(), /^EPIPE/);
  video.encoderCmd(START);
  run.feed(2);
  assert.is(run.takePacket().timestamp, 2);
  assert.equal(keys(run.packets), [0, 2]);
  run.close();
});

test('drain_empty: with nothing queued on OUTPUT an empty LAST comes at once', () => {
  const run = new V4l2Encoder(machine, 'VP80');
  run.video.encoderCmd(STOP);
  assert.ok(isEmptyLast(run.takePacket()));
  run.close();
});

test('drain_no_buffer: the next CAPTURE buffer is LAST and empty', () => {
  const run = new V4l2Encoder(machine, 'VP80', { captures: 1 });
  const { video, capture } = run;
  run.feed(0);
  const held = video.dqbuf(capture, { timeout: LIMIT });
  video.encoderCmd(STOP);
  assert.throws(() => video.encoderCmd(STOP), /^EBUSY/);
  run.captures.queue(held.index);
  assert.ok(isEmptyLast(video.dqbuf(capture, { timeout: LIMIT })));
  run.close();
});

test('drain_streamoff_output: it completes at once, and an empty LAST says so', () => {
  const run = new V4l2Encoder(machine, 'VP80', { captures: 1 });
  const { video, capture, output } = run;
  run.feed(0);
  const held = video.dqbuf(capture, { timeout: LIMIT });
  run.feed(1);
  run.feed(2);
  video.encoderCmd(STOP);
  video.streamoff(output);
  run.captures.queue(held.index);
  assert.ok(isEmptyLast(video.dqbuf(capture, { timeout: LIMIT })));
  run.close();
});

test('reset_capture: STREAMOFF of CAPTURE takes a drain back, and begins a new stream', () => {
  const run = new V4l2Encoder(machine, 'VP80');
  const { video, capture } = run;
  oneByOne(run, 2);
  video.encoderCmd(STOP);
  video.streamoff(capture);
  video.encoderCmd(START);
  run.captures.queueAll();
  video.streamon(capture);
  run.feed(2);
  const next = video.dqbuf(capture, { timeout: LIMIT });
  assert.equal([next.timestamp, next.sequence], [2, 0]);
  assert.ok((next.flags & 8) !== 0, 'a key frame');
  run.close();
});

test('too_small: a packet that does not fit its buffer is flagged, and the rest goes on', () => {
  const run = new V4l2Encoder(machine, 'MJPG', { sizeimage: 64 });
  run.feed(0);
  assert.ok((run.takePacket().flags & V4L2_BUF_FLAG_ERROR) !== 0);
  run.feed(1);
  assert.ok((run.takePacket().flags & V4L2_BUF_FLAG_ERROR) !== 0);
  run.video.encoderCmd(STOP);
  assert.ok(EncoderDevice.isLast(run.takePacket()));
  run.close();
});

test('short_picture: an OUTPUT buffer with too few bytes is flagged, and the rest goes on', () => {
  const run = new V4l2Encoder(machine, 'VP80');
  run.feed(0, picture(0).subarray(0, 100));
  run.feed(1);
  assert.is(run.takePacket().timestamp, 1);
  const flags = [run.takeOutput(), run.takeOutput()].map((b) => b.flags & V4L2_BUF_FLAG_ERROR);
  assert.equal(flags, [V4L2_BUF_FLAG_ERROR, 0]);
  run.close();
});

test('worker_death: encoding goes on with a key frame; no buffer is lost, numbers go on', async () => {
  const run = new V4l2Encoder(machine, 'VP80');
  const { video } = run;
  oneByOne(run, 2);
  const { restarts } = machine.actorStats(video.actor);
  machine.resetDevice(video.actor, 'the test killed it');
  while (machine.actorStats(video.actor).restarts === restarts) {
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
  run.feed(2);
  const next = run.takePacket();
  assert.equal([next.timestamp, next.sequence], [2, 2]);
  assert.equal(keys(run.packets), [0, 2]);
  run.takeOutput();
  run.close();
});

test.run();
