// What an exporter's table must have (drivers/dma-buf/dma-buf.c: dma_buf_export; design D9, D15).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf } from '../testing/code-of.js';
import { checkOps } from './check-ops.js';
import { contiguousOps, type DmaBufOps } from './ops.js';

const least: DmaBufOps = { ...contiguousOps, release() {} };

const without = (ops: DmaBufOps, ...names: readonly (keyof DmaBufOps)[]): DmaBufOps => {
  const rest: Partial<DmaBufOps> = { ...ops };
  for (const name of names) delete rest[name];
  return rest as DmaBufOps;
};

test('map, unmap and release are mandatory, everything else is optional', () => {
  assert.is(checkOps('x', least), least);
  assert.is(checkOps('x', undefined), undefined);
  for (const name of ['map', 'unmap', 'release'] as const) {
    assert.is(
      codeOf(() => checkOps('x', without(least, name))),
      'EINVAL',
      name,
    );
    assert.throws(() => checkOps('mine', without(least, name)), new RegExp(`'mine'.*'${name}'`));
  }
});

test('pin needs unpin, vmap needs vunmap, and the other way round', () => {
  const nothing = (): void => {};
  for (const [one, other] of [
    ['pin', 'unpin'],
    ['vmap', 'vunmap'],
  ] as const) {
    assert.is(
      codeOf(() => checkOps('x', { ...least, [one]: nothing })),
      'EINVAL',
      one,
    );
    assert.is(
      codeOf(() => checkOps('x', { ...least, [other]: nothing })),
      'EINVAL',
      other,
    );
    assert.ok(checkOps('x', { ...least, [one]: nothing, [other]: nothing }));
  }
});

test('an exporter that offers mmap must bracket access', () => {
  const full = { ...least, mmap() {}, prepareAccess() {}, finishAccess() {} };
  assert.is(checkOps('x', full), full);
  assert.is(
    codeOf(() => checkOps('x', without(full, 'prepareAccess'))),
    'EINVAL',
  );
  assert.is(
    codeOf(() => checkOps('x', without(full, 'finishAccess'))),
    'EINVAL',
  );
  assert.ok(checkOps('x', without(full, 'mmap')), 'brackets without mmap are allowed');
});

test('what is no function, or no table, is a TypeError', () => {
  const text: unknown = 'map';
  for (const ops of [{ ...least, map: text }, { ...least, attach: 1 }, text, null]) {
    assert.throws(
      () => checkOps('x', ops as DmaBufOps),
      (e: unknown) => e instanceof TypeError,
    );
  }
});

test.run();
