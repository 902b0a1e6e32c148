import type { Machine } from '@dmabuf/core';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { PNG } from 'pngjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf, HEIGHT, makeFb, paint, WIDTH, withDisplay } from './display.test-helper.js';
import { type Display, type Framebuffer, readY4m, Y4M_MATRICES } from './index.js';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dmabuf-recording-'));

/** Frame `n`: a different colour for each pixel. */
function colourOf(n: number, x: number, y: number): number {
  return ((n * 37) << 16) | ((x * 4) << 8) | (y * 4);
}

/** The planes of frame `n` by the formula that the head of y4m.ts states, one product at a time. */
function planesOf(n: number): Uint8Array {
  const out = new Uint8Array(WIDTH * HEIGHT * 3);
  const { y: luma, cb, cr } = Y4M_MATRICES.BT709;
  for (let y = 0; y < HEIGHT; y++) {
    for (let x = 0; x < WIDTH; x++) {
      const colour = colourOf(n, x, y);
      const [r, g, b] = [(colour >> 16) & 255, (colour >> 8) & 255, colour & 255];
      for (const [plane, k] of [luma, cb, cr].entries()) {
        const bias = plane === 0 ? 16 : 128;
        const sum = k[0] * r + k[1] * g + k[2] * b + bias * 65536 + 32768;
        out[plane * WIDTH * HEIGHT + y * WIDTH + x] = Math.floor(sum / 65536);
      }
    }
  }
  return out;
}

/** Draws, flips and records `count` frames, each as far ahead as its framebuffer allows. */
function record(machine: Machine, display: Display, count: number): void {
  const fbs: Framebuffer[] = [makeFb(machine, display), makeFb(machine, display)];
  for (let n = 0; n < count; n++) {
    const fb = fbs[n % 2];
    if (fb === undefined) continue;
    paint(fb, (x, y) => colourOf(n, x, y));
    display.queueWriteback({ fb, after: display.queueFlip({ fb }) });
  }
}

test('a Y4M holds every frame that was shown, pixel for pixel, at the rate that was given', () =>
  withDisplay({ speed: 'max' }, (display, machine) => {
    const file = path.join(folder, 'all.y4m');
    const sink = display.openSink({ file, rate: [30_000, 1001] });
    record(machine, display, 12);
    assert.is(fs.existsSync(file), false, 'it has its name when it is whole');
    const report = sink.close();
    const video = readY4m(fs.readFileSync(file));
    assert.equal(report, { recorded: 12, notRecorded: 0, bytes: fs.statSync(file).size });
    assert.equal([video.width, video.height, video.rate], [WIDTH, HEIGHT, [30_000, 1001]]);
    for (const [n, frame] of video.frames.entries()) {
      assert.is(Buffer.compare(frame, planesOf(n)), 0, `frame ${n}`);
    }
    const stats = display.writebackStats();
    assert.equal([stats.recorded, stats.notRecorded, stats.sinks], [12, 0, 0]);
    assert.is(stats.bytes, report.bytes);
    assert.ok(stats.copied >= 12 * WIDTH * HEIGHT * 4);
    const actor = machine.actorStats(display.writebackActor);
    assert.is(actor.bytesCopied, 0, 'recording is no copy between stages');
  }));

test('a PNG holds the pixels of the last frame that was shown', () =>
  withDisplay({ speed: 'max' }, (display, machine) => {
    const file = path.join(folder, 'last.png');
    const sink = display.openSink({ file });
    record(machine, display, 3);
    sink.close();
    const png = PNG.sync.read(fs.readFileSync(file));
    assert.equal([png.width, png.height], [WIDTH, HEIGHT]);
    for (let i = 0; i < WIDTH * HEIGHT; i++) {
      const [r = 0, g = 0, b = 0] = png.data.subarray(i * 4, i * 4 + 3);
      const expected = colourOf(2, i % WIDTH, Math.floor(i / WIDTH));
      assert.is((r << 16) | (g << 8) | b, expected, `pixel ${i}`);
    }
  }));

test('in realtime every frame that was shown is either recorded or counted', () =>
  withDisplay({ slots: 1 }, (display, machine) => {
    const sink = display.openSink({ file: path.join(folder, 'realtime.y4m') });
    record(machine, display, 20);
    const { recorded, notRecorded } = sink.close();
    const { shown } = display.stats();
    assert.is(recorded + notRecorded, shown);
    assert.is(readY4m(fs.readFileSync(path.join(folder, 'realtime.y4m'))).frames.length, recorded);
  }));

test('closing a sink waits for what is queued, flips that are still to come included', () =>
  withDisplay({}, (display, machine) => {
    const [a, b] = [makeFb(machine, display), makeFb(machine, display)];
    const sink = display.openSink({ file: path.join(folder, 'ahead.y4m') });
    display.queueWriteback({ fb: a, after: display.queueFlip({ fb: a, at: 0 }) });
    display.queueWriteback({ fb: b, after: display.queueFlip({ fb: b, at: 60 }) });
    assert.is(sink.close().recorded, 2);
    assert.is(display.stats().shown, 2);
  }));

test('a flip that was dropped is not recorded, and its writeback says why', () =>
  withDisplay({}, (display, machine) => {
    const [a, b] = [makeFb(machine, display), makeFb(machine, display)];
    const sink = display.openSink({ file: path.join(folder, 'dropped.y4m') });
    const drawing = a.buffer.access({ write: true });
    const lost = display.queueFlip({ fb: a });
    const writeback = display.queueWriteback({ fb: a, after: lost });
    display.disable();
    drawing.finish();
    const shown = display.queueFlip({ fb: b });
    const recorded = display.queueWriteback({ fb: b, after: shown });
    assert.is(writeback.wait(), -125);
    assert.is(recorded.wait(), 1);
    assert.equal([sink.close().recorded, display.writebackStats().notRecorded], [1, 0]);
  }));

test('a recording holds the framebuffer no longer than the copy takes', () =>
  withDisplay({ speed: 'max' }, (display, machine) => {
    const [a, b] = [makeFb(machine, display), makeFb(machine, display)];
    const sink = display.openSink({ file: path.join(folder, 'hold.y4m') });
    const first = display.queueFlip({ fb: a });
    const recorded = display.queueWriteback({ fb: a, after: first });
    display.queueFlip({ fb: b }).wait();
    recorded.wait();
    a.buffer.access({ write: true, discard: true }).finish();
    assert.is(sink.close().recorded, 1);
  }));

test('what cannot be written is refused before anything runs, and nothing stays open', () =>
  withDisplay({}, (display) => {
    assert.is(
      codeOf(() => display.openSink({ file: path.join(folder, 'no', 'folder.y4m') })),
      'ENOENT',
    );
    assert.is(
      codeOf(() => display.openSink({ file: folder + '/x.avi' })),
      'EINVAL',
    );
    const folderNamed = path.join(folder, 'dir.png');
    fs.mkdirSync(folderNamed);
    assert.is(
      codeOf(() => display.openSink({ file: folderNamed })),
      'EISDIR',
    );
    assert.is(
      codeOf(() => display.openSink({ file: 'x.y4m', rate: [0, 1] })),
      'EINVAL',
    );
    assert.is(display.writebackStats().sinks, 0);
    assert.is(fs.existsSync('x.y4m'), false);
  }));

test('a machine that is shut down leaves whole files, with all frames that were copied', async () => {
  const file = path.join(folder, 'shutdown.y4m');
  await withDisplay({ speed: 'max' }, (display, machine) => {
    display.openSink({ file });
    const fb = makeFb(machine, display, 0xffffff);
    display.queueWriteback({ fb, after: display.queueFlip({ fb }) }).wait();
  });
  const { frames } = readY4m(fs.readFileSync(file));
  assert.is(frames.length, 1);
  assert.equal(
    fs.readdirSync(folder).filter((name) => name.endsWith('.part')),
    [],
  );
});

test('a file and a terminal record at once', () =>
  withDisplay({ speed: 'max' }, (display, machine) => {
    const screen = path.join(folder, 'screen.txt');
    const fd = fs.openSync(screen, 'w');
    const view = { columns: 20, rows: 10, colour: 'truecolor', isTTY: true } as const;
    const sinks = [
      display.openSink({ view, fd }),
      display.openSink({ file: path.join(folder, 'two.y4m') }),
    ];
    record(machine, display, 5);
    const reports = sinks.map((sink) => sink.close());
    fs.closeSync(fd);
    assert.equal(
      reports.map(({ recorded }) => recorded),
      [5, 5],
    );
    assert.is(fs.statSync(screen).size, reports[0]?.bytes);
    assert.match(fs.readFileSync(screen, 'utf8'), /▀/);
  }));

test.after(() => fs.rmSync(folder, { recursive: true }));

test.run();
