import { DmaBufError } from '@dmabuf/core';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type CrtcCommand, decodeCommand, encodeCommand } from './command.js';

const id = fc.integer({ min: 1, max: 2 ** 30 });
const plain = { noNullPrototype: true };
const commands: fc.Arbitrary<CrtcCommand> = fc.oneof(
  fc.record(
    {
      kind: fc.constant('flip' as const),
      fb: id,
      at: fc.option(fc.double({ noNaN: true, noDefaultInfinity: true }), { nil: undefined }),
      start: fc.boolean(),
      payload: fc.option(fc.integer(), { nil: undefined }),
    },
    plain,
  ),
  fc.record(
    {
      kind: fc.constant('modeset' as const),
      hdisplay: id,
      vdisplay: id,
      vrefresh: id,
      fb: fc.nat(),
    },
    plain,
  ),
  fc.record({ kind: fc.constant('rmfb' as const), fb: id }, plain),
);

test('every command comes out of its payload as it went in', () => {
  fc.assert(
    fc.property(commands, (command) => {
      assert.equal(decodeCommand(encodeCommand(command)), command);
    }),
  );
});

test('a plain flip is an integer, which a job carries for nothing', () => {
  const flip = { kind: 'flip', fb: 7, at: undefined, start: false, payload: undefined } as const;
  assert.is(encodeCommand(flip), 7);
});

test('whatever else arrives is refused with EINVAL and never taken for a command', () => {
  fc.assert(
    fc.property(fc.anything(), (payload) => {
      try {
        const command = decodeCommand(payload);
        assert.ok(Number.isInteger(command.fb), 'taken');
      } catch (error) {
        assert.instance(error, DmaBufError);
      }
    }),
  );
});

test.run();
