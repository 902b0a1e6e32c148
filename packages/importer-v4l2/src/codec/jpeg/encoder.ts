/**
 * JpegEncoder: I420 and NV12 pictures to baseline JPEG of 4:2:0, with the standard Huffman tables in
 * every picture, so that each stands alone. Owned by one MjpegEncoder.
 */
import {
  JPEG_APP0,
  JPEG_DHT,
  JPEG_DQT,
  JPEG_DRI,
  JPEG_EOI,
  JPEG_RST0,
  JPEG_SOF0,
  JPEG_SOI,
  JPEG_SOS,
} from '../../bitstream/jpeg.js';
import type { PlanarPicture } from '../planes.js';
import { EntropyWriter, huffmanCodes, type HuffmanCodes } from './entropy-writer.js';
import { divisors, forwardDct, quantise } from './fdct.js';
import { CHROMA_STEPS, LUMA_STEPS, STANDARD_HUFFMAN, ZIGZAG } from './tables.js';

/** The steps of a quality of 1 to 100, as libjpeg scales them (jpeg_quality_scaling). */
export function qualitySteps(steps: Uint8Array, quality: number): Uint8Array {
  const scale = quality < 50 ? Math.trunc(5000 / quality) : 200 - 2 * quality;
  return steps.map((step) => Math.min(255, Math.max(1, Math.trunc((step * scale + 50) / 100))));
}

/** A component of the picture that is being encoded: where its samples are. */
interface Source {
  readonly data: Uint8Array<ArrayBufferLike>;
  readonly offset: number;
  readonly pitch: number;
  /** From sample to sample: 2 where chroma is interleaved. */
  readonly step: number;
  readonly width: number;
  readonly height: number;
}

/** What a component is coded with. */
interface Coding {
  readonly divisor: Float64Array;
  readonly dc: HuffmanCodes;
  readonly ac: HuffmanCodes;
  /** Sample to sample of the coded picture. */
  readonly levels: Float64Array;
}

function codes(kind: number, id: number): HuffmanCodes {
  const table = STANDARD_HUFFMAN.find((found) => found.kind === kind && found.id === id);
  if (table === undefined) throw new TypeError(`no standard table ${kind}:${id}`);
  return huffmanCodes(table);
}

/** Level-shifted samples by sample: as they are, or `low` to `high` stretched to all of 0 to 255. */
function levelsOf(low: number, high: number): Float64Array {
  return Float64Array.from({ length: 256 }, (_, value) => {
    const stretched = Math.round(((value - low) * 255) / (high - low));
    return Math.min(255, Math.max(0, stretched)) - 128;
  });
}

function segment(marker: number, ...parameters: readonly number[]): number[] {
  const size = parameters.length + 2;
  return [0xff, marker, size >> 8, size & 255, ...parameters];
}

const inZigzag = (steps: Uint8Array): number[] => [...ZIGZAG].map((i) => steps[i] ?? 1);

export interface JpegEncoderOptions {
  readonly width: number;
  readonly height: number;
  /** MCUs (16x16 pixels) from one restart marker to the next; 0 for none. */
  readonly restart: number;
  /** The pictures' samples are of limited range; JPEG's are not, so that they are stretched. */
  readonly limited: boolean;
}

export class JpegEncoder {
  readonly #options: JpegEncoderOptions;
  readonly #out: EntropyWriter = new EntropyWriter();
  readonly #block: Float64Array = new Float64Array(64);
  readonly #values: Int32Array = new Int32Array(64);
  readonly #last: Int32Array = new Int32Array(3);
  readonly #levels: readonly [luma: Float64Array, chroma: Float64Array];
  #head: Uint8Array = new Uint8Array(0);
  #codings: readonly Coding[] = [];

  constructor(options: JpegEncoderOptions, quality: number) {
    this.#options = options;
    const luma = options.limited ? levelsOf(16, 235) : levelsOf(0, 255);
    // 16 to 240 about 128: what is stretched is the distance.
    const chroma = Float64Array.from({ length: 256 }, (_, value) => {
      const distance = options.limited ? Math.round(((value - 128) * 255) / 224) : value - 128;
      return Math.min(127, Math.max(-128, distance));
    });
    this.#levels = [luma, chroma];
    this.setQuality(quality);
  }

  /** From the next picture on. */
  setQuality(quality: number): void {
    const steps = [LUMA_STEPS, CHROMA_STEPS].map((table) => qualitySteps(table, quality));
    const [luma, chroma] = steps.map((table, id): Coding => ({
      divisor: divisors(table),
      dc: codes(0, id),
      ac: codes(1, id),
      levels: this.#levels[id === 0 ? 0 : 1],
    }));
    if (luma === undefined || chroma === undefined) return;
    this.#codings = [luma, chroma, chroma];
    this.#head = Uint8Array.from(this.#headers(steps));
  }

  /** Encodes a picture of the size that was told. Returns a copy that is the caller's. */
  encode(picture: PlanarPicture): Uint8Array<ArrayBuffer> {
    const { width, height, restart } = this.#options;
    const sources = sourcesOf(picture);
    const perRow = Math.ceil(width / 16);
    const mcus = perRow * Math.ceil(height / 16);
    this.#out.raw(this.#head);
    this.#last.fill(0);
    for (let mcu = 0; mcu < mcus; mcu++) {
      if (restart > 0 && mcu > 0 && mcu % restart === 0) this.#restart(mcu / restart - 1);
      const x = mcu % perRow;
      this.#mcu(sources, x, (mcu - x) / perRow);
    }
    this.#out.align();
    this.#out.raw(Uint8Array.of(0xff, JPEG_EOI));
    return this.#out.take();
  }

  #restart(n: number): void {
    this.#out.align();
    this.#out.raw(Uint8Array.of(0xff, JPEG_RST0 + (n & 7)));
    this.#last.fill(0);
  }

  #mcu(sources: readonly Source[], x: number, y: number): void {
    for (let i = 0; i < sources.length; i++) {
      const source = sources[i];
      const coding = this.#codings[i];
      if (source === undefined || coding === undefined) continue;
      const side = i === 0 ? 2 : 1;
      for (let n = 0; n < side * side; n++) {
        loadBlock(
          this.#block,
          source,
          coding.levels,
          8 * (side * x + (n & 1)),
          8 * (side * y + (n >> 1)),
        );
        this.#encodeBlock(i, coding);
      }
    }
  }

  #encodeBlock(component: number, { divisor, dc, ac }: Coding): void {
    const values = this.#values;
    forwardDct(this.#block);
    const last = quantise(this.#block, divisor, values);
    this.#out.block(values, last, this.#last[component] as number, dc, ac);
    this.#last[component] = values[0] as number;
  }

  /** All that stands before the entropy-coded data. */
  #headers(steps: readonly Uint8Array[]): number[] {
    const { width, height, restart } = this.#options;
    const jfif = [...Buffer.from('JFIF\0'), 1, 1, 0, 0, 1, 0, 1, 0, 0];
    const quant = steps.flatMap((table, id) => segment(JPEG_DQT, id, ...inZigzag(table)));
    const size = [height >> 8, height & 255, width >> 8, width & 255];
    const components = [1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1];
    const huffman = STANDARD_HUFFMAN.flatMap(({ kind, id, counts, symbols }) =>
      segment(JPEG_DHT, (kind << 4) | id, ...counts, ...symbols),
    );
    const interval = restart === 0 ? [] : segment(JPEG_DRI, restart >> 8, restart & 255);
    return [
      ...[0xff, JPEG_SOI, ...segment(JPEG_APP0, ...jfif), ...quant],
      ...segment(JPEG_SOF0, 8, ...size, 3, ...components),
      ...[...huffman, ...interval],
      ...segment(JPEG_SOS, 3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0),
    ];
  }
}

function sourcesOf({ fourcc, data, planes, width, height }: PlanarPicture): Source[] {
  const half = { width: (width + 1) >> 1, height: (height + 1) >> 1 };
  const [y, u, v] = planes;
  if (y === undefined || u === undefined) return [];
  const luma = { data, ...y, step: 1, width, height };
  if (fourcc === 'NV12') {
    const chroma = { data, ...u, step: 2, ...half };
    return [luma, chroma, { ...chroma, offset: u.offset + 1 }];
  }
  return v === undefined
    ? []
    : [luma, { data, ...u, step: 1, ...half }, { data, ...v, step: 1, ...half }];
}

/** Samples of the block at `x`, `y`, level-shifted; what lies beyond the picture repeats its edge. */
function loadBlock(
  block: Float64Array,
  { data, offset, pitch, step, width, height }: Source,
  levels: Float64Array,
  x: number,
  y: number,
): void {
  const columns = width - x;
  for (let j = 0; j < 8; j++) {
    const row = offset + (y + j < height ? y + j : height - 1) * pitch;
    for (let i = 0; i < 8; i++) {
      const column = i < columns ? x + i : width - 1;
      block[8 * j + i] = levels[data[row + column * step] as number] as number;
    }
  }
}
