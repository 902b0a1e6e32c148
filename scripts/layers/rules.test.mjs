// Each layer rule, shown on code that breaks it and on code that does not.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { blank } from './blank.mjs';
import { checkFile } from './rules.mjs';

/** @param {string} folder @param {string[]} [exports] */
const driver = (folder, exports = ['.']) => ({
  folder: `packages/${folder}`,
  name: `@dmabuf/${folder}`,
  exports,
  dependencies: ['@dmabuf/core', 'h264decoder'],
  onDemand: ['@libav.js/variant-webm-vp9'],
});
const packages = [
  {
    ...driver('core', ['.', './driver', './conformance/*']),
    dependencies: ['piscina', '@scope/deep'],
  },
  driver('exporter-ion'),
  driver('importer-gpu'),
  { ...driver('examples'), folder: 'examples', name: '@dmabuf/examples' },
  { ...driver('bench'), folder: 'bench', name: '@dmabuf/bench' },
];

/** @param {string} path @param {string} source */
const rules = (path, source) =>
  checkFile(path, source, packages).map(({ line, rule }) => `${line} ${rule}`);

const CORE = 'packages/core/src/sync/queue.ts';
const WORDS = 'packages/core/src/memory/words.ts';
const SEAM = 'packages/core/src/substrate/seam.ts';
const GPU = 'packages/importer-gpu/src/device.ts';

test('shared memory is named in the substrate alone', () => {
  const source = 'const a = 1;\nconst b = new SharedArrayBuffer(4);\n';
  assert.equal(rules(CORE, source), ['2 shared-memory']);
  assert.equal(rules(WORDS, source), ['2 shared-memory']);
  assert.equal(rules(SEAM, source), []);
  assert.equal(rules(GPU, 'function f(b: SharedArrayBuffer) {}'), ['1 shared-memory']);
  const pool = 'const m = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });';
  assert.equal(rules(GPU, pool), ['1 shared-memory']);
  assert.equal(rules(GPU, 'new WebAssembly.Memory(descriptor);'), ['1 shared-memory']);
  assert.equal(rules(GPU, 'new WebAssembly.Memory({ initial: 1 });'), []);
  assert.equal(rules('packages/importer-gpu/src/a.test.ts', pool), []);
  assert.equal(rules('packages/importer-gpu/src/a.test.helper.ts', pool), []);
  assert.equal(rules(GPU, 'let m: WebAssembly.Memory;'), []);
});

test('waits and wake-ups are in the substrate alone, even where Atomics is allowed', () => {
  for (const call of ['wait', 'notify', 'waitAsync']) {
    assert.equal(rules(WORDS, `Atomics.${call}(w, 0, 0);`), ['1 shared-memory']);
    assert.equal(rules(SEAM, `Atomics.${call}(w, 0, 0);`), []);
  }
});

test('Atomics is called in the accessor and the substrate alone', () => {
  assert.equal(rules(CORE, 'Atomics.load(w, 0);'), ['1 atomics']);
  assert.equal(rules(WORDS, 'Atomics.load(w, 0);'), []);
  assert.equal(rules(SEAM, 'Atomics.load(w, 0);'), []);
  assert.equal(rules(GPU, 'Atomics\n  .add(w, 0, 1);'), ['1 atomics']);
});

test('Atomics cannot be renamed or taken apart', () => {
  assert.equal(rules(WORDS, 'const { wait } = Atomics;'), ['1 atomics']);
  assert.equal(rules(WORDS, 'const a = Atomics;'), ['1 atomics']);
  assert.equal(rules(WORDS, "Atomics['wait'](w, 0, 0);"), ['1 atomics']);
});

test('words in comments and strings are no breach', () => {
  const source = [
    '// SharedArrayBuffer, Atomics.wait',
    '/* new WebAssembly.Memory\n SharedArrayBuffer */',
    "const a = 'SharedArrayBuffer';",
    'const b = `Atomics.wait ${a} SharedArrayBuffer`;',
    'const c = /SharedArrayBuffer["`]/;',
  ];
  assert.equal(rules(CORE, source.join('\n')), []);
});

test('code inside a template is code', () => {
  const source = 'const b = `x ${ { a: new SharedArrayBuffer(4) }.a } y`;\nAtomics.load(w, 0);';
  assert.equal(rules(CORE, source), ['1 shared-memory', '2 atomics']);
});

test('a test is exempted by a line with a reason, for that rule alone', () => {
  const path = 'packages/core/src/sync/queue.test.ts';
  const code = 'new SharedArrayBuffer(4);\nAtomics.load(w, 0);\n';
  const reason = '// check-layers: allow shared-memory -- a bare word to race two threads on\n';
  assert.equal(rules(path, code), ['1 shared-memory', '2 atomics']);
  assert.equal(rules(path, reason + code), ['3 atomics']);
  assert.equal(rules(path, `// check-layers: allow shared-memory\n${code}`).length, 2);
  assert.equal(rules(CORE, reason + code).length, 2, 'only tests can be exempted');
});

test('bench may use the bare primitives that it measures against', () => {
  assert.equal(rules('bench/bare.ts', 'Atomics.wait(w, 0, 0); new SharedArrayBuffer(4);'), []);
});

test('a driver imports core alone', () => {
  assert.equal(rules(GPU, "import { a } from '@dmabuf/core';"), []);
  assert.equal(rules(GPU, "import type { a } from '@dmabuf/core/driver';"), []);
  assert.equal(rules(GPU, "import {\n  a,\n} from '@dmabuf/exporter-ion';"), ['1 imports']);
  assert.equal(rules(GPU, "await import('@dmabuf/exporter-ion');"), ['1 imports']);
  assert.equal(rules(GPU, "export * from '@dmabuf/exporter-ion';"), ['1 imports']);
  assert.equal(rules(GPU, "import '../../exporter-ion/src/heap.js';"), ['1 imports']);
});

test('core imports no driver', () => {
  assert.equal(rules(CORE, "import { a } from '@dmabuf/exporter-ion';"), ['1 imports']);
  assert.equal(rules(CORE, "import { a } from '../fd/table.js';"), []);
});

test('only public exports are imported', () => {
  const example = 'examples/tiny.ts';
  assert.equal(rules(example, "import { a } from '@dmabuf/core';"), []);
  assert.equal(rules(example, "import { a } from '@dmabuf/core/conformance/exporter';"), []);
  assert.equal(rules(example, "import { a } from '@dmabuf/core/dist/fd.js';"), ['1 imports']);
  assert.equal(rules(example, "import { a } from '../packages/core/src/fd.js';"), ['1 imports']);
  assert.equal(rules(GPU, "import { a } from '@dmabuf/core/src/fd.js';"), ['1 imports']);
});

test('what is imported is declared', () => {
  assert.equal(rules(GPU, "import { a } from 'h264decoder/dist/x.js';"), []);
  assert.equal(rules(CORE, "import { a } from '@scope/deep/x';"), []);
  assert.equal(rules(CORE, "import { readFileSync } from 'node:fs';"), []);
  assert.equal(rules(CORE, "import { a } from 'msgpackr';"), ['1 imports']);
  assert.equal(rules(GPU, "await import('@libav.js/variant-webm-vp9');"), []);
  assert.equal(rules(GPU, "import a from '@libav.js/variant-webm-vp9';"), ['1 imports']);
  assert.equal(rules('packages/core/src/a.test.ts', "import { test } from 'uvu';"), []);
});

test('an import in a comment or a string is none', () => {
  assert.equal(rules(GPU, "// import { a } from '@dmabuf/exporter-ion';"), []);
  assert.equal(rules(GPU, 'const s = "import { a } from \'@dmabuf/exporter-ion\'";'), []);
});

test('blanking keeps every position', () => {
  const source = 'a /* b\n */ `c ${d + `e${f}`} g` / h / i // j\n"k"';
  const blanked = blank(source, { strings: true });
  assert.is(blanked.length, source.length);
  assert.equal(blanked.split('\n').length, source.split('\n').length);
  assert.equal(blanked.replace(/\s+/g, ''), 'ad+f/h/i');
});

test.run();
