/** The writeback worker of a real machine dies: what is on screen stays, sinks are lost, new ones work. */
import type { Machine } from '@dmabuf/core';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf, makeFb, MODE, withDisplay } from './display.test-helper.js';
import type { Display } from './index.js';
import { readY4m } from './y4m.js';

const LIMIT_MS = 20_000;

async function die(machine: Machine, display: Display): Promise<void> {
  const before = machine.actorStats(display.writebackActor).restarts;
  machine.resetDevice(display.writebackActor, 'the test says so');
  for (const start = performance.now(); ;) {
    if (machine.actorStats(display.writebackActor).restarts !== before) return;
    if (performance.now() - start > LIMIT_MS) throw new Error('it was not started again');
    await new Promise((resolve) => {
      setTimeout(resolve, 2);
    });
  }
}

test('recording and CRCs go on in the next life, with sinks that are opened there', () =>
  withDisplay({ speed: 'max' }, async (display, machine) => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dmabuf-writeback-death-'));
    const fb = makeFb(machine, display, 0x808080);
    display.setMode(MODE, fb);
    const crc = display.crc();
    const lost = display.openSink({ file: path.join(folder, 'lost.y4m') });
    await die(machine, display);
    assert.is(display.onScreen, fb.id);
    const late = display.queueWriteback({ fb, after: display.queueFlip({ fb }) });
    late.wait(LIMIT_MS);
    assert.is(late.error, 'ENODEV', 'nobody records any more');
    assert.is(display.writebackStats().sinks, 0);
    const file = path.join(folder, 'next.y4m');
    const next = display.openSink({ file });
    // The handle of the old sink must not be taken for the new one.
    assert.is(
      codeOf(() => lost.close()),
      'ENOENT',
    );
    const flip = display.queueFlip({ fb });
    assert.is(display.queueWriteback({ fb, after: flip }).wait(LIMIT_MS), 1);
    assert.is(next.close().recorded, 1);
    assert.is(readY4m(fs.readFileSync(file)).frames.length, 1);
    assert.is(display.crc(), crc);
    fs.rmSync(folder, { recursive: true });
  }));

test('a frame of which a part was in hand fails; the buffers are free, and the next frame is whole', () =>
  withDisplay({}, async (display, machine) => {
    const [fb, over] = [makeFb(machine, display, 1), makeFb(machine, display, 2)];
    display.setMode(MODE, fb);
    const [overlay] = display.objects.overlays;
    if (overlay === undefined) throw new Error('an overlay');
    display.setPlane(overlay, over, { x: 8, y: 8 });
    const crc = display.crc();
    const timeline = machine.createTimeline();
    const gated = display.queueCrc(timeline.createFence(1));
    await die(machine, display);
    timeline.increment(1);
    gated.fence.wait(LIMIT_MS);
    assert.is(display.crc(), crc);
    display.disable();
    for (const each of [fb, over]) each.buffer.access({ write: true, timeout: LIMIT_MS }).finish();
  }));

test.run();
