// The lock file must name every platform's packages, or `npm ci` refuses it everywhere.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { missingEntries, platformOf, readLock } from './complete-lock.mjs';

test('package-lock.json names every platform package: else run scripts/complete-lock.mjs', () => {
  assert.equal(Object.keys(missingEntries(readLock().packages)), []);
});

test('package-lock.json names no registry', () => {
  const foreign = Object.entries(readLock().packages).filter(
    ([, entry]) => 'resolved' in entry && /^https?:/.test(String(entry.resolved)),
  );
  assert.equal(foreign, []);
});

test('the platform is read from the name', () => {
  assert.equal(platformOf('@oxlint/binding-linux-arm64-musl'), {
    os: ['linux'],
    cpu: ['arm64'],
    libc: ['musl'],
  });
  assert.equal(platformOf('@oxlint-tsgolint/win32-x64'), { os: ['win32'], cpu: ['x64'] });
  assert.equal(platformOf('@oxfmt/binding-android-arm-eabi'), { os: ['android'], cpu: ['arm'] });
  assert.is(platformOf('dequal'), undefined);
});

test('a missing entry is found, with its flags', () => {
  const lock = {
    'node_modules/a': { dev: true, optionalDependencies: { 'a-darwin-x64': '1.0.0' } },
  };
  assert.equal(missingEntries(lock), {
    'node_modules/a-darwin-x64': {
      version: '1.0.0',
      cpu: ['x64'],
      dev: true,
      optional: true,
      os: ['darwin'],
    },
  });
});

test.run();
