/**
 * H.264 pictures that are left where h264bsd decoded them: for as long as somebody looks at one, nothing is written over it.
 */
import { createHash } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { frameLayout } from '../capture-format.js';
import type { DecoderMemory, Packet, Picture } from './codec.js';
import { H264Decoder } from './h264.js';
import { withSharedMemory } from './h264-module.js';
import { H264Wasm } from './h264-wasm.js';
import { planeSizes } from './planes.js';
import { damagePackets, frameMd5s, hasClip, loadClip } from './test/clips.js';

/** A picture that is being looked at, by what is true of it whatever the decoder goes on to do. */
interface Kept {
  readonly timestamp: number;
  readonly memory: DecoderMemory;
  readonly offset: number;
  readonly picture: Pick<Picture, 'width' | 'height' | 'codedWidth' | 'codedHeight' | 'crop'>;
}

function md5Of({ memory, offset, picture }: Kept): string {
  const bytes = new Uint8Array(memory.buffer);
  const hash = createHash('md5');
  const { planes } = frameLayout(picture);
  planeSizes('YU12', picture.width, picture.height).forEach(({ width, rows }, i) => {
    const { offset: start, pitch } = planes[i] ?? { offset: 0, pitch: 0 };
    for (let row = 0; row < rows; row++) {
      const at = offset + start + row * pitch;
      hash.update(Uint8Array.from(bytes.subarray(at, at + width)));
    }
  });
  return hash.digest('hex');
}

/** Somebody who looks at the last so many pictures, and takes each one's MD5 when it lets go of it. */
class Looker {
  /** As each was when it came, and when it was let go of. */
  readonly firstMd5s: Map<number, string> = new Map();
  readonly md5s: Map<number, string> = new Map();
  readonly memories: Set<DecoderMemory> = new Set();
  readonly frames: Set<number> = new Set();
  readonly #depth: number;
  readonly #kept: Kept[] = [];

  constructor(depth: number) {
    this.#depth = depth;
  }

  readonly holds = (memory: DecoderMemory, offset: number): boolean =>
    this.#kept.some((kept) => kept.memory === memory && kept.offset === offset);

  see(picture: Picture): void {
    const { place, timestamp, width, height, codedWidth, codedHeight, crop } = picture;
    if (place === undefined) throw new Error(`the picture at ${timestamp} does not stay in place`);
    const { memory, offset } = place;
    const size = { width, height, codedWidth, codedHeight, crop };
    this.memories.add(memory);
    this.frames.add(offset);
    const kept = { timestamp, memory, offset, picture: size };
    this.firstMd5s.set(timestamp, md5Of(kept));
    this.#kept.push(kept);
    this.letGo(this.#depth);
  }

  /** Of all but the newest so many. */
  letGo(left: number): void {
    for (const kept of this.#kept.splice(0, Math.max(0, this.#kept.length - left))) {
      this.md5s.set(kept.timestamp, md5Of(kept));
    }
  }
}

async function look(packets: readonly Packet[], looker: Looker): Promise<void> {
  const decoder = new H264Decoder(await H264Wasm.open(true), looker.holds);
  for (const packet of packets) {
    for (const picture of decoder.decode(packet).pictures) looker.see(picture);
  }
  looker.letGo(0);
  decoder.close();
}

for (const name of ['dog-h264-tiny.mp4', 'flower_h264_cbp.mp4', 'car-detection.mp4']) {
  for (const depth of [1, 4, 20]) {
    const title = `${name}: the last ${depth} pictures stay as they are while decoding goes on`;
    if (!hasClip(name)) {
      test.skip(title, () => {});
      continue;
    }
    test(title, async () => {
      const { packets } = await loadClip(name);
      const looker = new Looker(depth);
      await look(packets, looker);
      assert.equal([...looker.md5s.values()], frameMd5s(name));
      assert.is(looker.memories.size, 1);
      assert.ok(looker.frames.size <= depth + 17 + 1, `${looker.frames.size} frames`);
    });
  }
}

test('what is looked at outlives the damage after it, in a memory that is left to it', async () => {
  const { packets } = await loadClip('dog-h264-tiny.mp4');
  for (const seed of [1, 2, 3]) {
    const looker = new Looker(6);
    await look(damagePackets(packets, seed, 0.04).packets, looker);
    const changed = [...looker.md5s].filter(([key, md5]) => md5 !== looker.firstMd5s.get(key));
    console.log(`seed ${seed}: ${looker.md5s.size} pictures in ${looker.memories.size} memories`);
    assert.ok(looker.md5s.size > 6);
    assert.equal(changed, []);
  }
});

// It has five reference frames.
test('a frame that a buffer cannot leave is given up by the decoder, which goes on with a copy', async () => {
  const name = 'flower_h264_cbp.mp4';
  if (!hasClip(name)) return; // says so
  const { packets } = await loadClip(name);
  const expected = frameMd5s(name);
  const looker = new Looker(0);
  let stuck = { offset: -1 };
  const holds = (_: DecoderMemory, offset: number): boolean => offset === stuck.offset;
  const decoder = new H264Decoder(await H264Wasm.open(true), holds);
  let copied = 0;
  for (const packet of packets) {
    const [picture] = decoder.decode(packet).pictures;
    if (picture?.place === undefined) throw new Error('no picture');
    const { place } = picture;
    if (stuck.offset < 0) stuck = place;
    else {
      // As a pinned buffer would be: overwritten for each picture, whatever refers to it.
      copied += place.evict(stuck.offset);
      new Uint8Array(place.memory.buffer).fill(0xaa, stuck.offset, stuck.offset + place.byteLength);
    }
    if (place.offset !== stuck.offset) looker.see(picture);
  }
  assert.ok(copied > 0);
  assert.equal([...looker.md5s.values()], expected.slice(1));
  decoder.close();
});

test('a sequence of another size begins in a memory of its own while the old pictures are looked at', async () => {
  if (!hasClip('car-detection.mp4')) return; // says so
  const small = (await loadClip('dog-h264-tiny.mp4')).packets.slice(0, 8);
  const large = (await loadClip('car-detection.mp4')).packets.slice(0, 8);
  const both = [...small, ...large].map((packet, i) => ({ ...packet, timestamp: i }));
  const looker = new Looker(5);
  await look(both, looker);
  const expected = [
    ...frameMd5s('dog-h264-tiny.mp4').slice(0, 8),
    ...frameMd5s('car-detection.mp4').slice(0, 8),
  ];
  assert.equal([...looker.md5s.values()], expected);
  assert.is(looker.memories.size, 2);
});

test('a module whose memory is not where it is known to be is refused, with what to install', () => {
  const header = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
  const imported = Buffer.from('\x04h264\x06memory\x02', 'latin1');
  const shared = withSharedMemory(Uint8Array.from([...header, ...imported, 1, 2, 3]));
  assert.equal([...shared.slice(-3)], [3, 2, 3]);
  for (const bad of [header, [...header, ...imported, 0, 2], [...imported, 1, ...imported, 1]]) {
    assert.throws(
      () => withSharedMemory(Uint8Array.from(bad)),
      /^ENOENT.*npm install h264decoder@1\.0\.0/,
    );
  }
});

test.run();
