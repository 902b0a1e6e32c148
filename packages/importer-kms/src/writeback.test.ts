import { DmaBufError } from '@dmabuf/core';
import { Words } from '@dmabuf/core/driver';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { PNG } from 'pngjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DRM_FORMAT_XRGB8888 } from './fourcc.js';
import type { FlipSpeed } from './flip-queue.js';
import { OutputError } from './output-file.js';
import { REG, registerWords } from './registers.js';
import { checkReport, throwFailure } from './sink-request.js';
import { encodeWriteback } from './writeback-job.js';
import { Writeback, type WritebackJob } from './writeback.js';
import { readY4m } from './y4m.js';

const [WIDTH, HEIGHT] = [16, 8];
const FORMAT = { width: WIDTH, height: HEIGHT, rate: [25, 1] };
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dmabuf-writeback-'));

function make(speed: FlipSpeed, slots = 2): { writeback: Writeback; words: Words } {
  const words = new Words(new ArrayBuffer(registerWords(1) * 4));
  return { writeback: new Writeback({ words, base: 0, speed, slots }), words };
}

/** A job that records a grey frame. */
function job(level: number, height = HEIGHT): WritebackJob {
  const pixels = new Uint32Array(WIDTH * HEIGHT).fill(level * 0x010101);
  const pitch = WIDTH * 4;
  const command = { fourcc: DRM_FORMAT_XRGB8888, pitch, offset: 0, width: WIDTH, height };
  const buffers = [{ bytes: new Uint8Array(pixels.buffer) }];
  return { payload: encodeWriteback(command), seqno: 1, blocker: 0, buffers, finish: () => {} };
}

function open(writeback: Writeback, name: string): number {
  return Number(
    throwFailure(writeback.ioctl('OPEN_SINK', { file: path.join(folder, name), format: FORMAT })),
  );
}

function lumas(name: string): number[] {
  return readY4m(fs.readFileSync(path.join(folder, name))).frames.map((frame) => frame[0] ?? -1);
}

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof DmaBufError || error instanceof OutputError) return error.code;
    throw error;
  }
  return 'nothing';
}

test('what was copied is recorded, in order, and the memory that it came from may change at once', () => {
  const { writeback, words } = make('realtime');
  const id = open(writeback, 'order.y4m');
  for (const level of [0, 255]) {
    const frame = job(level);
    writeback.run(frame);
    frame.buffers[0]?.bytes.fill(77);
  }
  assert.is(writeback.tick(5), 5, 'there is more to encode: again at once');
  assert.is(writeback.tick(5), Infinity);
  const report = checkReport(writeback.ioctl('CLOSE_SINK', id));
  const { size } = fs.statSync(path.join(folder, 'order.y4m'));
  assert.equal(report, { recorded: 2, notRecorded: 0, bytes: size });
  assert.equal(lumas('order.y4m'), [16, 235]);
  assert.is(words.get(REG.RECORDED), 2);
  assert.is(words.getDouble(REG.BYTES), size);
  assert.is(words.getDouble(REG.COPIED), 2 * WIDTH * HEIGHT * 4);
});

test('in realtime a frame that finds all slots full is given up with ENOBUFS and counted', () => {
  const { writeback, words } = make('realtime', 2);
  const id = open(writeback, 'behind.y4m');
  writeback.run(job(0));
  writeback.run(job(0));
  assert.is(
    codeOf(() => writeback.run(job(255))),
    'ENOBUFS',
  );
  writeback.tick(0);
  writeback.run(job(255));
  const report = checkReport(writeback.ioctl('CLOSE_SINK', id));
  assert.equal([report.recorded, report.notRecorded], [3, 1]);
  assert.is(words.get(REG.NOT_RECORDED), 1);
  assert.equal(lumas('behind.y4m'), [16, 16, 235]);
});

test('in max a frame waits for a slot and nothing is lost', () => {
  const { writeback, words } = make('max', 2);
  const id = open(writeback, 'max.y4m');
  for (let i = 0; i < 20; i++) writeback.run(job(i));
  assert.is(words.get(REG.RECORDED), 18, 'all but what its two slots hold');
  const report = checkReport(writeback.ioctl('CLOSE_SINK', id));
  assert.equal([report.recorded, report.notRecorded], [20, 0]);
  assert.is(lumas('max.y4m').length, 20);
});

test('several sinks record at once, each from its opening to its closing', () => {
  const { writeback, words } = make('max', 4);
  const video = open(writeback, 'both.y4m');
  writeback.run(job(0));
  const picture = open(writeback, 'both.png');
  assert.is(words.get(REG.SINKS), 2);
  writeback.run(job(255));
  assert.is(checkReport(writeback.ioctl('CLOSE_SINK', picture)).recorded, 1);
  writeback.run(job(128));
  assert.is(checkReport(writeback.ioctl('CLOSE_SINK', video)).recorded, 3);
  const png = PNG.sync.read(fs.readFileSync(path.join(folder, 'both.png')));
  assert.equal([png.width, png.height, png.data[0]], [WIDTH, HEIGHT, 255]);
  assert.is(words.get(REG.RECORDED), 3);
});

test('a frame without a sink is refused with ENODEV and counted', () => {
  const { writeback, words } = make('max');
  assert.is(
    codeOf(() => writeback.run(job(0))),
    'ENODEV',
  );
  assert.is(words.get(REG.NOT_RECORDED), 1);
});

test('a stop completes every file, with all frames that were copied', () => {
  const { writeback, words } = make('realtime', 3);
  open(writeback, 'stop.y4m');
  open(writeback, 'stop.png');
  writeback.run(job(0));
  writeback.run(job(255));
  writeback.stop();
  assert.equal(lumas('stop.y4m'), [16, 235]);
  assert.ok(fs.existsSync(path.join(folder, 'stop.png')));
  assert.is(words.get(REG.SINKS), 0);
  assert.equal(
    fs.readdirSync(folder).filter((name) => name.endsWith('.part')),
    [],
  );
});

test('a frame of another size than the stream is not for that sink, which goes on', () => {
  const { writeback } = make('max');
  const id = open(writeback, 'size.y4m');
  writeback.run(job(0));
  writeback.run(job(0, 4));
  writeback.run(job(255));
  const report = checkReport(writeback.ioctl('CLOSE_SINK', id));
  assert.equal([report.recorded, report.notRecorded], [2, 1]);
  assert.equal(lumas('size.y4m'), [16, 235]);
});

test('a sink that fails keeps what was whole and says so when it is closed, the others go on', () => {
  if (!fs.existsSync('/dev/full')) {
    console.log('# skip: no /dev/full here to fill a disk with');
    return;
  }
  const link = path.join(folder, 'full.y4m');
  fs.symlinkSync('/dev/full', link);
  const { writeback } = make('max');
  // The header is written at once: this sink cannot even be opened.
  assert.is(
    codeOf(() => open(writeback, 'full.y4m')),
    'ENOSPC',
  );
  const series = path.join(folder, 'full-2.png');
  fs.symlinkSync('/dev/full', series);
  const failing = open(writeback, 'full-%d.png');
  const good = open(writeback, 'good.y4m');
  writeback.run(job(0));
  writeback.run(job(255));
  writeback.run(job(255));
  assert.is(
    codeOf(() => throwFailure(writeback.ioctl('CLOSE_SINK', failing))),
    'ENOSPC',
  );
  assert.is(checkReport(writeback.ioctl('CLOSE_SINK', good)).recorded, 3);
  assert.ok(fs.existsSync(path.join(folder, 'full-1.png')));
});

test("an output that cannot be written is refused when it is opened, with the file system's errno", () => {
  const { writeback, words } = make('max');
  assert.is(
    codeOf(() => open(writeback, 'no/such/folder.y4m')),
    'ENOENT',
  );
  assert.is(
    codeOf(() => open(writeback, 'video.avi')),
    'EINVAL',
  );
  assert.is(words.get(REG.SINKS), 0);
});

test('a malformed request is EINVAL, an unknown one ENOTTY, a sink closed twice ENOENT', () => {
  const { writeback } = make('max');
  const file = path.join(folder, 'never.y4m');
  const view = { columns: 10, rows: 5, colour: 'none', isTTY: false };
  const bad: unknown[] = [
    null,
    {},
    { file },
    { file, format: { ...FORMAT, width: 0 } },
    { file, format: { ...FORMAT, rate: [25] } },
    { file, format: { ...FORMAT, rate: [25, 0.5] } },
    { file, format: { ...FORMAT, matrix: 'BT2020' } },
    { view, fd: -1 },
    { view: { ...view, columns: 0 }, fd: 1 },
    { view: { ...view, colour: 'red' }, fd: 1 },
    { view: { ...view, top: 0 }, fd: 1 },
  ];
  for (const args of bad)
    assert.is(
      codeOf(() => writeback.ioctl('OPEN_SINK', args)),
      'EINVAL',
    );
  assert.is(
    codeOf(() => writeback.ioctl('ERASE', 1)),
    'ENOTTY',
  );
  const id = Number(writeback.ioctl('OPEN_SINK', { view, fd: 1 }));
  writeback.ioctl('CLOSE_SINK', id);
  assert.is(
    codeOf(() => writeback.ioctl('CLOSE_SINK', id)),
    'ENOENT',
  );
  assert.is(fs.existsSync(file), false);
});

test.after(() => fs.rmSync(folder, { recursive: true }));

test.run();
