/** Writes headers bit by bit for the parser tests: the inverse of BitReader. */
export class BitWriter {
  readonly #bits: number[] = [];

  /** Bits written so far. */
  get length(): number {
    return this.#bits.length;
  }

  u(count: number, value: number): this {
    for (let i = count - 1; i >= 0; i--) this.#bits.push(Math.floor(value / 2 ** i) % 2);
    return this;
  }

  ue(value: number): this {
    const width = Math.floor(Math.log2(value + 1));
    return this.u(width, 0).u(width + 1, value + 1);
  }

  se(value: number): this {
    return this.ue(value > 0 ? 2 * value - 1 : -2 * value);
  }

  /** The bytes, padded with zero bits. */
  bytes(): Uint8Array {
    const out = new Uint8Array(Math.ceil(this.#bits.length / 8));
    this.#bits.forEach((bit, i) => {
      out[i >> 3] = (out[i >> 3] ?? 0) | (bit << (7 - (i & 7)));
    });
    return out;
  }

  /** The bytes as a NAL unit: stop bit, and emulation prevention. */
  nal(): Uint8Array {
    const out: number[] = [];
    let zeros = 0;
    for (const byte of this.u(1, 1).bytes()) {
      if (zeros >= 2 && byte <= 3) {
        out.push(3);
        zeros = 0;
      }
      out.push(byte);
      zeros = byte === 0 ? zeros + 1 : 0;
    }
    return Uint8Array.from(out);
  }
}

export interface SpsFields {
  profile?: number;
  /** The six constraint flags and two zero bits. */
  constraints?: number;
  widthMbs?: number;
  heightMbs?: number;
  /** left, right, top, bottom in crop units */
  crop?: readonly [number, number, number, number];
  frameMbsOnly?: boolean;
  vui?: { fullRange: boolean; matrix: number; reorder?: number };
}

/** An SPS NAL unit with POC type 2 and one reference frame. */
export function writeSps(fields: SpsFields = {}): Uint8Array {
  const { profile = 66, constraints = 0xc0, widthMbs = 20, heightMbs = 15, crop, vui } = fields;
  const w = new BitWriter().u(8, 0x67).u(8, profile).u(8, constraints).u(8, 31).ue(0);
  if (profile >= 100)
    w.ue(profile === 122 ? 2 : 1)
      .ue(0)
      .ue(0)
      .u(1, 0)
      .u(1, 0);
  w.ue(0).ue(2).ue(1).u(1, 0);
  const frameMbsOnly = fields.frameMbsOnly ?? true;
  w.ue(widthMbs - 1)
    .ue(heightMbs - 1)
    .u(1, frameMbsOnly ? 1 : 0);
  if (!frameMbsOnly) w.u(1, 0);
  w.u(1, 1).u(1, crop === undefined ? 0 : 1);
  for (const offset of crop ?? []) w.ue(offset);
  w.u(1, vui === undefined ? 0 : 1);
  if (vui !== undefined) {
    w.u(1, 0)
      .u(1, 0)
      .u(1, 1)
      .u(3, 5)
      .u(1, vui.fullRange ? 1 : 0);
    w.u(1, 1).u(8, 1).u(8, 1).u(8, vui.matrix).u(1, 0).u(1, 0).u(1, 0).u(1, 0).u(1, 0);
    w.u(1, vui.reorder === undefined ? 0 : 1);
    if (vui.reorder !== undefined) {
      w.u(1, 1)
        .ue(0)
        .ue(0)
        .ue(10)
        .ue(10)
        .ue(vui.reorder)
        .ue(vui.reorder + 1);
    }
  }
  return w.nal();
}

/** A PPS NAL unit. */
export function writePps(cabac = false): Uint8Array {
  return new BitWriter()
    .u(8, 0x68)
    .ue(0)
    .ue(0)
    .u(1, cabac ? 1 : 0)
    .u(1, 0)
    .ue(0)
    .nal();
}

/** The beginning of a slice NAL unit. */
export function writeSlice(frameNum: number, type: number, idr: boolean, firstMb = 0): Uint8Array {
  const w = new BitWriter()
    .u(8, idr ? 0x65 : 0x61)
    .ue(firstMb)
    .ue(type)
    .ue(0)
    .u(4, frameNum);
  if (idr) w.ue(0);
  return w.u(32, 0xdeadbeef).nal();
}
