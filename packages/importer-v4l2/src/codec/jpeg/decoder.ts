/**
 * JpegDecoder: baseline JPEG pictures to planes, by sequential Huffman decoding (ITU-T T.81 annex F).
 *
 * One picture does not depend on another: every one starts with the standard Huffman tables, which
 * AVI's frames leave out, and those of `configure`. Owned by one MjpegDecoder.
 */
import {
  isFrameHeader,
  JPEG_DHT,
  JPEG_DQT,
  JPEG_DRI,
  JPEG_EOI,
  JPEG_RST0,
  JPEG_SOS,
  nextSegment,
  parseFrame,
  parseHuffman,
  parseQuant,
  parseRestart,
  parseScan,
  type JpegFrame,
  type JpegHuffman,
  type JpegQuant,
  type JpegScan,
  type JpegSegment,
} from '../../bitstream/jpeg.js';
import { damage, EntropyData } from './entropy.js';
import { FramePlanes, type ComponentPlane } from './frame-planes.js';
import { HuffmanDecoder } from './huffman.js';
import { flatBlock, inverseDct } from './idct.js';
import { STANDARD_HUFFMAN } from './tables.js';

type Bytes = Uint8Array<ArrayBufferLike>;

/** A component of the scan that is being decoded. */
interface ScanComponent {
  readonly plane: ComponentPlane;
  readonly dc: HuffmanDecoder;
  readonly ac: HuffmanDecoder;
  readonly quant: Uint16Array;
  /** DC coefficient of the last block. */
  last: number;
}

/** No sane table needs less than a bit for a DC and for an end of block. */
const BITS_PER_BLOCK = 2;

export class JpegDecoder {
  readonly #entropy: EntropyData = new EntropyData();
  readonly #block: Int32Array = new Int32Array(64);
  /** By kind and id: `4 * kind + id`. Loaded are those of `#loaded`. */
  readonly #huffman: readonly HuffmanDecoder[] = Array.from(
    { length: 8 },
    () => new HuffmanDecoder(),
  );
  readonly #loaded: (JpegHuffman | undefined)[] = [];
  readonly #quant: (Uint16Array | undefined)[] = [];
  #given: { readonly huffman: readonly JpegHuffman[]; readonly quant: readonly JpegQuant[] } = {
    huffman: [],
    quant: [],
  };
  #restart = 0;
  #planes: FramePlanes | undefined;

  /** Tables that pictures may leave out (T.81 B.5). Throws `EINVAL` for what holds none. */
  configure(tables: Bytes): void {
    const huffman: JpegHuffman[] = [];
    const quant: JpegQuant[] = [];
    for (let at = 0; ;) {
      const segment = nextSegment(tables, at);
      if (segment === undefined) break;
      if (segment.marker === JPEG_DHT) huffman.push(...parseHuffman(tables, segment));
      if (segment.marker === JPEG_DQT) quant.push(...parseQuant(tables, segment));
      at = segment.end;
    }
    this.#given = { huffman, quant };
  }

  /**
   * Decodes the picture in `data`, whose frame header has been checked to be one of ours. The planes
   * are valid until the next call. Throws `EINVAL` for damaged headers, `EIO` for damaged data.
   */
  decode(data: Bytes): FramePlanes {
    this.#begin();
    let frame: JpegFrame | undefined;
    let planes: FramePlanes | undefined;
    const missing = new Set<number>();
    for (let at = 0; ;) {
      const segment = nextSegment(data, at);
      if (segment === undefined || segment.marker === JPEG_EOI) break;
      at = segment.end;
      if (isFrameHeader(segment.marker)) {
        if (frame !== undefined) throw damage('a second frame header');
        frame = parseFrame(data, segment);
        planes = this.#planesOf(frame, data.length);
        for (const { id } of frame.components) missing.add(id);
      } else if (segment.marker === JPEG_SOS) {
        if (frame === undefined || planes === undefined)
          throw damage('a scan before the frame header');
        const scan = parseScan(data, segment);
        at = this.#scan(data, segment.end, this.#components(frame, planes, scan), planes);
        for (const { id } of scan.components) missing.delete(id);
        if (missing.size === 0) return planes;
      } else this.#tables(data, segment);
    }
    throw damage(frame === undefined ? 'there is no frame header' : 'it ends before its last scan');
  }

  #begin(): void {
    // Damage may have left some of a block behind.
    this.#block.fill(0);
    this.#quant.length = 0;
    this.#restart = 0;
    for (const table of STANDARD_HUFFMAN) this.#load(table);
    for (const table of this.#given.huffman) this.#load(table);
    for (const { id, steps } of this.#given.quant) this.#quant[id] = steps;
  }

  #load(table: JpegHuffman): void {
    const at = 4 * table.kind + table.id;
    if (this.#loaded[at] === table) return;
    this.#huffman[at]?.load(table);
    this.#loaded[at] = table;
  }

  #tables(data: Bytes, segment: JpegSegment): void {
    if (segment.marker === JPEG_DHT) {
      for (const table of parseHuffman(data, segment)) this.#load(table);
    } else if (segment.marker === JPEG_DQT) {
      for (const { id, steps } of parseQuant(data, segment)) this.#quant[id] = steps;
    } else if (segment.marker === JPEG_DRI) this.#restart = parseRestart(data, segment);
  }

  /** Checks a size against the data before memory is taken for it. */
  #planesOf(frame: JpegFrame, bytes: number): FramePlanes {
    if (this.#planes?.fits(frame) === true) return this.#planes;
    const { width, height } = frame;
    const blocks = Math.ceil(width / 32) * Math.ceil(height / 32);
    if (blocks * BITS_PER_BLOCK > 8 * bytes) {
      throw damage(`its header claims ${width}x${height}, for which ${bytes} bytes are too few`);
    }
    this.#planes = new FramePlanes(frame);
    return this.#planes;
  }

  #components(frame: JpegFrame, { planes }: FramePlanes, scan: JpegScan): ScanComponent[] {
    return scan.components.map(({ id, dcTable, acTable }) => {
      const index = frame.components.findIndex((component) => component.id === id);
      const component = frame.components[index];
      const plane = planes[index];
      const dc = this.#table(0, dcTable);
      const ac = this.#table(1, acTable);
      const quant = component === undefined ? undefined : this.#quant[component.quantTable];
      if (component === undefined || plane === undefined) {
        throw damage(`a scan of component ${id}, which the frame header does not have`);
      }
      if (quant === undefined)
        throw damage(`quantisation table ${component.quantTable} is missing`);
      return { plane, dc, ac, quant, last: 0 };
    });
  }

  #table(kind: number, id: number): HuffmanDecoder {
    const table = this.#huffman[4 * kind + id];
    if (table !== undefined && this.#loaded[4 * kind + id] !== undefined) return table;
    throw damage(`Huffman table ${id} is missing`);
  }

  /** Decodes a scan; returns where the marker behind it stands. */
  #scan(
    data: Bytes,
    start: number,
    components: readonly ScanComponent[],
    frame: FramePlanes,
  ): number {
    const [first] = components;
    const alone = components.length === 1 ? first : undefined;
    // A scan of one component has only the blocks that the picture needs (T.81 A.2.2).
    const perRow = alone === undefined ? frame.mcusPerRow : Math.ceil(alone.plane.width / 8);
    const rows = alone === undefined ? frame.mcuRows : Math.ceil(alone.plane.height / 8);
    const mcus = perRow * rows;
    const interval = this.#restart === 0 ? mcus : this.#restart;
    let at = start;
    for (let from = 0, n = 0; from < mcus; from += interval, n++) {
      if (n > 0) at = this.#restartMarker(data, at, n - 1);
      at = this.#entropy.load(data, at);
      for (const component of components) component.last = 0;
      const to = Math.min(mcus, from + interval);
      for (let mcu = from; mcu < to; mcu++) {
        const x = mcu % perRow;
        const y = (mcu - x) / perRow;
        if (alone !== undefined) this.#decodeBlock(alone, x, y, frame);
        else for (const component of components) this.#decodeMcu(component, x, y, frame);
      }
      if (this.#entropy.left > 1) throw damage(`${this.#entropy.left} bytes are left over`);
    }
    return at;
  }

  #restartMarker(data: Bytes, at: number, n: number): number {
    const segment = nextSegment(data, at);
    const wanted = JPEG_RST0 + (n & 7);
    if (segment?.marker === wanted) return segment.end;
    const found = segment === undefined ? 'the end' : `FF${segment.marker.toString(16)}`;
    throw damage(`restart marker FF${wanted.toString(16)} is missing, there is ${found}`);
  }

  #decodeMcu(component: ScanComponent, x: number, y: number, frame: FramePlanes): void {
    const { h, v } = component.plane;
    for (let j = 0; j < v; j++) {
      for (let i = 0; i < h; i++) this.#decodeBlock(component, x * h + i, y * v + j, frame);
    }
  }

  #decodeBlock(component: ScanComponent, x: number, y: number, { samples }: FramePlanes): void {
    const { plane, quant } = component;
    const entropy = this.#entropy;
    component.last += entropy.dcDifference(component.dc);
    const dc = Math.imul(component.last, quant[0] as number);
    const detailed = entropy.ac(component.ac, quant, this.#block);
    // What is read behind the end are zeros, and no more than a block of them.
    if (entropy.overrun) throw damage('its data ends too early');
    const { pitch } = plane;
    const at = plane.offset + 8 * (y * pitch + x);
    if (detailed) {
      this.#block[0] = dc;
      inverseDct(this.#block, samples, at, pitch);
    } else flatBlock(dc, samples, at, pitch);
  }
}
