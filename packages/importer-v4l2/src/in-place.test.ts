/**
 * Decoding in place (`v4l2({ inPlace: true })`): CAPTURE buffers that move from picture to picture. Every picture equals
 * ffmpeg's for as long as its buffer shows it, whoever holds on to it, pins it, or dies.
 */
import { createHash } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { boot, type DmaBuf, exclusive, type Machine } from '@dmabuf/core';
import { codecOf } from './codec/index.js';
import { planeSizes } from './codec/planes.js';
import { damagePackets, frameMd5s, hasClip, loadClip } from './codec/test/clips.js';
import { v4l2, V4L2_SEL_TGT_COMPOSE } from './index.js';
import { V4l2Player } from './test/v4l2-player.js';

const NAME = 'dog-h264-tiny.mp4';
const clip = await loadClip(NAME);
const MD5S = frameMd5s(NAME);
const LIMIT_MS = 30_000;
const inPlace = { drivers: [v4l2({ inPlace: true })] };

/** MD5 of the picture that a buffer's metadata describes. */
function md5Of(buffer: DmaBuf): string {
  using access = buffer.access({ read: true, timeout: LIMIT_MS });
  const { width, height, offsets, pitches } = buffer.metadata;
  const hash = createHash('md5');
  planeSizes('YU12', width, height).forEach((plane, i) => {
    for (let row = 0; row < plane.rows; row++) {
      const at = (offsets[i] ?? 0) + row * (pitches[i] ?? 0);
      hash.update(Uint8Array.from(access.bytes.subarray(at, at + plane.width)));
    }
  });
  return hash.digest('hex');
}

async function until(done: () => boolean): Promise<void> {
  for (const start = performance.now(); !done();) {
    if (performance.now() - start > LIMIT_MS) throw new Error('it has not happened');
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
}

/** A player that keeps some pictures, by number, and gives their buffers back never. */
class Keeper extends V4l2Player {
  readonly kept: Map<number, DmaBuf> = new Map();
  readonly #which: ReadonlySet<number>;

  constructor(machine: Machine, which: readonly number[], captures: number) {
    super(machine, 'H264', { captures });
    this.#which = new Set(which);
  }

  override requeue(index: number): void {
    const number = this.shown.length - 1;
    if (this.#which.has(number)) {
      this.kept.set(number, this.video.expbuf({ type: this.capture, index }));
    } else {
      super.requeue(index);
    }
  }
}

/** A player that pins each buffer where its first picture lies. */
class Pinner extends V4l2Player {
  readonly pinned: Map<number, DmaBuf> = new Map();
  readonly #machine: Machine;

  constructor(machine: Machine) {
    super(machine, 'H264', { captures: 2 });
    this.#machine = machine;
  }

  override requeue(index: number): void {
    if (!this.pinned.has(index)) {
      const buffer = this.video.expbuf({ type: this.capture, index });
      buffer.attach(this.#machine.self).map();
      this.pinned.set(index, buffer);
    }
    super.requeue(index);
  }
}

for (const name of [NAME, 'flower_h264_cbp.mp4', 'car-detection.mp4']) {
  const title = `${name} by QBUF and DQBUF, in 4 buffers: every picture, and not a byte copied`;
  if (!hasClip(name)) {
    test.skip(title, () => {});
    continue;
  }
  test(title, async () => {
    await using machine = await boot(inPlace);
    const { packets } = await loadClip(name);
    const player = new V4l2Player(machine, 'H264', { captures: 4 });
    player.play(packets);
    assert.equal(
      player.shown.map(({ md5 }) => md5),
      frameMd5s(name),
    );
    const { decoded, inPlace: placed, bytesCopied, errors } = player.video.stats();
    assert.equal(
      { decoded, placed, bytesCopied, errors },
      {
        decoded: packets.length,
        placed: packets.length,
        bytesCopied: 0,
        errors: 0,
      },
    );
    assert.is(machine.actorStats(player.video.actor).bytesCopied, 0);
    player.close();
    assert.is(machine.stats().buffers, 0);
  });
}

test('the format is that of the coded frame; the compose rectangle is what is visible', async () => {
  await using machine = await boot(inPlace);
  const player = new V4l2Player(machine, 'H264', { captures: 2 });
  player.play(clip.packets.slice(0, 4));
  const { video, capture } = player;
  const { width, height, planes } = video.gFmt(capture);
  assert.equal([width, height], [320, 192]);
  assert.equal(planes, [{ sizeimage: 320 * 192 * 1.5, bytesperline: 320 }]);
  const rect = { left: 0, top: 0, width: 320, height: 180 };
  assert.equal(video.gSelection(capture, V4L2_SEL_TGT_COMPOSE), rect);
  const buffer = video.expbuf({ type: capture, index: 0 });
  assert.equal([buffer.metadata.width, buffer.metadata.height], [320, 180]);
  assert.equal(buffer.metadata.pitches, [320, 160, 160]);
  assert.equal(buffer.metadata.offsets, [0, 320 * 192, 320 * 192 * 1.25]);
  buffer.close();
  player.close();
});

test('pictures that are kept stay as they are while all others are decoded, and after the file is closed', async () => {
  await using machine = await boot(inPlace);
  const which = [0, 1, 2, 7, 20, 31];
  const player = new Keeper(machine, which, which.length + 2);
  player.play(clip.packets);
  assert.equal(
    player.shown.map(({ md5 }) => md5),
    MD5S,
  );
  assert.is(player.video.stats().bytesCopied, 0);
  const md5s = (): string[] => [...player.kept.values()].map(md5Of);
  assert.equal([...player.kept.keys()], which);
  const expected = which.map((i) => MD5S[i]);
  assert.equal(md5s(), expected);
  player.close();
  assert.equal(md5s(), expected);
  for (const buffer of player.kept.values()) buffer.close();
  assert.is(machine.stats().buffers, 0);
});

// The first has one reference frame, the second five: a buffer that is filled again lies in one of them.
for (const name of [NAME, 'flower_h264_cbp.mp4']) {
  const title = `${name} in buffers that are pinned in the decoder’s memory: copies, counted, and no reference is spoilt`;
  if (!hasClip(name)) {
    test.skip(title, () => {});
    continue;
  }
  test(title, async () => {
    await using machine = await boot(inPlace);
    const player = new Pinner(machine);
    player.play((await loadClip(name)).packets.slice(0, 40));
    assert.equal(
      player.shown.map(({ md5 }) => md5),
      frameMd5s(name).slice(0, 40),
    );
    const { decoded, inPlace: placed, bytesCopied } = player.video.stats();
    assert.is(decoded, 40);
    assert.ok(placed >= 1 && placed <= 2, `${placed} before all were pinned`);
    const { width, height } = player.pinned.get(0)?.metadata ?? { width: 0, height: 0 };
    assert.ok(bytesCopied >= (decoded - placed) * width * height * 1.5);
    player.close();
    for (const buffer of player.pinned.values()) buffer.close();
  });
}

test('nobody gets to write into what may be a reference frame', async () => {
  await using machine = await boot(inPlace);
  const player = new Keeper(machine, [1], 3);
  player.play(clip.packets.slice(0, 4));
  const buffer = player.kept.get(1);
  if (buffer === undefined) throw new Error('no buffer');
  assert.throws(() => buffer.access({ write: true }), /^EACCES/);
  const line = machine.createContext(machine.self, 'writer');
  assert.throws(() => line.submit({ buffers: [exclusive(buffer)] }), /^EACCES/);
  const { planes } = player.video.querybuf(player.capture, 0);
  using mapping = player.video.mmap(planes[0]?.m.mem_offset ?? -1);
  assert.throws(() => mapping.prepareAccess({ write: true }), /^EACCES/);
  buffer.close();
  player.close();
});

test('DMABUF buffers and three planes a picture are copied, and equal', async () => {
  await using machine = await boot(inPlace);
  for (const options of [{ memory: 4 }, { multiplanar: true, pixelformat: 'YM12' }]) {
    const player = new V4l2Player(machine, 'H264', options);
    player.play(clip.packets);
    assert.equal(
      player.shown.map(({ md5 }) => md5),
      MD5S,
    );
    const { inPlace: placed, bytesCopied } = player.video.stats();
    assert.is(placed, 0);
    assert.ok(bytesCopied > 0);
    player.close();
  }
});

test('two files in one worker, each in a memory of its own, do not disturb each other', async () => {
  await using machine = await boot(inPlace);
  const players = [0, 1].map(() => new V4l2Player(machine, 'H264', { captures: 4 }));
  await Promise.all(players.map((player) => player.playAsync(clip.packets)));
  for (const player of players) {
    assert.equal(
      player.shown.map(({ md5 }) => md5),
      MD5S,
    );
    assert.is(player.video.stats().bytesCopied, 0);
    player.close();
  }
});

test('of a damaged stream it shows what a decoder that copies shows', async () => {
  for (const seed of [11, 12]) {
    const { packets } = damagePackets(clip.packets, seed, 0.1);
    const shown = [];
    for (const options of [{ inPlace: true }, {}]) {
      await using machine = await boot({ drivers: [v4l2(options)] });
      const player = new V4l2Player(machine, 'H264', { captures: 4 });
      player.play(packets);
      shown.push(player.shown.map(({ timestamp, md5, error }) => [timestamp, error, md5]));
      player.close();
    }
    console.log(`seed ${seed}: ${shown[0]?.length} pictures`);
    assert.equal(shown[0], shown[1]);
  }
});

test('the worker’s death leaves the pictures that are kept, and its next life goes on in a new memory', async () => {
  await using machine = await boot(inPlace);
  const player = new Keeper(machine, [0, 1, 2], 5);
  const { packets } = clip;
  const stop = 6;
  const key = packets.findIndex(
    ({ data }, i) => i > stop && codecOf('H264').inspect(data).keyframe,
  );
  const { video } = player;
  const before = machine.actorStats(video.actor).restarts;
  // Feeds and takes one by one, so that the death has its exact place.
  const feed = async (i: number): Promise<void> => {
    const packet = packets[i];
    if (packet === undefined) throw new Error('no such packet');
    while (!player.feed(packet)) player.takeOutput();
    if (i === 0) {
      await until(() => (video.poll(2, 100) & 2) !== 0);
      player.takeEvents();
      player.startCapture();
    }
    player.takePicture();
  };
  for (let i = 0; i < stop; i++) await feed(i);
  machine.resetDevice(video.actor, 'the test killed it');
  await until(() => machine.actorStats(video.actor).restarts > before);
  for (let i = key; i < key + 8; i++) await feed(i);
  const good = [...Array(stop).keys(), ...Array.from({ length: 8 }, (_, i) => key + i)];
  assert.equal(
    player.shown.map(({ timestamp, md5 }) => [timestamp, md5]),
    good.map((i) => [packets[i]?.timestamp, MD5S[i]]),
  );
  assert.is(video.stats().bytesCopied, 0);
  assert.equal(
    [...player.kept.values()].map(md5Of),
    [0, 1, 2].map((i) => MD5S[i]),
  );
  player.close();
  for (const buffer of player.kept.values()) buffer.close();
  assert.is(machine.stats().buffers, 0);
});

test('files that come and go leave no region behind, whatever is kept of them for a while', async () => {
  await using machine = await boot({ ...inPlace, tables: { regions: 32 } });
  let last: DmaBuf | undefined;
  for (let i = 0; i < 12; i++) {
    const player = new Keeper(machine, [2], 4);
    player.play(clip.packets.slice(0, 6));
    assert.is(player.video.stats().inPlace, 6);
    player.close();
    last?.close();
    last = player.kept.get(2);
    if (last !== undefined) assert.is(md5Of(last), MD5S[2]);
  }
  last?.close();
  assert.is(machine.stats().buffers, 0);
});

test('inPlace is true or false', () => {
  assert.throws(() => v4l2({ inPlace: 1 as never }), /inPlace must be true or false, not 1/);
});

test.run();
