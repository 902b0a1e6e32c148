import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { kms, type KmsOptions, parseMode } from './index.js';
import { settingsOf } from './options.js';

test('kms() is plain data that survives a journey to another thread', () => {
  const spec = kms({ mode: '800x600@75' });
  assert.equal(structuredClone(spec), spec);
  assert.equal(
    spec.devices.map(({ path }) => path),
    ['/dev/dri/card0', '/dev/dri/card0-writeback'],
  );
  assert.is(settingsOf(spec.options).mode.name, '800x600@75');
});

test('a second card has names of its own', () => {
  const [first, second] = [kms(), kms({ card: 1 })];
  const names = [first, second].flatMap((spec) => [
    spec.name,
    ...spec.devices.map(({ name }) => name),
  ]);
  assert.is(new Set(names).size, 6);
});

test('a mode may be given as text or as a mode', () => {
  const mode = parseMode('1920x1080@59.94');
  assert.equal(settingsOf(kms({ mode }).options).mode, mode);
});

test('an option out of range is refused, by its name', () => {
  const refused: readonly [KmsOptions, RegExp][] = [
    [{ tolerance: -1 }, /tolerance/],
    [{ spin: 3 }, /spin/],
    [{ framebuffers: 256 }, /framebuffers/],
    [{ framebuffers: 0 }, /framebuffers/],
    [{ slots: 0.5 }, /slots/],
    [{ card: -1 }, /card/],
    [{ mode: '1x1@60' }, /EINVAL: .*width 1/],
  ];
  for (const [options, text] of refused) assert.throws(() => kms(options), text);
  assert.throws(() => settingsOf({}), TypeError);
});

test.run();
