/** What `ion()` accepts, and how the pool is shared out. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ion, type IonOptions } from './index.js';
import { resolveOptions } from './options.js';
import { granuleFor, sharesOf } from './pool-layout.js';

const MIB = 1 << 20;

function messageOf(options: IonOptions): string {
  try {
    ion(options);
  } catch (error) {
    return error instanceof Error ? `${error.name}: ${error.message}` : '';
  }
  throw new Error('it was accepted');
}

test('options that cannot be are refused, and named', () => {
  const carveout = { type: 'carveout' };
  assert.match(messageOf({ heaps: [] }), /RangeError: ion: heaps is empty/);
  assert.match(messageOf({ heaps: [carveout, carveout] }), /two heaps have the name carveout/);
  assert.match(messageOf({ heaps: [carveout, { ...carveout, name: 'b' }] }), /the id 2/);
  const both = [carveout, { type: 'cma' }];
  assert.match(messageOf({ heaps: both }), /only one pool heap.*carveout, cma/);
  assert.match(messageOf({ heaps: [{ type: 'mine' }] }), /TypeError.*'mine'.*needs an id/);
  assert.match(messageOf({ heaps: [{ type: 'system', id: 32 }] }), /0 to 31, not 32/);
  assert.match(messageOf({ heaps: [{ type: 'system', name: '' }] }), /1 to 31 bytes/);
  assert.match(messageOf({ heaps: [{ type: 'chunk', chunk: 5000 }] }), /power of two, not 5000/);
  assert.match(messageOf({ buffers: 0 }), /buffers must be an integer/);
  assert.match(messageOf({ pages: 1.5 }), /pages must be an integer/);
});

test('the pool is shared out in the order of the heaps, one of them taking what is left', () => {
  const config = resolveOptions({
    heaps: [
      { type: 'system' },
      { type: 'cma', size: MIB + 1 },
      { type: 'carveout' },
      { type: 'protected', size: MIB },
    ],
    poolReserve: 65536,
  });
  assert.is(granuleFor(8 * MIB, config), 4096);
  const cma = MIB + 4096;
  const rest = 6 * MIB - 65536 - 4096;
  assert.equal(sharesOf(8 * MIB, 4096, config), [
    undefined,
    { offset: 65536, bytes: cma },
    { offset: 65536 + cma, bytes: rest },
    { offset: 65536 + cma + rest, bytes: MIB },
  ]);
  assert.is(granuleFor(2 ** 32, config), 65536);
});

test.run();
