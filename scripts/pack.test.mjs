// The packed packages, installed in an empty folder: each imports, and runs its README snippet.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkPack, codeBlocks } from './pack-check.mjs';

for (const folder of ['packages/core', 'packages/exporter-ion']) {
  test(`the packed ${folder} works in an empty folder and runs its README snippet`, () => {
    const { files, skipped, output } = checkPack(folder);
    for (const file of [
      'LICENSE',
      'NOTICE',
      'package.json',
      'dist/bundle/index.js',
      'dist/index.d.ts',
    ]) {
      assert.ok(files.includes(file), `${file} is in the tarball`);
    }
    const stray = files.filter((file) => /\.test[.-]|tsbuildinfo|node_modules/.test(file));
    assert.equal(stray, [], 'neither tests nor build state are in the tarball');
    if (skipped !== undefined) console.log(`# skip: README snippet: ${skipped}`);
    else assert.ok(output.length > 0, 'the snippet shows something');
  });
}

test('the first block of a README is its snippet, with the files that it names', () => {
  const markdown =
    'Words\n```sh\nnpm i\n```\n```ts\nmain();\n```\n```ts\nother();\n```\n' +
    '```js\n// lib/worker.mjs\nwork();\n```\n';
  assert.equal(codeBlocks(markdown), [
    { file: 'snippet.ts', code: 'main();\n' },
    { file: 'worker.mjs', code: '// lib/worker.mjs\nwork();\n' },
  ]);
});

test('a README without code has no blocks', () => {
  assert.equal(codeBlocks('# Title\n```sh\nnpm i\n```\n'), []);
});

test.run();
