/**
 * AV1 by the optional package @libav.js/variant-av1-opus, against ffmpeg's MD5 of every frame.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { codecOf } from './index.js';
import { frameMd5s, hasClip, loadClip, pictureMd5 } from './test/clips.js';

const NAME = 'flower_av1.webm';
const av1 = codecOf('AV01');
const state = av1.probe();
if (!state.available) console.log(`# skip: AV1 is not installed (${state.reason})`);

const title = `every frame of ${NAME} equals ffmpeg's, damage costs up to the next key frame`;
if (state.available && hasClip(NAME)) {
  test(title, async () => {
    const { fourcc, packets } = await loadClip(NAME);
    assert.is(fourcc, 'AV01');
    const expected = frameMd5s(NAME);
    const decoder = await av1.open();
    for (const [i, packet] of packets.slice(0, 40).entries()) {
      const { pictures, fault } = await decoder.decode(packet);
      if (fault !== undefined) throw fault;
      const { shown } = av1.inspect(packet.data);
      assert.equal(pictures.map(pictureMd5), shown ? [expected[i]] : [], `packet ${i}`);
    }
    await decoder.reset();
    const { stream } = av1.inspect(packets[0]?.data ?? new Uint8Array(0));
    assert.equal([stream?.width, stream?.height], [960, 540]);
    const later = packets[45];
    if (later === undefined) throw new Error('the clip is too short');
    assert.match((await decoder.decode(later)).fault?.message ?? '', /EIO.*key frame/);
    const first = packets[0];
    if (first === undefined) throw new Error('the clip is empty');
    const cut = { data: first.data.subarray(0, first.data.length >> 1), timestamp: 0 };
    assert.ok((await decoder.decode(cut)).fault !== undefined);
    assert.equal((await decoder.decode(first)).pictures.map(pictureMd5), expected.slice(0, 1));
    await decoder.close();
  });
} else test.skip(title, () => {});

test('what opens it, or says what to install, is the same look-up', async () => {
  const opened: unknown = await av1.open().catch((error: unknown) => error);
  if (state.available) assert.not.instance(opened, Error);
  else assert.match(String(opened), /ENOENT.*npm install @libav\.js\/variant-av1-opus/);
  if (!(opened instanceof Error) && opened instanceof Object && 'close' in opened) {
    await (opened as Awaited<ReturnType<typeof av1.open>>).close();
  }
});

test.run();
