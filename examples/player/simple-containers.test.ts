/** AVI, IVF and Y4M files as clips, and one played from end to end. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openEncoder } from '@dmabuf/importer-v4l2';
import { readClip } from './clip.js';
import { runPlayer, withFolder } from './run-player.test-helper.js';

const [WIDTH, HEIGHT, FRAMES] = [64, 48, 5];
const BYTES = (WIDTH * HEIGHT * 3) / 2;
const picture = (i: number): Uint8Array =>
  new Uint8Array(BYTES).fill(40 * i).fill(128, WIDTH * HEIGHT);

/** A RIFF chunk, or a list where `type` is given. */
function chunk(id: string, data: Uint8Array, type = ''): Buffer {
  const head = Buffer.alloc(8);
  head.write(id, 'latin1');
  head.writeUInt32LE(data.length + type.length, 4);
  return Buffer.concat([head, Buffer.from(type), data, Buffer.alloc(data.length & 1)]);
}

/** An AVI file of Motion JPEG at 25 frames a second. */
async function aviFile(): Promise<Buffer> {
  const encoder = await openEncoder('MJPG', { width: WIDTH, height: HEIGHT, quality: 95 });
  const planes = [
    { offset: 0, pitch: WIDTH },
    { offset: WIDTH * HEIGHT, pitch: WIDTH / 2 },
    { offset: (WIDTH * HEIGHT * 5) / 4, pitch: WIDTH / 2 },
  ];
  const size = { width: WIDTH, height: HEIGHT };
  const frames: Buffer[] = [];
  for (let i = 0; i < FRAMES; i++) {
    const raw = { fourcc: 'YU12', data: picture(i), planes, ...size } as const;
    const { packets } = await encoder.encode(raw, { timestamp: i });
    frames.push(...packets.map(({ data }) => chunk('00dc', data)));
  }
  await encoder.close();
  const strh = Buffer.alloc(56);
  strh.write('vids', 'latin1');
  strh.writeUInt32LE(1, 20);
  strh.writeUInt32LE(25, 24);
  const strf = Buffer.alloc(40);
  strf.writeInt32LE(WIDTH, 4);
  strf.writeInt32LE(HEIGHT, 8);
  strf.write('MJPG', 16, 'latin1');
  const strl = chunk('LIST', Buffer.concat([chunk('strh', strh), chunk('strf', strf)]), 'strl');
  const movi = chunk('LIST', Buffer.concat(frames), 'movi');
  return chunk('RIFF', Buffer.concat([chunk('LIST', strl, 'hdrl'), movi]), 'AVI ');
}

function y4mFile(format = 'C420jpeg'): Buffer {
  const line = Buffer.from(`YUV4MPEG2 W${WIDTH} H${HEIGHT} F25:1 ${format}\n`);
  const frames = Array.from({ length: FRAMES }, (_, i) => [Buffer.from('FRAME\n'), picture(i)]);
  return Buffer.concat([line, ...frames.flat()]);
}

for (const [name, fourcc, make] of [
  ['clip.avi', 'MJPG', aviFile],
  ['clip.y4m', 'YU12', async () => y4mFile()],
] as const) {
  test(`${name} is a clip of ${fourcc}, with sizes, times and rate, and it plays`, async () => {
    await withFolder(async (folder) => {
      const path = join(folder, name);
      writeFileSync(path, await make());
      const clip = await readClip(path);
      assert.equal([clip.fourcc, clip.width, clip.height], [fourcc, WIDTH, HEIGHT]);
      assert.equal([clip.frames, clip.rate], [FRAMES, [25, 1]]);
      assert.equal(
        clip.packets.map(({ timestamp }) => timestamp),
        [0, 40, 80, 120, 160],
      );
      assert.is((await readClip(path, 2)).frames, 2);
      const { code, stdout, stderr } = await runPlayer(['--input', path, '--speed', 'max']);
      assert.is(code, 0, stderr);
      assert.match(stdout, /decoded 5, rendered 5, shown 5, dropped 0, damaged 0 of 5/);
    });
  });
}

test('a Y4M file of another sampling is refused in one line', async () => {
  await withFolder(async (folder) => {
    const path = join(folder, 'clip.y4m');
    writeFileSync(path, y4mFile('C444'));
    const { code, stderr } = await runPlayer(['--input', path]);
    assert.is(code, 2);
    assert.match(stderr, /^video-player: [^\n]*C444; 8-bit 4:2:0 is accepted[^\n]*\n$/);
  });
});

test.run();
