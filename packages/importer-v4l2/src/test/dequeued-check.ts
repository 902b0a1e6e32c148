/**
 * What v4l2-compliance checks of every buffer that comes out of DQBUF (v4l2-test-buffers.cpp,
 * buffer::check).
 */
import * as assert from 'uvu/assert';
import {
  V4L2_BUF_FLAG_DONE,
  V4L2_BUF_FLAG_ERROR,
  V4L2_BUF_FLAG_LAST,
  V4L2_BUF_FLAG_PREPARED,
  V4L2_BUF_FLAG_QUEUED,
  V4L2_FIELD_NONE,
  type V4l2BufferInfo,
} from '../index.js';

export class DequeuedCheck {
  readonly #name: string;
  readonly #gaps: boolean;
  #sequence = -1;

  /** From STREAMON on. `gaps`: numbers may be left out, as of a camera that had no buffer. */
  constructor(name: string, options: { readonly gaps?: boolean } = {}) {
    this.#name = name;
    this.#gaps = options.gaps ?? false;
  }

  check({ flags, planes, sequence, field, timestamp, index }: V4l2BufferInfo): void {
    const what = `${this.#name} buffer ${index}`;
    const state = V4L2_BUF_FLAG_DONE | V4L2_BUF_FLAG_QUEUED | V4L2_BUF_FLAG_PREPARED;
    assert.is(flags & state, 0, `${what}: flags 0x${flags.toString(16)}`);
    const empty = (flags & (V4L2_BUF_FLAG_LAST | V4L2_BUF_FLAG_ERROR)) !== 0;
    for (const { bytesused, length, data_offset } of planes) {
      assert.ok(bytesused <= length, `${what}: ${bytesused} of ${length} bytes`);
      assert.ok(empty || bytesused > 0, `${what} is empty`);
      assert.ok(data_offset === 0 || data_offset < bytesused, `${what}: data_offset`);
    }
    const next = this.#sequence + 1;
    assert.ok(
      this.#gaps ? sequence >= next : sequence === next,
      `${what}: ${sequence}, not ${next}`,
    );
    this.#sequence = sequence;
    assert.is(field, V4L2_FIELD_NONE, `${what}: field`);
    assert.ok(timestamp >= 0, `${what}: timestamp`);
  }
}
