/** Several cards in one machine; and a display that sleeps and wakes up. */
import { boot } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf, makeFb, messageOf, MODE } from './display.test-helper.js';
import {
  AtomicRequest,
  Display,
  DRM_MODE_DPMS_OFF,
  DRM_MODE_DPMS_ON,
  kms,
  type PropertyValue,
} from './index.js';

const machine = await boot({
  drivers: [kms({ mode: MODE }), kms({ card: 1, mode: '128x64@120', overlays: 0 })],
});
const card0 = Display.open(machine);
const card1 = Display.open(machine, '/dev/dri/card1');
const wide = { width: 128, height: 64, pitches: [512] };

test.after(() => machine.shutdown());

test('each card has its own mode, planes, framebuffers and flips', () => {
  assert.equal([card0.mode.name, card1.mode.name], [MODE, '128x64@120']);
  assert.equal([card0.objects.planes.length, card1.objects.planes.length], [4, 2]);
  const a = makeFb(machine, card0, 1);
  const buffer = machine.alloc(512 * 64);
  const b = card1.addFramebuffer({ buffer, fourcc: a.fourcc, ...wide });
  card0.setMode(MODE, a);
  assert.equal([card0.active, card1.active], [true, false]);
  card1.queueFlip({ fb: b }).wait();
  card1.queueFlip({ fb: b }).wait();
  assert.equal([card0.onScreen, card1.onScreen], [a.id, b.id]);
  assert.equal([card0.stats().shown, card1.stats().shown], [0, 2]);
  card0.disable();
  assert.equal([card0.active, card1.active], [false, true]);
  assert.not.throws(() => card1.waitVblank({ sequence: 1 }));
  card1.rmFramebuffer(b);
  card0.rmFramebuffer(a);
  buffer.close();
});

test('one buffer may be on both screens, and is let go when the last one has moved on', () => {
  const buffer = machine.alloc(512 * 64);
  const [a, b] = [card0, card1].map((card) =>
    card.addFramebuffer({ buffer, fourcc: 0x34325258, ...wide }),
  );
  if (a === undefined || b === undefined) throw new Error('two');
  card0.setMode(MODE, a);
  card1.setMode('128x64@120', b);
  const busy = (): string => codeOf(() => buffer.access({ write: true, timeout: 0 }).finish());
  assert.is(busy(), 'ETIME');
  card0.disable();
  assert.is(busy(), 'ETIME');
  card1.disable();
  buffer.access({ write: true, timeout: 20_000 }).finish();
  card0.close();
  card1.close();
  buffer.close();
});

test('DPMS off stops vblanks and keeps mode and planes; on brings the same picture back', () => {
  const [a, b] = [makeFb(machine, card0, 0x111111), makeFb(machine, card0, 0x222222)];
  const { connector, crtc, overlays } = card0.objects;
  const [overlay] = overlays;
  if (overlay === undefined) throw new Error('an overlay');
  const dpms = (): unknown => card0.getProperties(connector).get('DPMS')?.value;
  card0.setMode(MODE, a);
  card0.setPlane(overlay, b, { x: 30, y: 0 });
  const crc = card0.crc();
  assert.is(dpms(), DRM_MODE_DPMS_ON);
  card0.setProperty(connector, 'DPMS', DRM_MODE_DPMS_OFF);
  assert.equal([card0.active, card0.onScreen, dpms()], [false, 0, DRM_MODE_DPMS_OFF]);
  assert.is(
    codeOf(() => card0.waitVblank({ sequence: 1 })),
    'EINVAL',
  );
  assert.is(card0.getProperties(overlay).get('FB_ID')?.value, b.id, 'the planes are still there');
  card0.setProperty(connector, 'DPMS', DRM_MODE_DPMS_ON);
  assert.equal([card0.active, card0.onScreen, card0.crc()], [true, a.id, crc]);
  assert.not.throws(() => card0.waitVblank({ sequence: 1 }));
  const atomic = (value: PropertyValue): unknown =>
    card0.commit(new AtomicRequest().add(connector, 'DPMS', value));
  assert.match(
    messageOf(() => atomic(DRM_MODE_DPMS_OFF)),
    /^EINVAL: .*DPMS 3: it is of setProperty alone/,
  );
  assert.is(
    codeOf(() => card0.setProperty(connector, 'DPMS', 9)),
    'EINVAL',
  );
  assert.is(card0.getProperties(crtc).get('ACTIVE')?.value, 1);
  card0.close();
});

test.run();
