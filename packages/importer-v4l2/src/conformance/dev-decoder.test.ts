// Linux, Documentation/userspace-api/media/v4l/dev-decoder.rst and v4l2-mem2mem.c: what a stateful decoder owes its
// application, as cases under names of our own. Sizes, drains and seeks; what else there is stands in other suites.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { boot, type Machine } from '@dmabuf/core';
import type { Packet } from '../codec/codec.js';
import { frameMd5s, loadClip } from '../codec/test/clips.js';
import {
  EPOLLERR,
  EPOLLIN,
  EPOLLOUT,
  EPOLLPRI,
  v4l2,
  V4L2_BUF_FLAG_ERROR,
  V4L2_CID_MIN_BUFFERS_FOR_CAPTURE,
  V4L2_DEC_CMD_START,
  V4L2_DEC_CMD_STOP,
  V4L2_EVENT_EOS,
  type V4l2BufferInfo,
  VideoDevice,
} from '../index.js';
import { type PlayerOptions, V4l2Player } from '../test/v4l2-player.js';

const STOP = { cmd: V4L2_DEC_CMD_STOP };
const START = { cmd: V4L2_DEC_CMD_START };
const LIMIT = { timeout: 20_000 };

const tiny = await loadClip('dog-h264-tiny.mp4');
const md5s = frameMd5s('dog-h264-tiny.mp4');
const small = await loadClip('dog-vp9-tiny.webm');
const large = await loadClip('dog-vp9.webm');
/** A stream that changes its size after two pictures. */
const changing: Packet[] = [...small.packets.slice(0, 2), ...large.packets.slice(0, 2)].map(
  ({ data }, timestamp) => ({ data, timestamp }),
);
const packet = (i: number): Packet => tiny.packets[i] as Packet;

let machine: Machine;
test.before(async () => {
  machine = await boot({ drivers: [v4l2()] });
});
test.after(async () => {
  await machine.shutdown();
});

/** A decoder whose size is known and whose CAPTURE is set up: packet 0 is decoded. */
function running(options: PlayerOptions = {}): V4l2Player {
  const player = new V4l2Player(machine, 'H264', { outputs: 8, captures: 4, ...options });
  player.feed(packet(0));
  awaitEvent(player);
  player.startCapture();
  return player;
}

function awaitEvent(player: V4l2Player): void {
  assert.ok((player.video.poll(EPOLLPRI, LIMIT.timeout) & EPOLLPRI) !== 0, 'no event came');
  player.takeEvents();
}

function dequeue({ video, capture }: V4l2Player): V4l2BufferInfo {
  return video.dqbuf(capture, LIMIT);
}

/** The next picture, whose buffer is queued again. */
function next(player: V4l2Player): V4l2BufferInfo {
  const buffer = dequeue(player);
  player.requeue(buffer.index);
  return buffer;
}

const isLast = (buffer: V4l2BufferInfo): boolean => VideoDevice.isLast(buffer);
const bytes = ({ planes }: V4l2BufferInfo): number => planes[0]?.bytesused ?? 0;

test('initialization: headers are parsed, SOURCE_CHANGE comes within a second, queries tell the size', () => {
  const player = new V4l2Player(machine, 'H264');
  const { video, capture, output } = player;
  const start = performance.now();
  player.feed(packet(0));
  awaitEvent(player);
  console.log(`# SOURCE_CHANGE after ${Math.round(performance.now() - start)} ms`);
  assert.equal(player.events, ['5:1']);
  const { width, height } = video.gFmt(capture);
  assert.equal([width, height], [320, 180]);
  assert.ok(video.gCtrl(V4L2_CID_MIN_BUFFERS_FOR_CAPTURE) >= 1);
  // The buffer that told the size comes back when CAPTURE is set up.
  assert.throws(() => video.dqbuf(output, { nonblock: true }), /^EAGAIN/);
  player.startCapture();
  assert.is(video.dqbuf(output, LIMIT).timestamp, 0);
  player.close();
});

test('s_fmt_busy: S_FMT of OUTPUT with buffers allocated is EBUSY', () => {
  const player = new V4l2Player(machine, 'H264');
  const { video, output } = player;
  const request = { type: output, pixelformat: 'VP80' };
  assert.throws(() => video.sFmt(request), /^EBUSY/);
  assert.is(video.gFmt(output).pixelformat, 'H264');
  player.close();
});

test('timestamps: CAPTURE has that of OUTPUT, pictures come in display order', () => {
  const player = running();
  for (const i of [1, 2, 3]) player.feed({ ...packet(i), timestamp: 1000 + i });
  assert.equal(
    [0, 1, 2, 3].map(() => next(player).timestamp),
    [0, 1001, 1002, 1003],
  );
  player.close();
});

test('drain: what was queued before comes out, then LAST, EOS once, EPIPE; START goes on', () => {
  const player = running();
  player.feed(packet(1));
  player.video.decoderCmd(STOP);
  assert.equal(
    [next(player), next(player)].map(({ timestamp }) => timestamp),
    [0, 1],
  );
  const last = next(player);
  assert.ok(isLast(last) && bytes(last) === 0);
  awaitEvent(player);
  assert.equal(player.events, ['5:1', `${V4L2_EVENT_EOS}:0`]);
  assert.throws(() => dequeue(player), /^EPIPE/);
  // It accepts, and does not process.
  player.feed(packet(2));
  assert.throws(() => dequeue(player), /^EPIPE/);
  assert.is(player.video.stats().packets, 2);
  player.video.decoderCmd(START);
  assert.is(next(player).timestamp, 2);
  player.takeEvents();
  assert.is(player.events.length, 2, 'no EOS without STOP');
  player.close();
});

test('drain_start_at_once: whoever has LAST in hand may START, every time', () => {
  const player = running();
  next(player);
  for (let i = 0; i < 50; i++) {
    player.video.decoderCmd(STOP);
    assert.ok(isLast(next(player)));
    player.video.decoderCmd(START);
  }
  player.feed(packet(1));
  assert.is(next(player).timestamp, 1);
  player.close();
});

test('drain_not_streaming: STOP is accepted and has no effect unless both queues stream', () => {
  const player = new V4l2Player(machine, 'H264');
  player.video.decoderCmd(STOP);
  player.video.decoderCmd(STOP);
  player.feed(packet(0));
  awaitEvent(player);
  player.startCapture();
  assert.not(isLast(next(player)));
  player.close();
});

test('drain_busy: STOP and START are EBUSY until LAST is there', () => {
  const player = running({ captures: 1 });
  const { video } = player;
  const first = dequeue(player);
  video.decoderCmd(STOP);
  assert.throws(() => video.decoderCmd(STOP), /^EBUSY.*drain is under way/);
  assert.throws(() => video.decoderCmd(START), /^EBUSY/);
  // No CAPTURE buffer was there at the end of the drain: the next one is LAST, and empty.
  player.requeue(first.index);
  const last = dequeue(player);
  assert.ok(isLast(last) && bytes(last) === 0);
  video.decoderCmd(START);
  player.close();
});

/** A drain is over; STREAMOFF and STREAMON of a queue go on after it, too. */
function resumeBy(queue: 'capture' | 'output'): void {
  const player = running();
  const { video } = player;
  video.decoderCmd(STOP);
  next(player);
  assert.ok(isLast(next(player)));
  video.streamoff(player[queue]);
  if (queue === 'capture') player.startCapture();
  else video.streamon(player.output);
  player.feed(packet(0));
  assert.is(next(player).timestamp, 0);
  player.close();
}

test('drain_resume_capture: a restart of CAPTURE goes on after a drain', () => resumeBy('capture'));

test('drain_resume_output: a restart of OUTPUT goes on after a drain', () => resumeBy('output'));

test('drain_streamoff_output: it completes at once, and an empty LAST says so', () => {
  const player = running({ captures: 1 });
  const { video } = player;
  const first = dequeue(player);
  // Both are queued, and the second is not decoded: its predecessor waits for a buffer.
  for (const i of [1, 2]) player.feed(packet(i));
  video.decoderCmd(STOP);
  video.streamoff(player.output);
  player.requeue(first.index);
  const last = dequeue(player);
  assert.ok(isLast(last) && bytes(last) === 0);
  player.close();
});

test('drain_streamoff_capture: it is off, and what is decoded goes into the new buffers', () => {
  const player = running({ captures: 1 });
  const { video } = player;
  dequeue(player);
  for (const i of [1, 2]) player.feed(packet(i));
  video.decoderCmd(STOP);
  video.streamoff(player.capture);
  video.decoderCmd(START);
  player.startCapture();
  assert.equal(
    [next(player), next(player)].map(({ timestamp }) => timestamp),
    [1, 2],
  );
  assert.throws(() => video.dqbuf(player.capture, { nonblock: true }), /^EAGAIN/);
  player.close();
});

test('seek: stale frames may appear, then those of after the seek, and none between them', () => {
  const key = 0;
  for (let round = 0; round < 5; round++) {
    const player = running();
    for (const i of [1, 2]) player.feed(packet(i));
    player.video.streamoff(player.output);
    const free = player.outputs;
    player.video.streamon(player.output);
    for (const [index, timestamp] of [
      [0, 100],
      [1, 101],
    ] as const) {
      const { data } = packet(key + index);
      free.write(index, [data]);
      free.queue(index, { bytesused: [data.length], timestamp });
    }
    const seen: number[] = [];
    while (seen.at(-1) !== 101) seen.push(next(player).timestamp);
    const legal = [[], [0], [0, 1], [0, 1, 2]].map((stale) => [...stale, 100, 101].join(' '));
    assert.ok(legal.includes(seen.join(' ')), seen.join(' '));
    player.close();
  }
});

test('resolution_change: old frames, LAST, EPIPE; new buffers, and it goes on', () => {
  for (const queued of [false, true]) {
    const player = new V4l2Player(machine, 'VP90', { outputs: 8 });
    const { video, capture } = player;
    for (const each of changing) player.feed(each);
    awaitEvent(player);
    const before = video.gFmt(capture).width;
    player.startCapture();
    // A drain that is asked for before the change is reached goes on behind it.
    if (queued) video.decoderCmd(STOP);
    assert.equal([next(player).timestamp, next(player).timestamp], [0, 1]);
    const last = dequeue(player);
    assert.ok(isLast(last) && bytes(last) === 0);
    assert.throws(() => dequeue(player), /^EPIPE/);
    awaitEvent(player);
    assert.equal(player.events, ['5:1', '5:1']);
    assert.ok(video.gFmt(capture).width > before);
    video.streamoff(capture);
    player.startCapture();
    assert.equal([next(player).timestamp, next(player).timestamp], [2, 3]);
    if (queued) assert.ok(isLast(dequeue(player)));
    player.close();
  }
});

test('resolution_change_start: START goes on with the buffers that there are, where they are large enough', () => {
  const player = new V4l2Player(machine, 'VP90', { outputs: 8 });
  const { video } = player;
  const back = [...large.packets.slice(0, 1), ...small.packets.slice(0, 2)];
  for (const [timestamp, { data }] of back.entries()) player.feed({ data, timestamp });
  awaitEvent(player);
  player.startCapture();
  assert.is(next(player).timestamp, 0);
  const last = next(player);
  assert.ok(isLast(last));
  video.decoderCmd(START);
  const after = [next(player), next(player)];
  assert.equal(
    after.map(({ timestamp }) => timestamp),
    [1, 2],
  );
  for (const buffer of after) assert.ok(bytes(buffer) < (buffer.planes[0]?.length ?? 0));
  player.close();
});

test('damage: the ERROR flag is on what it hit, and the next key frame is whole', () => {
  const player = running();
  player.feed({ data: packet(1).data.slice(0, 6), timestamp: 1 });
  player.feed({ data: packet(0).data, timestamp: 2 });
  assert.equal([next(player).timestamp, next(player).timestamp], [0, 2]);
  const flags = [0, 1, 2].map(() => player.takeOutput().flags & V4L2_BUF_FLAG_ERROR);
  assert.equal(flags, [0, V4L2_BUF_FLAG_ERROR, 0]);
  player.close();
});

test('fatal: a stream that cannot be decoded is EIO from every call, until OUTPUT starts anew', () => {
  const player = new V4l2Player(machine, 'H264');
  const { video, output } = player;
  const high = Uint8Array.from([0, 0, 0, 1, 0x67, 100, 0, 31, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb]);
  player.feed({ data: high, timestamp: 0 });
  assert.ok((video.poll(EPOLLOUT, LIMIT.timeout) & (EPOLLOUT | EPOLLERR)) !== 0);
  assert.throws(() => video.dqbuf(output, LIMIT), /^EIO.*broke off.*STREAMOFF/);
  assert.throws(() => player.feed(packet(0)), /^EIO/);
  video.streamoff(output);
  video.streamon(output);
  player.outputs.write(0, [packet(0).data]);
  player.outputs.queue(0, { bytesused: [packet(0).data.length] });
  awaitEvent(player);
  player.close();
});

test('poll: EPOLLERR while nothing streams; EPOLLIN with LAST, until EPIPE was told, and then no more', () => {
  const idle = VideoDevice.open(machine);
  assert.is(idle.poll(EPOLLIN | EPOLLOUT), EPOLLERR);
  idle.close();
  const player = running();
  const { video } = player;
  next(player);
  video.decoderCmd(STOP);
  assert.ok((video.poll(EPOLLIN, LIMIT.timeout) & EPOLLIN) !== 0);
  assert.ok(isLast(next(player)));
  assert.is(video.poll(EPOLLIN, 0) & EPOLLIN, EPOLLIN);
  assert.throws(() => dequeue(player), /^EPIPE/);
  assert.is(video.poll(EPOLLIN, 0) & EPOLLIN, 0, 'nobody spins on it');
  player.close();
});

test('starved: buffers that the application holds are counted, and a wait in vain says so', () => {
  const player = running({ captures: 2 });
  const { video, capture, output } = player;
  dequeue(player);
  assert.is(video.held, 1);
  player.feed(packet(1));
  dequeue(player);
  assert.equal([video.held, video.stats().held], [2, 2]);
  assert.throws(() => dequeue(player), /^EDEADLK.*holds all 2 CAPTURE buffers/);
  for (const i of [2, 3]) player.feed(packet(i));
  for (const timestamp of [0, 1, 2]) assert.is(video.dqbuf(output, LIMIT).timestamp, timestamp);
  assert.throws(() => video.dqbuf(output, LIMIT), /^EDEADLK.*no buffer for it: .* QBUF one/);
  assert.ok(video.stats().starved);
  player.requeue(0);
  assert.is(video.dqbuf(capture, LIMIT).timestamp, 2);
  player.close();
});

test('sequence: buffers are numbered without a gap, across the death of the worker', async () => {
  const player = running();
  const { video } = player;
  assert.is(next(player).sequence, 0);
  const { restarts } = machine.actorStats(video.actor);
  machine.resetDevice(video.actor, 'the test killed it');
  while (machine.actorStats(video.actor).restarts === restarts) {
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
  for (const i of [1, 0, 1]) player.feed({ data: packet(i).data, timestamp: 10 + i });
  const shown = [next(player), next(player)];
  assert.equal(
    shown.map(({ sequence }) => sequence),
    [1, 2],
  );
  const numbers = [0, 1, 2, 3].map(() => player.takeOutput().sequence);
  assert.equal(numbers, [0, 1, 2, 3]);
  player.close();
});

test('every_picture: a whole clip comes out as it was made', () => {
  const player = new V4l2Player(machine, 'H264');
  player.play(tiny.packets);
  assert.equal(
    player.shown.map(({ md5 }) => md5),
    md5s,
  );
  player.close();
});

test.run();
