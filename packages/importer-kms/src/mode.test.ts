import { DmaBufError } from '@dmabuf/core';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { framePeriodNs, makeMode, parseMode, sameMode } from './mode.js';

function refusal(text: string): string {
  try {
    parseMode(text);
  } catch (error) {
    assert.instance(error, DmaBufError);
    if (error instanceof DmaBufError) assert.is(error.code, 'EINVAL');
    return error instanceof Error ? error.message : '';
  }
  throw new Error(`${text} was accepted`);
}

test('the default mode has the timings that cvt -r2 gives', () => {
  const mode = parseMode('1280x720@60');
  assert.equal(mode, {
    name: '1280x720@60',
    vrefresh: 60_000,
    clock: 60_466,
    hdisplay: 1280,
    hsyncStart: 1288,
    hsyncEnd: 1320,
    htotal: 1360,
    vdisplay: 720,
    vsyncStart: 727,
    vsyncEnd: 735,
    vtotal: 741,
  });
  assert.is(framePeriodNs(mode), 16_666_667);
});

test('fractional refresh rates are exact in mHz', () => {
  assert.is(parseMode('1920x1080@59.94').vrefresh, 59_940);
  assert.is(parseMode('1920x1080@23.976').vrefresh, 23_976);
  assert.is(parseMode('1920x1080@1.5').vrefresh, 1_500);
  assert.is(parseMode('1920x1080@59.94').name, '1920x1080@59.94');
});

test('the limits themselves are accepted', () => {
  assert.is(parseMode('64x64@1').hdisplay, 64);
  assert.is(parseMode('8192x8192@240').vdisplay, 8192);
});

test('a mode out of range is EINVAL that says what is wrong and what is accepted', () => {
  assert.match(refusal('63x720@60'), /^EINVAL: invalid argument, modeset: .*width 63/);
  assert.match(refusal('1280x8193@60'), /height 8193/);
  assert.match(refusal('0x0@60'), /width 0/);
  assert.match(refusal('1280x720@0.999'), /0\.999 Hz is not between 1 and 240/);
  assert.match(refusal('1280x720@240.001'), /240\.001 Hz/);
  assert.match(refusal('99999999999999999999x720@60'), /width/);
  for (const text of ['1280x720@60', '64 to 8192', '1 to 240 Hz']) {
    assert.ok(refusal('1x1@1').includes(text), text);
  }
});

test('what is not of the form WxH@HZ is EINVAL that quotes it', () => {
  const texts = ['', '720p', '1280x720', '1280X720@60', '1280x720@', '1280x720@60Hz', 'x@'];
  for (const text of [...texts, '1280x720@59.9401', ' 1280x720@60', '-1280x720@60', '1e3x720@60']) {
    const message = refusal(text);
    assert.ok(message.includes(JSON.stringify(text)), message);
    assert.ok(message.includes('WxH@HZ'), message);
  }
});

test('every mode reads back from its name, with blanking of 460 µs or more', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 64, max: 8192 }),
      fc.integer({ min: 64, max: 8192 }),
      fc.integer({ min: 1000, max: 240_000 }),
      (width, height, vrefresh) => {
        const mode = makeMode(width, height, vrefresh);
        assert.equal(parseMode(mode.name), mode);
        assert.ok(sameMode(parseMode(mode.name), mode));
        const lineUs = 1e9 / vrefresh / mode.vtotal;
        assert.ok((mode.vtotal - mode.vdisplay) * lineUs >= 460);
        assert.ok(mode.vsyncStart > mode.vdisplay && mode.vsyncEnd < mode.vtotal);
        const exact = (mode.htotal * mode.vtotal * vrefresh) / 1e6;
        assert.ok(Math.abs(mode.clock - exact) <= 0.5);
      },
    ),
  );
});

test.run();
