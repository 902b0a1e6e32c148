// kms_addfb_basic of igt-gpu-tools: what ADDFB2 refuses, naming the field. 512 × 512, XRGB8888.
import { boot, type DmaBuf } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf, messageOf, MODE } from '../display.test-helper.js';
import { checkFramebuffer } from '../framebuffer.js';
import {
  Display,
  DRM_FORMAT_XRGB8888,
  DRM_MODE_FB_MODIFIERS,
  type FramebufferOptions,
  kms,
} from '../index.js';

const SIZE = 512;
const PITCH = SIZE * 4;
const TILED = 0x0100_0000_0000_0001n;
const flags: number = DRM_MODE_FB_MODIFIERS;

type Add = (change?: Partial<FramebufferOptions>, bytes?: number) => void;

function requestOf(buffer: DmaBuf, change: Partial<FramebufferOptions>): FramebufferOptions {
  const fourcc = DRM_FORMAT_XRGB8888;
  return { buffer, width: SIZE, height: SIZE, fourcc, pitches: [PITCH], ...change };
}

const machine = await boot({ drivers: [kms({ mode: MODE })] });
const display = Display.open(machine);

test.after(() => machine.shutdown());

/** A test whose `add` makes a framebuffer of a fresh buffer, and removes it if it was accepted. */
function withAdd(run: (add: Add) => void): () => void {
  return () => {
    const { buffers } = machine.stats();
    run((change = {}, bytes = PITCH * SIZE) => {
      const buffer = machine.alloc(bytes);
      try {
        display.rmFramebuffer(display.addFramebuffer(requestOf(buffer, change)));
      } finally {
        buffer.close();
      }
    });
    assert.is(machine.stats().buffers, buffers, 'nothing is left behind');
  };
}

function refused(add: () => void, field: RegExp): void {
  assert.is(codeOf(add), 'EINVAL');
  assert.match(messageOf(add), field);
}

test('unused-handle: EINVAL with MODIFIERS, which names the plane', () => {
  const plain = { width: SIZE, height: SIZE, fourcc: DRM_FORMAT_XRGB8888, pitches: [PITCH] };
  const handles = [PITCH * SIZE, PITCH * SIZE];
  refused(() => checkFramebuffer({ ...plain, flags, handles }), /handles\[1\]/);
});

test(
  'unused-pitches: EINVAL with MODIFIERS',
  withAdd((add) =>
    refused(() => add({ flags, pitches: [PITCH, PITCH] }), /(handles|pitches)\[1\]/),
  ),
);

test(
  'unused-offsets: EINVAL with MODIFIERS',
  withAdd((add) => refused(() => add({ flags, offsets: [0, PITCH] }), /offsets\[1\]/)),
);

test(
  'unused-modifier: EINVAL with MODIFIERS',
  withAdd((add) => refused(() => add({ flags, modifier: [0n, TILED] }), /modifier\[1\]/)),
);

test(
  'clobberred-modifier: EINVAL without MODIFIERS',
  withAdd((add) => refused(() => add({ modifier: [TILED] }), /modifier\[0\]/)),
);

test('no-handle: EINVAL', () => {
  const plain = { width: SIZE, height: SIZE, fourcc: DRM_FORMAT_XRGB8888, pitches: [PITCH] };
  refused(() => checkFramebuffer({ ...plain, handles: [] }), /handles\[0\] is missing/);
});

test(
  'basic: a framebuffer of exactly its size is accepted',
  withAdd((add) => add()),
);

test(
  'bad-pitch-0: below width × 4',
  withAdd((add) => refused(() => add({ pitches: [0] }), /pitches\[0\]/)),
);

test(
  'bad-pitch-32: below width × 4',
  withAdd((add) => refused(() => add({ pitches: [32] }), /pitches\[0\]/)),
);

test(
  'bad-pitch-63: below width × 4',
  withAdd((add) => refused(() => add({ pitches: [63] }), /pitches\[0\]/)),
);

test(
  'bad-pitch-128: below width × 4',
  withAdd((add) => refused(() => add({ pitches: [128] }), /pitches\[0\]/)),
);

test(
  'bad-pitch-256: below width × 4',
  withAdd((add) => refused(() => add({ pitches: [256] }), /pitches\[0\]/)),
);

test(
  'bad-pitch-999: below width × 4',
  withAdd((add) => refused(() => add({ pitches: [999] }), /pitches\[0\]/)),
);

test(
  'bad-pitch-1024: below width × 4',
  withAdd((add) => refused(() => add({ pitches: [1024] }), /pitches\[0\]/)),
);

test(
  'bad-pitch-65536: the last row would end beyond the buffer',
  withAdd((add) => refused(() => add({ pitches: [65536] }), /handles\[0\]/)),
);

test(
  'size-max: the whole buffer is accepted',
  withAdd((add) => add({ height: SIZE }, PITCH * SIZE)),
);

test(
  'too-wide: EINVAL',
  withAdd((add) => refused(() => add({ width: SIZE + 1 }), /pitches\[0\] 2048 is below/)),
);

test(
  'too-high: EINVAL',
  withAdd((add) => refused(() => add({ height: SIZE + 1 }), /handles\[0\] is a buffer of/)),
);

test(
  'bo-too-small: EINVAL by one page',
  withAdd((add) => refused(() => add({}, PITCH * SIZE - 4096), /handles\[0\] is a buffer of/)),
);

test(
  'small-bo: a framebuffer of half the height fits into half the buffer',
  withAdd((add) => add({ height: SIZE / 2 }, (PITCH * SIZE) / 2)),
);

test(
  'addfb25-modifier-no-flag: EINVAL',
  withAdd((add) => refused(() => add({ modifier: [TILED] }), /lacks DRM_MODE_FB_MODIFIERS/)),
);

test(
  'addfb25-bad-modifier: EINVAL, and the accepted ones are listed',
  withAdd((add) =>
    refused(() => add({ flags, modifier: [~0n & 0xffff_ffff_ffff_ffffn] }), /not one of 0x0/),
  ),
);

test('master-rmfb: ENOENT for a framebuffer of another file', () => {
  const buffer = machine.alloc(PITCH * SIZE);
  const fb = display.addFramebuffer(requestOf(buffer, {}));
  const other = Display.open(machine);
  const theirs = other.framebuffer(fb.handle, buffer);
  assert.is(
    codeOf(() => other.rmFramebuffer(theirs)),
    'ENOENT',
  );
  theirs.buffer.close();
  display.rmFramebuffer(fb);
  buffer.close();
});

test('invalid-get-prop: EINVAL, a framebuffer has no properties', () => {
  const buffer = machine.alloc(PITCH * SIZE);
  const fb = display.addFramebuffer(requestOf(buffer, {}));
  refused(() => display.getProperties(fb), /object \d+ is a framebuffer/);
  refused(() => display.setProperty(fb, 'alpha', 0), /object \d+ is a framebuffer/);
  display.rmFramebuffer(fb);
  buffer.close();
});

test('invalid-set-prop: EINVAL, and ENOENT for a property that there is not', () => {
  refused(() => display.setProperty(display.objects.primary, 'type', 1), /can only be read/);
  assert.is(
    codeOf(() => display.setProperty(display.objects.crtc, 'Broadcast RGB', 0)),
    'ENOENT',
  );
});

test.run();
