/**
 * Optional peers: found where they are installed, listed only then, and what is said where they are not.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { peerFormats } from './peers/formats.js';
import type { PeerReport } from './test/peer-main.js';
import { standInCore, standInNodeAv, standInProgram } from './test/stand-ins.js';

let home: string;
test.before(() => {
  home = mkdtempSync(join(tmpdir(), 'dmabuf-peers-'));
  standInProgram(join(home, 'bin'));
  standInCore(join(home, 'core'));
  standInNodeAv(join(home, 'av'));
  standInNodeAv(join(home, 'broken'), false);
});
test.after(() => {
  rmSync(home, { recursive: true, force: true });
});

/** Decodes `stream` in a process that finds programs and packages in these folders alone. */
function decode(
  stream: string,
  bin: string,
  packages: string,
  format = 'HEVC',
): Promise<PeerReport> {
  const main = fileURLToPath(new URL('./test/peer-main.js', import.meta.url));
  const env = {
    PATH: bin === '' ? '' : join(home, bin),
    NODE_PATH: packages === '' ? '' : join(home, packages),
    DMABUF_TEST_STREAM: stream,
    DMABUF_TEST_FORMAT: format,
  };
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [main], { env }, (error, stdout) => {
      if (error === null) resolve(JSON.parse(stdout) as PeerReport);
      else reject(new Error(`the process failed: ${error.message}`));
    });
  });
}

const greys = ({ pictures }: PeerReport): unknown => pictures.map(([time, grey]) => [time, grey]);
const STREAM = 'I10 p11 p12 I20 p21';
const WANTED = [
  [0, 10],
  [10, 11],
  [20, 12],
  [30, 20],
  [40, 21],
];

test('where there is none, its formats are not listed, and opening one says what to install', async () => {
  const { listed, error } = await decode(STREAM, '', '');
  for (const fourcc of ['HEVC', 'MPG1', 'MPG2', 'MPG4']) assert.not(listed.includes(fourcc));
  assert.match(error, /^ENOENT.*H\.265 needs an optional peer/);
  for (const how of [/npm install node-av@/, /install ffmpeg 5\.1/, /npm install @ffmpeg\/core@/]) {
    assert.match(error, how);
  }
});

test('node-av is found, and gives each picture with the time of its packet', async () => {
  const report = await decode(STREAM, '', 'av');
  for (const fourcc of ['HEVC', 'MPG1', 'MPG2', 'MPG4']) assert.ok(report.listed.includes(fourcc));
  assert.is(report.name, 'node-av (H.265)');
  assert.equal(greys(report), WANTED);
  assert.equal(report.faults, []);
});

test('with node-av damage costs what refers to it, up to the next key frame', async () => {
  const { pictures, faults } = await decode('p9 I10 p99 p12 I20 p21', '', 'av');
  assert.is(faults.length, 2);
  assert.match(faults[0] ?? '', /^EIO.*key frame only/);
  assert.match(faults[1] ?? '', /^EIO.*damaged/);
  const good = pictures.filter(([, , damaged]) => !damaged).map(([time]) => time);
  assert.equal(good.slice(-2), [40, 50]);
  assert.not(good.includes(30));
});

test('a node-av that does not load is passed over for the next peer', async () => {
  const both = await decode(STREAM, '', 'broken');
  assert.match(both.error, /^EIO.*node-av does not load.*no binary/);
  if (process.platform === 'win32') return;
  assert.equal(greys(await decode(STREAM, 'bin', 'broken')), WANTED);
});

test('@ffmpeg/core is found, and decodes group by group', async () => {
  const report = await decode(STREAM, '', 'core');
  assert.is(report.name, '@ffmpeg/core');
  assert.ok(report.listed.includes('HEVC'));
  assert.not(report.listed.includes('MPG4'));
  assert.equal(greys(report), WANTED);
});

/** Parameter sets stand in a packet of their own, once. */
const HIGH = 'S I10 p11 I20 p21';
const HIGH_WANTED = [
  [10, 10],
  [20, 11],
  [30, 20],
  [40, 21],
];

test('H.264 of High profile goes to a peer where there is one, and is refused where there is none', async () => {
  const report = await decode(HIGH, '', 'av', 'H264');
  assert.is(report.name, 'h264decoder (h264bsd)', 'a peer is looked for once the stream is known');
  assert.equal(greys(report), HIGH_WANTED);
  assert.equal(report.faults, []);
  const refused = await decode(HIGH, '', '', 'H264');
  assert.equal(refused.pictures, []);
  assert.match(refused.faults[0] ?? '', /^EINVAL.*High \(profile_idc 100\).*accepted is/);
  assert.match(refused.faults[0] ?? '', /npm install node-av/);
});

if (process.platform === 'win32') {
  console.log('# skip: the stand-in of the ffmpeg program is a script with a #! line');
  test.skip('the ffmpeg program in PATH is found, and decodes group by group', () => {});
} else {
  test('the ffmpeg program in PATH is found, and decodes group by group', async () => {
    const report = await decode(STREAM, 'bin', '');
    assert.is(report.name, 'ffmpeg');
    assert.equal(greys(report), WANTED);
    assert.equal(report.faults, []);
  });

  test('every group is decoded with the parameter sets that came before it', async () => {
    assert.equal(greys(await decode(HIGH, 'bin', '', 'H264')), HIGH_WANTED);
  });

  test('a group of which a picture is missing is damaged, the others are not', async () => {
    const { pictures } = await decode('I10 p11 I20 p99 I30', 'bin', '');
    assert.equal(
      pictures.map(([time, , damaged]) => [time, damaged]),
      [
        [0, false],
        [10, false],
        [20, true],
        [30, true],
        [40, false],
      ],
    );
  });

  test('what the program says when it fails is in the fault', async () => {
    const { pictures, faults } = await decode('p5 I98 I20', 'bin', '');
    assert.match(faults[0] ?? '', /^EIO.*key frame only/);
    assert.match(faults[1] ?? '', /^EIO.*ended with code 1: cannot do 98/);
    assert.equal(
      pictures.map(([time, grey]) => [time, grey]),
      [[20, 20]],
    );
  });
}

test('packets of these formats tell key frames, and where decoding can start afresh', () => {
  const { hevc, mpeg2, mpeg4 } = peerFormats;
  const nal = (type: number): Uint8Array => Uint8Array.of(0, 0, 1, type << 1, 1, 7);
  assert.equal(
    [19, 21, 1, 32].map((type) => hevc.inspect(nal(type)).keyframe),
    [true, true, false, false],
  );
  assert.equal(
    [19, 21, 1].map((type) => hevc.closed(nal(type))),
    [true, false, false],
  );
  assert.equal(
    [1, 32].map((type) => hevc.inspect(nal(type)).shown),
    [true, false],
  );
  assert.throws(() => hevc.inspect(Uint8Array.of(1, 2, 3)), /^EINVAL.*start code/);
  const sequence = [0, 0, 1, 0xb3, 0x14, 0x00, 0xb4, 0x13];
  const group = (closed: number): number[] => [0, 0, 1, 0xb8, 0, 8, 0, closed << 6];
  const frame = [0, 0, 1, 0, 0, 8, 0xff];
  const key = Uint8Array.of(...sequence, ...group(1), ...frame);
  const { stream, shown, keyframe } = mpeg2.inspect(key);
  assert.equal([stream?.width, stream?.height, stream?.codedHeight], [320, 180, 192]);
  assert.equal([shown, keyframe, mpeg2.closed(key)], [true, true, true]);
  assert.is(mpeg2.closed(Uint8Array.of(...sequence, ...group(0), ...frame)), false);
  assert.equal(mpeg2.inspect(Uint8Array.of(...frame)), {
    keyframe: false,
    shown: true,
    stream: undefined,
  });
  const vop = (type: number): Uint8Array => Uint8Array.of(0, 0, 1, 0xb6, type << 6, 0);
  assert.equal(
    [0, 1].map((type) => mpeg4.inspect(vop(type)).keyframe),
    [true, false],
  );
});

test.run();
