/** The subtitle: inside its screen, readable, and premultiplied as a plane takes it. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { drawSubtitle, layOutSubtitle } from './subtitle.js';

const SCREENS = [
  { width: 64, height: 64 },
  { width: 320, height: 180 },
  { width: 1280, height: 720 },
  { width: 3840, height: 2160 },
];

test('it is inside the screen, in the middle, whatever its length', () => {
  for (const screen of SCREENS) {
    for (const text of ['x', 'dog-h264.mp4', 'A line that is far too long '.repeat(20)]) {
      const subtitle = layOutSubtitle(text, screen);
      if (subtitle === undefined) throw new Error('no subtitle');
      const { x, y, width, height } = subtitle.rect;
      assert.ok(x >= 0 && y >= 0 && x + width <= screen.width && y + height <= screen.height);
      assert.ok(Math.abs(2 * x + width - screen.width) <= 1);
      const words = new Uint32Array(width * height);
      drawSubtitle(subtitle, words);
      assert.ok(words.every((word) => word === 0xffffffff || word === 0x90000000));
      assert.ok(words.includes(0xffffffff));
    }
  }
});

test('an empty text has none', () => {
  assert.is(layOutSubtitle('', { width: 320, height: 180 }), undefined);
});

test('letters look like letters', () => {
  const subtitle = layOutSubtitle('Lé', { width: 64, height: 64 });
  if (subtitle === undefined) throw new Error('no subtitle');
  const { rect } = subtitle;
  const words = new Uint32Array(rect.width * rect.height);
  drawSubtitle(subtitle, words);
  const rows = Array.from({ length: rect.height }, (_, y) =>
    Array.from({ length: rect.width }, (_, x) =>
      words[y * rect.width + x] === 0xffffffff ? '#' : '.',
    ).join(''),
  );
  // Accents are dropped; 2 pixels of margin all around.
  assert.equal(rows.slice(2, 10), [
    '..#............',
    '..#............',
    '..#......###...',
    '..#.....#...#..',
    '..#.....#####..',
    '..#.....#......',
    '..#####..###...',
    '...............',
  ]);
});

test.run();
