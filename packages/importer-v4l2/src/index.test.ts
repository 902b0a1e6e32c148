/**
 * What the package shows to the outside.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { fourccName, v4l2, v4l2_fourcc } from './index.js';

test('the first snippet of the README runs as printed', () => {
  const root = fileURLToPath(new URL('..', import.meta.url));
  const readme = readFileSync(`${root}/README.md`, 'utf8');
  const snippet = /```js\n([^]*?)```/.exec(readme)?.[1] ?? '';
  const output = execFileSync(process.execPath, ['--input-type=module', '--eval', snippet], {
    cwd: root,
    encoding: 'utf8',
    timeout: 60_000,
  });
  assert.match(output, /^H264 H\.264 here\n/);
  assert.match(output, /\ndecoded: true 32 16\nfirst pixel: 128\n$/);
});

test('a driver spec is plain data, and several have names of their own', () => {
  const specs = [v4l2(), v4l2({ device: '/dev/video1', name: 'video1' })];
  assert.equal(structuredClone(specs), specs);
  assert.is(new Set(specs.map(({ name }) => name)).size, 2);
  assert.equal(
    specs.map(({ devices }) => devices[0]?.path),
    ['/dev/video0', '/dev/video1'],
  );
});

test('pixel formats have the numbers of videodev2.h', () => {
  assert.is(v4l2_fourcc('YU12'), 0x32315559);
  assert.is(fourccName(0x34363248), 'H264');
  assert.throws(() => v4l2_fourcc('H.264'), /^EINVAL.*four characters/);
});

test.run();
