import { DmaBufError } from '@dmabuf/core';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { AT_ONCE, type CrtcCommand, decodeCommand, encodeCommand } from './command.js';

const id = fc.integer({ min: 1, max: 2 ** 30 });
const plain = { noNullPrototype: true };
const timing = {
  at: fc.option(fc.double({ noNaN: true, noDefaultInfinity: true }), { nil: undefined }),
  start: fc.boolean(),
  async: fc.boolean(),
  payload: fc.option(fc.integer(), { nil: undefined }),
};
const mode = fc.record(
  {
    active: fc.constantFrom(true, false, undefined),
    hdisplay: id,
    vdisplay: id,
    vrefresh: id,
    refit: fc.boolean(),
  },
  plain,
);
const state = fc.record(
  {
    fb: id,
    crtcX: fc.integer(),
    crtcY: fc.integer(),
    crtcW: fc.nat(),
    crtcH: fc.nat(),
    srcX: fc.nat(),
    srcY: fc.nat(),
    srcW: fc.nat(),
    srcH: fc.nat(),
    alpha: fc.nat(0xffff),
    blend: fc.nat(2),
    zpos: fc.nat(9),
    encoding: fc.nat(1),
    range: fc.nat(1),
  },
  plain,
);
const update = fc.record({ plane: fc.nat(9), state }, plain);
const commands: fc.Arbitrary<CrtcCommand> = fc.oneof(
  fc.record({ kind: fc.constant('flip' as const), fb: id, ...timing }, plain),
  fc.record(
    {
      kind: fc.constant('commit' as const),
      parts: fc.nat(9),
      ...timing,
      mode: fc.option(mode, { nil: undefined }),
      vrr: fc.constantFrom(true, false, undefined),
      update: fc.option(update, { nil: undefined }),
    },
    plain,
  ),
  fc.record({ kind: fc.constant('part' as const), index: id, update }, plain),
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
  const flip = { kind: 'flip', fb: 7, ...AT_ONCE } as const;
  assert.is(encodeCommand(flip), 7);
});

test('whatever else arrives is refused with EINVAL and never taken for a command', () => {
  fc.assert(
    fc.property(fc.anything(), (payload) => {
      try {
        const command = decodeCommand(payload);
        assert.ok('fb' in command && Number.isInteger(command.fb), 'taken');
      } catch (error) {
        assert.instance(error, DmaBufError);
      }
    }),
  );
});

test.run();
