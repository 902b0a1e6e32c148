import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ScanoutFrame } from './scanout-frame.js';
import { paletteIndex, termColour, TermView, type TermColour } from './term-view.js';

const ESC = '\x1b';

/** A terminal that understands just what the view may print, and fails on anything else. */
class Screen {
  readonly cells = new Map<string, string>();
  printed = 0;
  cursorShown = true;
  #row = 1;
  #column = 1;
  #style = ['', ''];

  write(bytes: Uint8Array): void {
    const text = Buffer.from(bytes).toString();
    const token = new RegExp(`${ESC}\\[([\\d;?]*)([A-Za-z])|([^${ESC}])`, 'gy');
    let end = 0;
    for (let match = token.exec(text); match !== null; match = token.exec(text)) {
      end = token.lastIndex;
      if (match[3] === undefined) this.#control(match[1] ?? '', match[2] ?? '');
      else this.#print(match[3]);
    }
    assert.is(end, text.length, 'only known sequences');
  }

  #print(character: string): void {
    this.printed++;
    const style = character === ' ' ? `${this.#style[1]}` : this.#style.join('/');
    this.cells.set(`${this.#row},${this.#column++}`, `${character} ${style}`);
  }

  #control(parameters: string, final: string): void {
    const numbers = parameters.split(';').map(Number);
    if (final === 'H') [this.#row = 1, this.#column = 1] = numbers;
    else if (final === 'K') this.#eraseLine();
    else if (final === 'h' || final === 'l') this.cursorShown = final === 'h';
    else if (final === 'm' && parameters === '0') this.#style = ['', ''];
    else if (final === 'm' && numbers[0] === 38) this.#style[0] = parameters.slice(3);
    else if (final === 'm' && numbers[0] === 48) this.#style[1] = parameters.slice(3);
    else throw new Error(`unknown sequence ${parameters}${final}`);
  }

  #eraseLine(): void {
    for (const key of this.cells.keys())
      if (key.startsWith(`${this.#row},`)) this.cells.delete(key);
  }
}

function frameOf(
  width: number,
  height: number,
  colour: (x: number, y: number) => number,
): ScanoutFrame {
  const pixels = Uint32Array.from({ length: width * height }, (_, i) =>
    colour(i % width, Math.floor(i / width)),
  );
  return { width, height, pitch: width * 4, pixels };
}

function view(columns: number, rows: number, colour: TermColour = 'truecolor', top = 1): TermView {
  return new TermView({ columns, rows, colour, isTTY: true, top });
}

test('each cell is a half block of two pixels', () => {
  const screen = new Screen();
  const rainbow = [0xff0000, 0x00ff00, 0x0000ff, 0xffffff];
  screen.write(view(2, 1).frame(frameOf(2, 2, (x, y) => rainbow[y * 2 + x] ?? 0)));
  assert.is(screen.cells.get('1,1'), '▀ 2;255;0;0/2;0;0;255');
  assert.is(screen.cells.get('1,2'), '▀ 2;0;255;0/2;255;255;255');
});

test('equal halves are a space, and the top byte of a pixel is ignored', () => {
  const screen = new Screen();
  screen.write(view(1, 1).frame(frameOf(1, 2, (_x, y) => 0x123456 + y * 0x7f000000)));
  assert.equal([...screen.cells], [['1,1', '  2;18;52;86']]);
});

test('a wide picture keeps its shape and a narrow one is centred', () => {
  const wide = view(120, 50);
  wide.frame(frameOf(1280, 720, () => 1));
  assert.is(wide.rows, 34);
  const screen = new Screen();
  screen.write(view(20, 2, 'truecolor', 5).frame(frameOf(4, 4, () => 0xffffff)));
  assert.equal([...screen.cells.keys()].slice(0, 4), ['5,9', '5,10', '5,11', '5,12']);
  assert.is(screen.cells.size, 8);
});

test('scaling down averages the pixels of a cell', () => {
  const screen = new Screen();
  screen.write(view(1, 1).frame(frameOf(4, 8, (x) => (x % 2 === 0 ? 0x000000 : 0x646464))));
  assert.is(screen.cells.get('1,1'), '  2;50;50;50');
});

test('a frame that is the same prints nothing, one changed pixel one cell', () => {
  const v = view(40, 10);
  const frame = frameOf(40, 20, (x, y) => x * y);
  v.frame(frame);
  assert.is(v.frame(frame).length, 0);
  frame.pixels[40 * 7 + 33] = 0xffffff;
  const screen = new Screen();
  screen.write(v.frame(frame));
  assert.equal([...screen.cells.keys()], ['4,34']);
  v.invalidate();
  screen.write(v.frame(frame));
  assert.is(screen.cells.size, 400);
});

test('after any series of frames the screen shows what the last one alone would', () => {
  fc.assert(
    fc.property(
      fc.constantFrom<TermColour>('truecolor', '256', 'none'),
      fc.array(fc.tuple(fc.nat(), fc.constantFrom(6, 9), fc.constantFrom(4, 15)), {
        minLength: 1,
        maxLength: 5,
      }),
      (colour, frames) => {
        const drawn = new Screen();
        const fresh = new Screen();
        const v = view(12, 5, colour, 2);
        drawn.write(v.begin());
        for (const [i, [seed, width, height]] of frames.entries()) {
          const frame = frameOf(
            width,
            height,
            (x, y) => Math.imul(seed + (x >> 2) + y, 0x9e3779b1) & 0xff3fff,
          );
          drawn.write(v.frame(frame));
          if (i === frames.length - 1) fresh.write(view(12, 5, colour, 2).frame(frame));
        }
        const sorted = (screen: Screen): string[] => [...screen.cells].map(String).toSorted();
        assert.equal(sorted(drawn), sorted(fresh));
      },
    ),
  );
});

test('without colour there is no colour sequence, and brighter is denser', () => {
  const bytes = view(10, 1, 'none').frame(
    frameOf(10, 2, (x) => Math.round((x * 255) / 9) * 0x010101),
  );
  assert.is(Buffer.from(bytes).toString(), '\x1b[1;1H .:-=+*#%@');
});

test('256 colours use the nearest palette entry', () => {
  assert.is(paletteIndex(0x000000), 16);
  assert.is(paletteIndex(0xffffff), 231);
  assert.is(paletteIndex(0xff0000), 196);
  assert.is(paletteIndex(0x808080), 244);
  assert.is(paletteIndex(0x5f87af), 67);
  const screen = new Screen();
  screen.write(view(1, 1, '256').frame(frameOf(1, 2, (_x, y) => (y === 0 ? 0xff0000 : 0))));
  assert.is(screen.cells.get('1,1'), '▀ 5;196/5;16');
});

test('without a terminal nothing is drawn at all', () => {
  const v = new TermView({ columns: 10, rows: 5, colour: 'truecolor', isTTY: false });
  const lengths = [v.begin().length, v.frame(frameOf(4, 4, () => 1)).length, v.end().length];
  assert.equal(lengths, [0, 0, 0]);
});

test('begin hides the cursor and end shows it below the view', () => {
  const screen = new Screen();
  const v = view(4, 3);
  screen.write(v.begin());
  assert.not(screen.cursorShown);
  screen.write(v.end());
  assert.ok(screen.cursorShown);
  assert.ok(Buffer.from(v.end()).toString().includes(`${ESC}[4;1H`));
});

test('the environment decides on colours, NO_COLOR first', () => {
  assert.is(termColour({ NO_COLOR: '1', COLORTERM: 'truecolor' }), 'none');
  assert.is(termColour({ NO_COLOR: '', COLORTERM: 'truecolor' }), 'truecolor');
  assert.is(termColour({ TERM: 'dumb' }), 'none');
  assert.is(termColour({ TERM: 'xterm-256color', COLORTERM: '24bit' }), 'truecolor');
  assert.is(termColour({ TERM: 'xterm-kitty' }), 'truecolor');
  assert.is(termColour({ TERM: 'xterm-256color' }), '256');
});

test.run();
