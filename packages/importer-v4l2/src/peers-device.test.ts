/**
 * Optional peers behind the video device, with a stand-in of the ffmpeg program: listed by ENUM_FMT, fed by
 * QBUF, and refused to queueDecode, which could not get their last pictures out.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { boot, type Machine } from '@dmabuf/core';
import { joinNalUnits } from './bitstream/annexb.js';
import { writePps, writeSps } from './bitstream/test/bit-writer.js';
import { standInProgram } from './codec/test/stand-ins.js';
import { v4l2, V4L2_BUF_TYPE_VIDEO_OUTPUT, VideoDevice } from './index.js';
import { V4l2Player } from './test/v4l2-player.js';

const GREYS = [10, 11, 12, 20, 21, 30];
const md5s = GREYS.map((grey) => createHash('md5').update(Buffer.alloc(384, grey)).digest('hex'));

/** A NAL unit of one grey: an IDR picture where the tens change. */
function slices(idr: number, other: number): Uint8Array[] {
  return GREYS.map((grey, i) => {
    const starts = i === 0 || Math.trunc(grey / 10) !== Math.trunc((GREYS[i - 1] ?? 0) / 10);
    return Uint8Array.of(starts ? idr : other, 1, grey);
  });
}

let home: string;
let machine: Machine;
const before = process.env['DMABUF_FFMPEG'];
test.before(async () => {
  home = mkdtempSync(join(tmpdir(), 'dmabuf-peers-'));
  standInProgram(home);
  process.env['DMABUF_FFMPEG'] = join(home, 'ffmpeg');
  machine = await boot({ drivers: [v4l2()] });
});
test.after(async () => {
  await machine.shutdown();
  if (before === undefined) delete process.env['DMABUF_FFMPEG'];
  else process.env['DMABUF_FFMPEG'] = before;
  rmSync(home, { recursive: true, force: true });
});

// The stand-in is a script with a #! line.
const posix = process.platform !== 'win32' ? test : test.skip;
if (process.platform === 'win32') console.log('# skip: the stand-in of ffmpeg is a script');

posix('ENUM_FMT lists what the program decodes', () => {
  using video = VideoDevice.open(machine);
  const listed = video.enumFmt(V4L2_BUF_TYPE_VIDEO_OUTPUT).map(({ fourcc }) => fourcc);
  for (const fourcc of ['HEVC', 'MPG1', 'MPG2']) assert.ok(listed.includes(fourcc));
  assert.not(listed.includes('MPG4'));
});

posix('H.265 by QBUF and DQBUF gives every picture, in order, then LAST and EOS', () => {
  const packets = slices(19 << 1, 1 << 1).map((unit, timestamp) => ({
    data: joinNalUnits([unit]),
    timestamp,
  }));
  const player = new V4l2Player(machine, 'HEVC');
  player.play(packets);
  assert.equal(
    player.shown.map(({ md5 }) => md5),
    md5s,
  );
  assert.equal(player.events, ['5:1', '2:0']);
  player.video.close();
});

posix('H.264 of High profile goes the same way', () => {
  const sets = [writeSps({ profile: 100 }), writePps()];
  const packets = slices(0x65, 0x41).map((unit, timestamp) => ({
    data: joinNalUnits(timestamp === 0 ? [...sets, unit] : [unit]),
    timestamp,
  }));
  const player = new V4l2Player(machine, 'H264');
  player.play(packets);
  assert.equal(
    player.shown.map(({ md5 }) => md5),
    md5s,
  );
  player.video.close();
});

posix('queueDecode has no drain: what only peers decode is refused to it', async () => {
  using video = VideoDevice.open(machine);
  assert.throws(
    () => video.setFormat({ output: { fourcc: 'HEVC' } }),
    /^EINVAL.*holds pictures back.*QBUF/,
  );
  const header = joinNalUnits([writeSps({ profile: 100 }), writePps()]);
  const output = { fourcc: 'H264', header };
  assert.throws(() => video.setFormat({ output }), /^EINVAL.*High \(profile_idc 100\)/);
});

test.run();
