// The table of conformance: made from the suites, complete, and up to date.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  caseOf,
  collect,
  countOf,
  faultsOf,
  isUpToDate,
  render,
  testNames,
} from './conformance.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

test('docs/CONFORMANCE.md is what the script makes of the suites', () => {
  assert.ok(isUpToDate(), 'run node scripts/conformance.mjs and commit the file');
});

test('the lists of cases have no faults', () => {
  assert.equal(faultsOf(collect(root)), []);
});

test('at least 90 % of the cases that exist here are covered, of every origin', () => {
  for (const origin of collect(root)) {
    const { share } = countOf([origin]);
    assert.ok(share >= 0.9, `${origin.suite}: ${Math.round(share * 100)} %`);
  }
});

test('names are found in calls of test with literals and templates', () => {
  const source =
    "test('a_b', f);\ntest(`c: ${n} times`, f);\ntest(\n  'd\\'s: e', f);\ntest.skip('no', f);";
  assert.equal(testNames(source), ['a_b', 'c: ', "d\\'s: e"]);
  assert.equal(testNames(source).map(caseOf), ['a_b', 'c', "d\\'s"]);
});

/** @param {(put: (path: string, text: string) => void, at: string) => void} act */
function inFolder(act) {
  const at = mkdtempSync(join(tmpdir(), 'conformance-'));
  const put = (/** @type {string} */ path, /** @type {string} */ text) => {
    mkdirSync(dirname(join(at, path)), { recursive: true });
    writeFileSync(join(at, path), text);
  };
  try {
    act(put, at);
  } finally {
    rmSync(at, { recursive: true });
  }
}

test('cases are covered by the suites of any package, missing, or left out with a reason', () => {
  inFolder((put, at) => {
    const origin = {
      suite: 'x',
      title: 'X',
      source: 'x.c',
      cases: ['one', 'two', 'three', 'four'],
      notes: { one: 'smaller' },
      leftOut: { three: 'no such thing' },
    };
    put('package.json', JSON.stringify({ workspaces: ['packages/a', 'packages/b'] }));
    put('packages/a/src/conformance/cases.json', JSON.stringify({ origins: [origin] }));
    put('packages/a/src/conformance/x.test.ts', "test('one: first', f); test('own', f);");
    put('packages/b/src/conformance/x.test.ts', "test('two', f);");
    const origins = collect(at);
    const { cases, covered, leftOut, missing, share } = countOf(origins);
    assert.equal([cases, covered, leftOut, missing, share], [4, 2, 1, 1, 2 / 3]);
    assert.equal(faultsOf(origins), []);
    const text = render(origins);
    assert.match(text, '| X (x) | 4 | 2 | 1 | 1 | 66.6 % |');
    assert.match(text, '| one | covered | smaller |');
    assert.match(text, '| three | left out | no such thing |');
    assert.match(text, '| four | **missing** |  |');
    assert.match(text, '1 tests of our own');
  });
});

test('a case that is listed twice, unknown, or left out and covered is a fault', () => {
  inFolder((put, at) => {
    const origin = {
      suite: 'x',
      title: 'X',
      source: 'x.c',
      cases: ['one', 'one', 'two'],
      notes: { gone: 'where?' },
      leftOut: { two: 'no such thing' },
    };
    put('package.json', JSON.stringify({ workspaces: ['packages/a'] }));
    put('packages/a/src/conformance/cases.json', JSON.stringify({ origins: [origin] }));
    put('packages/a/src/conformance/x.test.ts', "test('two', f);");
    assert.equal(faultsOf(collect(at)), [
      'x: one is listed twice',
      'x: gone has a note or a reason and is not listed',
      'x: two is left out and covered',
    ]);
  });
});

test.run();
