import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { OutputError } from './output-file.js';
import type { ScanoutFrame } from './scanout-frame.js';
import { TermSink } from './term-sink.js';
import { TermView } from './term-view.js';

const VIEW = { columns: 8, rows: 4, colour: 'truecolor', isTTY: true } as const;

function frame(colour: number): ScanoutFrame {
  return { width: 16, height: 16, pitch: 64, pixels: new Uint32Array(256).fill(colour) };
}

/** A terminal that takes `room` bytes at a time and then refuses until `drain()`. */
function terminal(): { text: string; room: number; write: (bytes: Uint8Array) => number } {
  const it = {
    text: '',
    room: Infinity,
    write(bytes: Uint8Array): number {
      const taken = Math.min(bytes.length, it.room);
      if (taken === 0) throw Object.assign(new Error('again'), { code: 'EAGAIN', errno: -11 });
      it.text += Buffer.from(bytes.subarray(0, taken)).toString('latin1');
      it.room -= taken;
      return taken;
    },
  };
  return it;
}

function expected(colours: readonly number[]): string {
  const view = new TermView(VIEW);
  const parts = [
    view.begin(),
    ...colours.map((colour) => view.frame(frame(colour)).slice()),
    view.end(),
  ];
  return Buffer.concat(parts).toString('latin1');
}

test('it writes what the view draws, from clearing to showing the cursor', () => {
  const term = terminal();
  const sink = new TermSink(VIEW, 1, term.write);
  sink.frame(frame(0xff0000));
  sink.frame(frame(0x00ff00));
  sink.close();
  sink.close();
  assert.is(term.text, expected([0xff0000, 0x00ff00]));
  assert.is(sink.frames, 2);
  assert.is(sink.bytes, term.text.length);
});

test('a terminal that is full gets the rest later, whole, and frames meanwhile are skipped', () => {
  const term = terminal();
  const sink = new TermSink(VIEW, 1, term.write);
  term.room = 50;
  sink.frame(frame(0xff0000));
  sink.frame(frame(0x123456));
  assert.is(sink.frames, 1);
  term.room = Infinity;
  sink.frame(frame(0x00ff00));
  sink.close();
  assert.is(sink.frames, 2);
  assert.is(term.text, expected([0xff0000, 0x00ff00]));
});

test('a terminal that is gone is an OutputError', () => {
  const term = terminal();
  const sink = new TermSink(VIEW, 1, (bytes) => {
    if (term.text.length === 0) return term.write(bytes);
    throw Object.assign(new Error('broken'), { code: 'EPIPE', errno: -32 });
  });
  assert.throws(
    () => sink.frame(frame(1)),
    (error: unknown) => {
      return error instanceof OutputError && error.code === 'EPIPE';
    },
  );
});

test('what is no terminal gets nothing', () => {
  const term = terminal();
  const sink = new TermSink({ ...VIEW, isTTY: false }, 1, term.write);
  sink.frame(frame(0xff));
  sink.close();
  assert.is(term.text, '');
});

test.run();
