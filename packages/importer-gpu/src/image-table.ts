/**
 * The image table in the GPU's shared words: what an image id means, for every thread and for the device.
 */
import type { FourCC, PlaneLayout } from './fourcc.js';
import type { ColorSpec } from './kernels/color.js';
import { GPU, IMAGE, sizesOf } from './layout.js';
import { RecordTable, type RecordHandle, type TableDoor } from './record-table.js';

/** The colour spaces that COLOR indexes. */
const COLORS: readonly ColorSpec[] = [
  { encoding: 'bt709', range: 'limited' },
  { encoding: 'bt709', range: 'full' },
  { encoding: 'bt601', range: 'limited' },
  { encoding: 'bt601', range: 'full' },
];
const MAX_PLANES = 3;

/** What an image is. */
export interface ImageInfo {
  /** Pointer and inode number of its buffer. */
  readonly buffer: number;
  readonly ino: number;
  /** Geometry comes from the buffer's metadata; the fields below then say how large at most. */
  readonly frame: boolean;
  readonly fourcc: FourCC;
  readonly width: number;
  readonly height: number;
  readonly planes: readonly PlaneLayout[];
  readonly color: ColorSpec;
}

/** The index of a colour space; TypeError for a name that is none. */
export function colorIndex(color: ColorSpec): number {
  const { encoding, range } = color;
  const found = COLORS.findIndex((c) => c.encoding === encoding && c.range === range);
  if (found >= 0) return found;
  throw new TypeError(
    `color must be {encoding: 'bt601' | 'bt709', range: 'limited' | 'full'}, got ` +
      `{encoding: ${String(encoding)}, range: ${String(range)}}`,
  );
}

/** The colour space of an index. RangeError. */
export function colorAt(index: number): ColorSpec {
  const color = COLORS[index];
  if (color === undefined) throw new RangeError(`no colour space ${index}`);
  return color;
}

export class ImageTable extends RecordTable {
  readonly #door: TableDoor;

  constructor(door: TableDoor) {
    const { images } = sizesOf(door.spec.options);
    super(door, { what: 'image', at: GPU.IMAGES, words: IMAGE.WORDS, count: images });
    this.#door = door;
  }

  /** Adds an image with one handle, which the caller owns. ENOSPC when full. */
  import(info: ImageInfo): RecordHandle {
    const color = colorIndex(info.color);
    const { words } = this.#door;
    return this.add('import_image', (at) => {
      words.set(at + IMAGE.BUFFER, info.buffer);
      words.set(at + IMAGE.INO, info.ino);
      words.set(at + IMAGE.FRAME, info.frame ? 1 : 0);
      words.set(at + IMAGE.FOURCC, info.fourcc);
      words.set(at + IMAGE.WIDTH, info.width);
      words.set(at + IMAGE.HEIGHT, info.height);
      words.set(at + IMAGE.COLOR, color);
      for (let i = 0; i < MAX_PLANES; i++) {
        words.set(at + IMAGE.PITCHES + i, info.planes[i]?.pitch ?? 0);
        words.set(at + IMAGE.OFFSETS + i, info.planes[i]?.offset ?? 0);
      }
    });
  }

  /** What a live image is. ENOENT when it is gone. */
  info(id: number): ImageInfo {
    const { words } = this.#door;
    const at = this.find(id);
    const planes: PlaneLayout[] = [];
    for (let i = 0; i < MAX_PLANES && words.get(at + IMAGE.PITCHES + i) > 0; i++) {
      const offset = words.get(at + IMAGE.OFFSETS + i) >>> 0;
      planes.push({ offset, pitch: words.get(at + IMAGE.PITCHES + i) });
    }
    return {
      buffer: words.get(at + IMAGE.BUFFER),
      ino: words.get(at + IMAGE.INO),
      frame: words.get(at + IMAGE.FRAME) === 1,
      fourcc: words.get(at + IMAGE.FOURCC) >>> 0,
      width: words.get(at + IMAGE.WIDTH),
      height: words.get(at + IMAGE.HEIGHT),
      planes,
      color: colorAt(words.get(at + IMAGE.COLOR)),
    };
  }
}
