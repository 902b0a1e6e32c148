/** The command line: defaults, every flag, and one clear line for each mistake. */
import { resolve } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { BadInput } from './bad-input.js';
import { HELP, parseOptions, type PlayerOptions } from './options.js';

const CWD = resolve('/somewhere');

function parsed(...args: string[]): PlayerOptions {
  const options = parseOptions(args, CWD);
  if (options === 'help') throw new Error('help was not asked for');
  return options;
}

function refusal(...args: string[]): string {
  try {
    parseOptions(args, CWD);
  } catch (error) {
    assert.instance(error, BadInput);
    return error instanceof Error ? error.message : '';
  }
  throw new Error(`${args.join(' ')} was accepted`);
}

test('without flags the sample clip is played in real time at 1280x720', () => {
  const options = parsed();
  assert.match(options.input, /examples[/\\]media[/\\]dog-h264\.mp4$/);
  assert.is(options.mode, '1280x720@60');
  assert.is(options.speed, 'realtime');
  assert.is(options.frames, undefined);
  assert.is(options.depth, undefined);
  assert.is(options.subtitle, undefined);
  assert.not(options.blockMain);
  assert.not(options.relay);
});

test('every flag is read', () => {
  const args = ['--input', 'a.mp4', '--mode', '640x360@59.94', '--frames', '7', '--depth', '2'];
  const more = ['--speed', 'max', '--out', 'b/x.y4m', '--view', 'term', '--trace', 't.json'];
  const options = parsed(
    ...args,
    ...more,
    '--block-main',
    '--kill',
    'gpu@2s',
    '--kill',
    'codec@500ms',
    '--subtitle',
    '',
  );
  assert.equal(options, {
    input: resolve(CWD, 'a.mp4'),
    mode: '640x360@59.94',
    frames: 7,
    depth: 2,
    speed: 'max',
    out: resolve(CWD, 'b/x.y4m'),
    view: 'term',
    trace: resolve(CWD, 't.json'),
    blockMain: true,
    relay: false,
    subtitle: '',
    kills: [
      { device: 'gpu', at: 2000 },
      { device: 'codec', at: 500 },
    ],
  });
});

test('--help lists every flag', () => {
  assert.is(parseOptions(['--help', '--frames', 'nonsense'], CWD), 'help');
  const flags = ['input', 'mode', 'frames', 'depth', 'speed', 'out', 'view', 'trace'];
  for (const flag of [...flags, 'subtitle', 'block-main', 'relay', 'help']) {
    assert.match(HELP, `--${flag}`);
  }
});

const REFUSALS: readonly (readonly [args: string[], says: RegExp])[] = [
  [['--nonsense'], /'--nonsense'; --help lists the flags/],
  [['clip.mp4'], /'clip\.mp4'/],
  [['--input'], /--input/],
  [['--frames', '0'], /--frames must be a whole number from 1 .*not '0'/],
  [['--frames', '-3'], /--frames/],
  [['--depth', '1.5'], /--depth must be a whole number from 1 .*not '1\.5'/],
  [['--speed', 'fast'], /--speed must be realtime or max, not 'fast'/],
  [['--view', 'x11'], /--view must be term, not 'x11'/],
  [['--mode', '1280x720'], /"1280x720".*write it as 1280x720@60/],
  [['--mode', '32x32@60'], /width 32 is not between 64 and 8192/],
  [['--mode', '640x480@500'], /500 Hz is not between/],
  [['--out', 'x.mkv'], /\.y4m .*\.png .*not 'x\.mkv'/],
  [['--trace', ''], /--trace needs a file name/],
  [['--relay', '--block-main'], /exclude each other/],
];

for (const [args, says] of REFUSALS) {
  test(`'${args.join(' ')}' is refused in one line that says what is accepted`, () => {
    const line = refusal(...args);
    assert.match(line, says);
    assert.not.match(line, '\n');
  });
}

test.run();
