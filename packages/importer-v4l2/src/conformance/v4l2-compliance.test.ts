// v4l2-utils, utils/v4l2-compliance: capabilities, opens, controls, events, formats, commands. The cases have the
// names that the program prints; each is asked of every device. Buffers: v4l2-test-buffers.test.ts.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { boot, DmaBufError, type Machine } from '@dmabuf/core';
import {
  CameraDevice,
  EncoderDevice,
  type QueryCtrl,
  type StreamingDevice,
  V4L2_BUF_TYPE_VIDEO_CAPTURE,
  V4L2_BUF_TYPE_VIDEO_OUTPUT,
  V4L2_CAP_DEVICE_CAPS,
  V4L2_CAP_STREAMING,
  V4L2_CAP_VIDEO_CAPTURE,
  V4L2_CAP_VIDEO_M2M,
  V4L2_CID_MIN_BUFFERS_FOR_CAPTURE,
  V4L2_CID_MIN_BUFFERS_FOR_OUTPUT,
  V4L2_CTRL_FLAG_NEXT_CTRL,
  V4L2_CTRL_FLAG_READ_ONLY,
  V4L2_CTRL_FLAG_WRITE_ONLY,
  V4L2_CTRL_TYPE_BUTTON,
  V4L2_CTRL_TYPE_MENU,
  V4L2_DEC_CMD_FLUSH,
  V4L2_DEC_CMD_PAUSE,
  V4L2_DEC_CMD_RESUME,
  V4L2_DEC_CMD_START,
  V4L2_DEC_CMD_STOP,
  V4L2_ENC_CMD_PAUSE,
  V4L2_ENC_CMD_RESUME,
  V4L2_ENC_CMD_START,
  V4L2_ENC_CMD_STOP,
  V4L2_EVENT_ALL,
  V4L2_EVENT_CTRL,
  V4L2_EVENT_EOS,
  V4L2_EVENT_SOURCE_CHANGE,
  V4L2_EVENT_SUB_FL_ALLOW_FEEDBACK,
  V4L2_EVENT_SUB_FL_SEND_INITIAL,
  V4L2_INPUT_TYPE_CAMERA,
  V4L2_MEMORY_MMAP,
  V4L2_SEL_TGT_COMPOSE,
  V4L2_SEL_TGT_COMPOSE_BOUNDS,
  V4L2_SEL_TGT_COMPOSE_DEFAULT,
  V4L2_SEL_TGT_CROP,
  V4L2_SEL_TGT_CROP_BOUNDS,
  V4L2_SEL_TGT_CROP_DEFAULT,
  VideoDevice,
} from '../index.js';
import { DUTS, withFile } from '../test/duts.js';

let machine: Machine;
test.before(async () => {
  machine = await boot({ drivers: DUTS.map(({ driver }) => driver) });
});
test.after(async () => {
  await machine.shutdown();
});

/** The controls of a device, as an application finds them. */
function controlsOf(video: StreamingDevice): QueryCtrl[] {
  const found: QueryCtrl[] = [];
  for (let id = 0; ;) {
    try {
      found.push(video.queryctrl((V4L2_CTRL_FLAG_NEXT_CTRL | id) >>> 0));
    } catch (error) {
      if (error instanceof DmaBufError && error.code === 'EINVAL') return found;
      throw error;
    }
    id = found.at(-1)?.id ?? 0;
  }
}

function settable({ flags }: QueryCtrl): boolean {
  return (flags & V4L2_CTRL_FLAG_READ_ONLY) === 0;
}

function readable({ flags }: QueryCtrl): boolean {
  return (flags & V4L2_CTRL_FLAG_WRITE_ONLY) === 0;
}

for (const dut of DUTS) {
  const { kind, types } = dut;
  const file = (work: (video: StreamingDevice) => void) => (): void => withFile(dut, machine, work);

  test(
    `VIDIOC_QUERYCAP: ${dut.name}`,
    file((video) => {
      const { driver, card, bus_info, capabilities, device_caps } = video.querycap();
      for (const text of [driver, card, bus_info]) assert.ok(text.length > 0);
      assert.is((capabilities & V4L2_CAP_DEVICE_CAPS) >>> 0, V4L2_CAP_DEVICE_CAPS);
      assert.is(device_caps, (capabilities & ~V4L2_CAP_DEVICE_CAPS) >>> 0);
      assert.ok((device_caps & V4L2_CAP_STREAMING) !== 0);
      assert.is((device_caps & V4L2_CAP_VIDEO_M2M) !== 0, kind !== 'camera');
      assert.is((device_caps & V4L2_CAP_VIDEO_CAPTURE) !== 0, kind === 'camera');
    }),
  );

  test(
    `invalid ioctls: ${dut.name}`,
    file((video) => {
      for (const request of ['VIDIOC_UNKNOWN', 'VIDIOC_LOG_STATUS', '']) {
        assert.throws(() => machine.ioctl(video.actor, request, [0, 0]), /^ENOTTY/);
      }
    }),
  );

  test(
    `second device open: ${dut.name}`,
    file((video) => {
      const second = dut.open(machine);
      assert.is(second.querycap().card, video.querycap().card);
      second.close();
      assert.throws(() => second.gFmt(types[0] ?? 0), /^EBADF/);
      video.gFmt(V4L2_BUF_TYPE_VIDEO_CAPTURE);
    }),
  );

  test(`for unlimited opens: ${dut.name}`, () => {
    const open: StreamingDevice[] = [];
    assert.throws(() => {
      for (;;) open.push(dut.open(machine));
    }, /^EMFILE.*close one/);
    for (const video of open) video.close();
    assert.is(open.length, 16);
    dut.open(machine).close();
  });

  test(
    `VIDIOC_QUERY_EXT_CTRL/QUERYMENU: ${dut.name}`,
    file((video) => {
      for (const { id, type, minimum, maximum } of controlsOf(video)) {
        if (type !== V4L2_CTRL_TYPE_MENU) {
          assert.throws(() => video.querymenu(id, minimum), /^EINVAL/);
          continue;
        }
        for (let i = minimum; i <= maximum; i++) assert.ok(video.querymenu(id, i).length > 0);
        assert.throws(() => video.querymenu(id, maximum + 1), /^EINVAL/);
      }
    }),
  );

  test(
    `VIDIOC_QUERYCTRL: ${dut.name}`,
    file((video) => {
      const controls = controlsOf(video);
      assert.equal(
        controls.map(({ id }) => id),
        controls.map(({ id }) => id).sort((a, b) => a - b),
      );
      assert.is(new Set(controls.map(({ name }) => name)).size, controls.length);
      for (const control of controls) {
        assert.equal(video.queryctrl(control.id), control);
        const { minimum, maximum, default_value, type } = control;
        if (type === V4L2_CTRL_TYPE_BUTTON) continue;
        assert.ok(minimum <= default_value && default_value <= maximum, control.name);
      }
      assert.throws(() => video.queryctrl(0), /^EINVAL/);
      assert.throws(() => video.queryctrl(0x0098ffff), /^EINVAL/);
      const has = (id: number): boolean => controls.some((control) => control.id === id);
      assert.is(has(V4L2_CID_MIN_BUFFERS_FOR_CAPTURE), kind === 'decoder');
      assert.is(has(V4L2_CID_MIN_BUFFERS_FOR_OUTPUT), kind === 'encoder');
    }),
  );

  test(
    `VIDIOC_G/S_CTRL: ${dut.name}`,
    file((video) => {
      for (const control of controlsOf(video)) {
        const { id, minimum, maximum, default_value, type } = control;
        if (readable(control)) assert.ok(video.gCtrl(id) >= minimum);
        else assert.throws(() => video.gCtrl(id), /^EACCES/);
        if (!settable(control)) {
          assert.throws(() => video.sCtrl(id, minimum), /^EACCES/);
        } else if (type !== V4L2_CTRL_TYPE_BUTTON) {
          for (const value of [minimum, maximum, default_value]) {
            assert.is(video.sCtrl(id, value), value);
            assert.is(video.gCtrl(id), value);
          }
          for (const value of [minimum - 1, maximum + 1, minimum + 0.5, NaN]) {
            assert.throws(() => video.sCtrl(id, value), /^ERANGE/);
          }
          assert.is(video.gCtrl(id), default_value);
        }
      }
      assert.throws(() => video.gCtrl(0x0098ffff), /^EINVAL/);
      assert.throws(() => video.sCtrl(0x0098ffff, 0), /^EINVAL/);
    }),
  );

  test(
    `VIDIOC_G/S/TRY_EXT_CTRLS: ${dut.name}`,
    file((video) => {
      assert.equal(video.gExtCtrls([]), []);
      assert.equal(video.sExtCtrls([]), []);
      assert.throws(() => video.gExtCtrls([0x0098ffff]), /^EINVAL/);
      const values = controlsOf(video)
        .filter((control) => settable(control) && readable(control))
        .map(({ id, minimum, default_value }) => ({ id, minimum, default_value }));
      const lowest = values.map(({ id, minimum }) => ({ id, value: minimum }));
      const defaults = values.map(({ id, default_value }) => ({ id, value: default_value }));
      const ids = values.map(({ id }) => id);
      assert.equal(video.tryExtCtrls(lowest), lowest);
      assert.equal(video.gExtCtrls(ids), defaults, 'TRY changes nothing');
      const bad = [...lowest, { id: 0x0098ffff, value: 0 }];
      assert.throws(() => video.sExtCtrls(bad), /^EINVAL/);
      assert.equal(video.gExtCtrls(ids), defaults, 'all or none');
      assert.equal(video.sExtCtrls(lowest), lowest);
      assert.equal(video.gExtCtrls(ids), lowest);
    }),
  );

  test(
    `VIDIOC_(UN)SUBSCRIBE_EVENT/DQEVENT: ${dut.name}`,
    file((video) => {
      assert.throws(() => video.dqevent(), /^ENOENT/);
      assert.throws(() => video.subscribeEvent({ type: V4L2_EVENT_ALL }), /^EINVAL/);
      assert.throws(() => video.subscribeEvent({ type: 0x1234 }), /^EINVAL/);
      assert.throws(() => video.subscribeEvent({ type: V4L2_EVENT_CTRL, id: 1 }), /^EINVAL/);
      video.unsubscribeEvent({ type: V4L2_EVENT_ALL });
      const flags = V4L2_EVENT_SUB_FL_SEND_INITIAL | V4L2_EVENT_SUB_FL_ALLOW_FEEDBACK;
      for (const control of controlsOf(video)) {
        const { id } = control;
        if (!readable(control)) continue;
        video.subscribeEvent({ type: V4L2_EVENT_CTRL, id, flags });
        const initial = video.dqevent();
        assert.equal([initial.type, initial.id], [V4L2_EVENT_CTRL, id]);
        assert.is(initial.value, video.gCtrl(id));
        if (!settable(control)) continue;
        const { minimum, maximum, default_value } = control;
        const other = default_value === minimum ? maximum : minimum;
        video.sCtrl(id, other);
        video.sCtrl(id, control.default_value);
        assert.is(video.dqevent().value, control.default_value, 'the newest is kept');
        assert.throws(() => video.dqevent(), /^ENOENT/);
        video.unsubscribeEvent({ type: V4L2_EVENT_CTRL, id });
        video.sCtrl(id, other);
        assert.throws(() => video.dqevent(), /^ENOENT/);
        video.sCtrl(id, control.default_value);
      }
      for (const type of [V4L2_EVENT_EOS, V4L2_EVENT_SOURCE_CHANGE]) {
        video.subscribeEvent({ type });
        video.subscribeEvent({ type });
      }
      assert.throws(() => video.dqevent(), /^ENOENT/);
      video.unsubscribeEvent({ type: V4L2_EVENT_ALL });
    }),
  );

  test(
    `VIDIOC_ENUM_FMT/FRAMESIZES/FRAMEINTERVALS: ${dut.name}`,
    file((video) => {
      for (const type of types) {
        const formats = video.enumFmt(type);
        assert.ok(formats.length > 0);
        assert.is(new Set(formats.map(({ fourcc }) => fourcc)).size, formats.length);
        for (const { fourcc, description } of formats) {
          assert.is(fourcc.length, 4);
          assert.ok(description.length > 0);
          const size = video.enumFramesizes(fourcc);
          assert.ok(size.min_width <= size.max_width && size.min_height <= size.max_height);
        }
      }
      assert.throws(() => video.enumFramesizes('....'), /^EINVAL/);
      for (const type of [0, 3, 0x80]) assert.throws(() => video.enumFmt(type), /^EINVAL/);
    }),
  );

  test(
    `VIDIOC_G_FMT: ${dut.name}`,
    file((video) => {
      for (const type of types) {
        const format = video.gFmt(type);
        assert.is(format.type, type);
        assert.ok(video.enumFmt(type).some(({ fourcc }) => fourcc === format.pixelformat));
        assert.ok(format.width > 0 && format.height > 0);
        for (const { sizeimage } of format.planes) assert.ok(sizeimage > 0);
      }
      for (const type of [0, 3, 0x80]) assert.throws(() => video.gFmt(type), /^EINVAL/);
    }),
  );

  test(
    `VIDIOC_TRY_FMT: ${dut.name}`,
    file((video) => {
      for (const type of types) {
        const before = video.gFmt(type);
        assert.equal(video.tryFmt(before), before);
        for (const odd of [
          { type, pixelformat: '....' },
          { type, width: 0, height: 0 },
          { type, width: 1 << 30, height: NaN },
        ]) {
          const tried = video.tryFmt(odd);
          assert.ok(video.enumFmt(type).some(({ fourcc }) => fourcc === tried.pixelformat));
          assert.ok(tried.width > 0 && tried.width <= 16384 && tried.height > 0);
        }
        assert.equal(video.gFmt(type), before, 'TRY changes nothing');
      }
      assert.throws(() => video.tryFmt({ type: 0 }), /^EINVAL/);
    }),
  );

  test(
    `VIDIOC_S_FMT: ${dut.name}`,
    file((video) => {
      assert.throws(() => video.sFmt({ type: 0 }), /^EINVAL/);
      for (const type of types) {
        const format = video.gFmt(type);
        assert.equal(video.sFmt(format), format);
        assert.equal(video.gFmt(type), format);
        const set = video.sFmt({ type, pixelformat: '....' });
        assert.equal(video.gFmt(type).pixelformat, set.pixelformat);
        video.reqbufs({ count: 1, type, memory: V4L2_MEMORY_MMAP });
        assert.throws(() => video.sFmt(format), /^EBUSY.*REQBUFS 0/);
        video.reqbufs({ count: 0, type, memory: V4L2_MEMORY_MMAP });
      }
    }),
  );
}

test('VIDIOC_(TRY_)ENCODER_CMD: encoder', () => {
  using video = EncoderDevice.open(machine);
  for (const cmd of [V4L2_ENC_CMD_START, V4L2_ENC_CMD_STOP]) {
    assert.equal(video.tryEncoderCmd({ cmd, flags: 0xff }), { cmd, flags: 0 });
    assert.equal(video.encoderCmd({ cmd, flags: 0xff }), { cmd, flags: 0 });
  }
  for (const cmd of [V4L2_ENC_CMD_PAUSE, V4L2_ENC_CMD_RESUME, 999, -1]) {
    assert.throws(() => video.tryEncoderCmd({ cmd }), /^EINVAL/);
    assert.throws(() => video.encoderCmd({ cmd }), /^EINVAL/);
  }
  assert.throws(() => EncoderDevice.open(machine, '/dev/video0'), /^ENODEV.*VideoDevice\.open/);
  assert.throws(() => VideoDevice.open(machine, '/dev/video1'), /^ENODEV.*EncoderDevice\.open/);
});

test('VIDIOC_G/S_PARM: encoder', () => {
  using video = EncoderDevice.open(machine);
  for (const type of [V4L2_BUF_TYPE_VIDEO_OUTPUT, V4L2_BUF_TYPE_VIDEO_CAPTURE]) {
    assert.equal(video.gParm(type), { numerator: 1, denominator: 30 });
    const rate = { numerator: 1001, denominator: 24_000 };
    assert.equal(video.sParm(type, rate), rate);
    assert.equal(video.gParm(type), rate);
    for (const wrong of [0, -1, 0.5, NaN]) {
      const set = video.sParm(type, { numerator: wrong, denominator: 25 });
      assert.equal(set, { numerator: 1, denominator: 30 });
    }
  }
  assert.throws(() => video.gParm(0), /^EINVAL/);
});

test('VIDIOC_G/S_PARM: camera', () => {
  using video = CameraDevice.open(machine);
  const type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
  const made = { numerator: 1, denominator: 1000 };
  const second = { numerator: 1, denominator: 1 };
  assert.equal(video.gParm(type), made);
  for (const rate of [{ numerator: 1, denominator: 25 }, second]) {
    assert.equal(video.sParm(type, rate), rate);
    assert.equal(video.gParm(type), rate);
  }
  assert.equal(video.sParm(type, { numerator: 9, denominator: 1 }), second);
  for (const wrong of [0, -1, NaN]) {
    assert.equal(video.sParm(type, { numerator: wrong, denominator: 25 }), made);
  }
  const { min, max } = video.enumFrameintervals('NV12', 64, 48);
  assert.equal([min, max], [made, second]);
  assert.throws(() => video.enumFrameintervals('NV12', 8, 48), /^EINVAL/);
  assert.throws(() => video.gParm(V4L2_BUF_TYPE_VIDEO_OUTPUT), /^EINVAL/);
});

test('VIDIOC_G/S/ENUMINPUT: camera', () => {
  using video = CameraDevice.open(machine);
  const { index, type, status } = video.enumInput(0);
  assert.equal([index, type, status], [0, V4L2_INPUT_TYPE_CAMERA, 0]);
  assert.is(video.gInput(), 0);
  assert.is(video.sInput(0), 0);
  assert.throws(() => video.enumInput(1), /^EINVAL/);
  assert.throws(() => video.sInput(1), /^EINVAL/);
});

/** Commands and selection are the decoder's calls. */
function decoder(work: (video: VideoDevice) => void): () => void {
  return () => {
    using video = VideoDevice.open(machine);
    work(video);
  };
}

test(
  'VIDIOC_(TRY_)DECODER_CMD: decoder',
  decoder((video) => {
    video.sFmt({ type: V4L2_BUF_TYPE_VIDEO_OUTPUT, pixelformat: 'H264' });
    for (const cmd of [V4L2_DEC_CMD_START, V4L2_DEC_CMD_STOP]) {
      assert.equal(video.tryDecoderCmd({ cmd, flags: 0xff }), { cmd, flags: 0 });
      assert.equal(video.decoderCmd({ cmd, flags: 0xff }), { cmd, flags: 0 });
    }
    const unknown = [V4L2_DEC_CMD_PAUSE, V4L2_DEC_CMD_RESUME, V4L2_DEC_CMD_FLUSH, 999, -1];
    for (const cmd of unknown) {
      assert.throws(() => video.tryDecoderCmd({ cmd }), /^EINVAL/);
      assert.throws(() => video.decoderCmd({ cmd }), /^EINVAL/);
    }
  }),
);

test(
  'Cropping: decoder',
  decoder((video) => {
    video.setFormat({ output: { fourcc: 'VP80' }, capture: { width: 30, height: 20 } });
    const whole = { left: 0, top: 0, width: 30, height: 20 };
    for (const target of [V4L2_SEL_TGT_CROP, V4L2_SEL_TGT_CROP_DEFAULT, V4L2_SEL_TGT_CROP_BOUNDS]) {
      assert.equal(video.gSelection(V4L2_BUF_TYPE_VIDEO_CAPTURE, target), whole);
      assert.throws(() => video.gSelection(V4L2_BUF_TYPE_VIDEO_OUTPUT, target), /^EINVAL/);
    }
    assert.throws(() => video.gSelection(V4L2_BUF_TYPE_VIDEO_CAPTURE, 0x5000), /^EINVAL/);
  }),
);

test(
  'Composing: decoder',
  decoder((video) => {
    video.setFormat({ output: { fourcc: 'VP80' }, capture: { width: 30, height: 20 } });
    const targets = [
      V4L2_SEL_TGT_COMPOSE,
      V4L2_SEL_TGT_COMPOSE_DEFAULT,
      V4L2_SEL_TGT_COMPOSE_BOUNDS,
    ];
    for (const target of targets) {
      const rect = video.gSelection(V4L2_BUF_TYPE_VIDEO_CAPTURE, target);
      assert.equal(rect, { left: 0, top: 0, width: 30, height: 20 });
    }
  }),
);

test.run();
