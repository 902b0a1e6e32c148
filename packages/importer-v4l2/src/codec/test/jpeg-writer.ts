/**
 * A plain JPEG writer for tests: coefficients in, bytes out, symbol by symbol as ITU-T T.81 annex F says;
 * and the plain float DCT, the oracle. Shares no code with the codec but its standard tables.
 */
import { BitWriter } from '../../bitstream/test/bit-writer.js';
import type { JpegHuffman } from '../../bitstream/jpeg.js';
import { STANDARD_HUFFMAN, ZIGZAG } from '../jpeg/tables.js';

/** Quantised coefficients of a block, row by row. */
export type Block = readonly number[];

export interface JpegFields {
  readonly width: number;
  readonly height: number;
  /** Sampling factors of each component. */
  readonly sampling: readonly (readonly [h: number, v: number])[];
  /** Blocks of each component, row by row, whole MCUs. */
  readonly blocks: readonly (readonly Block[])[];
  /** One step for all coefficients of all components. Default 2. */
  readonly step?: number;
  readonly restart?: number;
  /** Leave the Huffman tables out, as AVI's frames do. */
  readonly withoutTables?: boolean;
  /** A scan for each component. */
  readonly apart?: boolean;
  /** Segments to put behind SOI: marker and parameters. */
  readonly extra?: readonly (readonly [marker: number, parameters: readonly number[]])[];
  /** Frame header marker and precision. Default baseline, 8 bits. */
  readonly sof?: number;
  readonly precision?: number;
  /** Component ids. Default 1, 2, 3. */
  readonly ids?: readonly number[];
}

type Codes = ReadonlyMap<number, readonly [code: number, length: number]>;

/** T.81 C.2: the code of every symbol. */
function codesOf({ counts, symbols }: JpegHuffman): Codes {
  const codes = new Map<number, readonly [number, number]>();
  let code = 0;
  let index = 0;
  counts.forEach((count, i) => {
    for (let n = 0; n < count; n++) codes.set(symbols[index++] ?? 0, [code++, i + 1]);
    code *= 2;
  });
  return codes;
}

const CODES = [0, 1].map((id) =>
  [0, 1].map((kind) => {
    const table = STANDARD_HUFFMAN.find((t) => t.id === id && t.kind === kind);
    if (table === undefined) throw new TypeError('no such table');
    return codesOf(table);
  }),
);

/** Bits that hold the magnitude of a value (T.81 table F.1). */
function sizeOf(value: number): number {
  return value === 0 ? 0 : Math.floor(Math.log2(Math.abs(value))) + 1;
}

function put(bits: BitWriter, codes: Codes | undefined, symbol: number, value: number): void {
  const [code, length] = codes?.get(symbol) ?? [0, 0];
  if (length === 0) throw new RangeError(`no code for symbol ${symbol}`);
  const size = sizeOf(value);
  bits.u(length, code).u(size, value >= 0 ? value : value + 2 ** size - 1);
}

function putBlock(bits: BitWriter, block: Block, last: number, table: number): void {
  const [dc, ac] = CODES[table] ?? [];
  const difference = (block[0] ?? 0) - last;
  put(bits, dc, sizeOf(difference), difference);
  let run = 0;
  for (let k = 1; k < 64; k++) {
    const value = block[ZIGZAG[k] ?? 0] ?? 0;
    if (value === 0) {
      run++;
      continue;
    }
    for (; run > 15; run -= 16) put(bits, ac, 0xf0, 0);
    put(bits, ac, run * 16 + sizeOf(value), value);
    run = 0;
  }
  if (run > 0) put(bits, ac, 0, 0);
}

/** Pads with ones to a whole byte, and stuffs a zero behind every FF. */
function finish(bits: BitWriter): number[] {
  while (bits.length % 8 !== 0) bits.u(1, 1);
  return [...bits.bytes()].flatMap((byte) => (byte === 0xff ? [0xff, 0] : [byte]));
}

function segment(marker: number, parameters: readonly number[]): number[] {
  const size = parameters.length + 2;
  return [0xff, marker, size >> 8, size & 255, ...parameters];
}

/** Places of blocks, MCU by MCU: component, column, row. */
function order(fields: JpegFields, components: readonly number[]): [number, number, number][][] {
  const { width, height, sampling } = fields;
  const hMax = Math.max(...sampling.map(([h]) => h));
  const vMax = Math.max(...sampling.map(([, v]) => v));
  const alone = components.length === 1;
  const mcus: [number, number, number][][] = [];
  const [h = 1, v = 1] = sampling[components[0] ?? 0] ?? [];
  const across = alone ? (width * h) / hMax / 8 : width / hMax / 8;
  const down = alone ? (height * v) / vMax / 8 : height / vMax / 8;
  for (let y = 0; y < Math.ceil(down); y++) {
    for (let x = 0; x < Math.ceil(across); x++) {
      const mcu: [number, number, number][] = [];
      for (const c of components) {
        const [ch, cv] = alone ? [1, 1] : (sampling[c] ?? [1, 1]);
        for (let j = 0; j < cv; j++) {
          for (let i = 0; i < ch; i++) mcu.push([c, x * ch + i, y * cv + j]);
        }
      }
      mcus.push(mcu);
    }
  }
  return mcus;
}

/** Blocks a row of a component, whole MCUs. */
export function blocksPerRow({ width, sampling }: JpegFields, component: number): number {
  const hMax = Math.max(...sampling.map(([h]) => h));
  return Math.ceil(width / (8 * hMax)) * (sampling[component]?.[0] ?? 1);
}

function scan(fields: JpegFields, components: readonly number[]): number[] {
  const { restart = 0, ids = [1, 2, 3], blocks } = fields;
  const tables = components.flatMap((c) => [ids[c] ?? 0, c === 0 ? 0x00 : 0x11]);
  const out = segment(0xda, [components.length, ...tables, 0, 63, 0]);
  let bits = new BitWriter();
  const last = fields.sampling.map(() => 0);
  order(fields, components).forEach((mcu, n) => {
    if (restart > 0 && n > 0 && n % restart === 0) {
      out.push(...finish(bits), 0xff, 0xd0 + ((n / restart - 1) & 7));
      bits = new BitWriter();
      last.fill(0);
    }
    for (const [c, x, y] of mcu) {
      const block = blocks[c]?.[y * blocksPerRow(fields, c) + x] ?? [];
      putBlock(bits, block, last[c] ?? 0, c === 0 ? 0 : 1);
      last[c] = block[0] ?? 0;
    }
  });
  return [...out, ...finish(bits)];
}

export function writeJpeg(fields: JpegFields): Uint8Array {
  const { width, height, sampling, step = 2, restart = 0, ids = [1, 2, 3] } = fields;
  const { sof = 0xc0, precision = 8, extra = [] } = fields;
  const size = [height >> 8, height & 255, width >> 8, width & 255];
  const components = sampling.flatMap(([h, v], i) => [ids[i] ?? 0, h * 16 + v, 0]);
  const out = [0xff, 0xd8, ...extra.flatMap(([marker, data]) => segment(marker, data))];
  out.push(...segment(0xdb, [0, ...Array.from({ length: 64 }, () => step)]));
  if (fields.withoutTables !== true) {
    for (const { kind, id, counts, symbols } of STANDARD_HUFFMAN) {
      out.push(...segment(0xc4, [kind * 16 + id, ...counts, ...symbols]));
    }
  }
  out.push(...segment(sof, [precision, ...size, sampling.length, ...components]));
  if (restart > 0) out.push(...segment(0xdd, [restart >> 8, restart & 255]));
  const all = sampling.map((_, i) => i);
  const scans = fields.apart === true ? all.map((i) => [i]) : [all];
  for (const list of scans) out.push(...scan(fields, list));
  return Uint8Array.from([...out, 0xff, 0xd9]);
}

/** Blocks of a component for a picture of random detail: a few coefficients each. */
export function randomBlocks(
  fields: Omit<JpegFields, 'blocks'>,
  component: number,
  next: () => number,
): Block[] {
  const { width, height, sampling } = fields;
  const hMax = Math.max(...sampling.map(([h]) => h));
  const vMax = Math.max(...sampling.map(([, v]) => v));
  const [h, v] = sampling[component] ?? [1, 1];
  const count = Math.ceil(width / (8 * hMax)) * h * Math.ceil(height / (8 * vMax)) * v;
  return Array.from({ length: count }, () => {
    const block = Array.from({ length: 64 }, () => 0);
    block[0] = Math.floor(next() * 800) - 400;
    const detail = next() < 0.3 ? 0 : Math.floor(next() * 20);
    for (let i = 0; i < detail; i++) {
      const at = Math.floor(next() ** 2 * 64);
      if (at > 0) block[at] = Math.floor((next() - 0.5) * 200 * (1 - at / 80));
    }
    return block;
  });
}

const COS = Array.from({ length: 8 }, (_, u) =>
  Array.from({ length: 8 }, (_, x) => {
    const scale = u === 0 ? Math.SQRT1_2 : 1;
    return (scale * Math.cos(((2 * x + 1) * u * Math.PI) / 16)) / 2;
  }),
);

/** The plain inverse DCT of T.81 A.3.3, level-shifted, not rounded. */
export function floatInverseDct(block: Block, step: number): number[] {
  return Array.from({ length: 64 }, (_, i) => {
    let sum = 128;
    for (let k = 0; k < 64; k++) {
      const cos = (COS[k >> 3]?.[i >> 3] ?? 0) * (COS[k & 7]?.[i & 7] ?? 0);
      sum += (block[k] ?? 0) * step * cos;
    }
    return sum;
  });
}

/** The plain forward DCT of T.81 A.3.3, of level-shifted samples. */
export function floatForwardDct(samples: readonly number[]): number[] {
  return Array.from({ length: 64 }, (_, k) => {
    let sum = 0;
    for (let i = 0; i < 64; i++) {
      const cos = (COS[k >> 3]?.[i >> 3] ?? 0) * (COS[k & 7]?.[i & 7] ?? 0);
      sum += ((samples[i] ?? 0) - 128) * cos;
    }
    return sum;
  });
}

/** The samples of a component as the oracle has them, not rounded, whole MCUs. */
export function floatPlane(
  fields: JpegFields,
  component: number,
): { readonly width: number; readonly samples: Float64Array } {
  const perRow = blocksPerRow(fields, component);
  const blocks = fields.blocks[component] ?? [];
  const samples = new Float64Array(64 * blocks.length);
  blocks.forEach((block, n) => {
    const x = n % perRow;
    const at = ((n - x) / perRow) * 64 * perRow + 8 * x;
    floatInverseDct(block, fields.step ?? 2).forEach((value, i) => {
      samples[at + (i >> 3) * 8 * perRow + (i & 7)] = Math.min(255, Math.max(0, value));
    });
  });
  return { width: 8 * perRow, samples };
}
