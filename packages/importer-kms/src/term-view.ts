/**
 * Terminal view: frames as half blocks, two pixels to a cell, in 24-bit or 256 colours, or as
 * brightness characters where colour is not wanted.
 *
 * Owned by the writeback worker; the caller writes the returned bytes with `fs.writeSync(1)`.
 * Pure: it knows nothing of the terminal but what the caller says. Escape sequences follow
 * ECMA-48 and ISO 8613-6 (`CSI 38;2;r;g;b m`). Double-buffered: it remembers what each cell
 * shows and prints only cells that change.
 */
import { checkFrame, type ScanoutFrame } from './scanout-frame.js';

/** What the output can show. `'none'`: no colour, brightness characters. */
export type TermColour = 'truecolor' | '256' | 'none';

/** Where and how to draw. */
export interface TermViewOptions {
  /** Room for the picture, in cells. */
  readonly columns: number;
  readonly rows: number;
  readonly colour: TermColour;
  /** False: no terminal, nothing is ever drawn (0 bytes). */
  readonly isTTY: boolean;
  /** Screen row of the picture's first row, from 1. Default 1. */
  readonly top?: number;
}

/**
 * The colours of an output, from its environment: NO_COLOR (any non-empty value) and TERM=dumb
 * mean none, COLORTERM truecolor or 24bit means 24-bit, else TERM decides.
 */
export function termColour(env: Readonly<Record<string, string | undefined>>): TermColour {
  const term = env['TERM'] ?? '';
  if ((env['NO_COLOR'] ?? '') !== '' || term === 'dumb') return 'none';
  if (/^(truecolor|24bit)$/.test(env['COLORTERM'] ?? '')) return 'truecolor';
  if (/direct|kitty|alacritty|wezterm|ghostty/.test(term)) return 'truecolor';
  return '256';
}

const ESC = '\x1b[';
const HALF_BLOCK = Buffer.from('▀');
const SPACE = 0x20;
/** From dark to light. */
const RAMP = Buffer.from(' .:-=+*#%@');
/** `'0'` … `'255'` as bytes, for colours without string building. */
const DECIMAL: readonly Uint8Array[] = Array.from({ length: 256 }, (_, n) => Buffer.from(`${n}`));
/** Longest bytes of one cell: position, both colours, character. */
const CELL_BYTES = 64;
/** Averaged source pixels per half block, each way at most. */
const MAX_TAPS = 4;
/** In the cell buffers: nothing known to be on screen. */
const UNKNOWN = -1;

/** Levels of the 6×6×6 cube of the 256-colour palette. */
const CUBE = [0, 95, 135, 175, 215, 255];

function nearestCubeLevel(value: number): number {
  let best = 0;
  for (const [i, level] of CUBE.entries()) {
    if (Math.abs(level - value) < Math.abs((CUBE[best] ?? 0) - value)) best = i;
  }
  return best;
}

const CUBE_LEVEL = Uint8Array.from({ length: 256 }, (_, value) => nearestCubeLevel(value));

/** The nearest entry of the 256-colour palette: of its cube, or of its 24 greys if nearer. */
export function paletteIndex(rgb: number): number {
  const r = (rgb >>> 16) & 0xff;
  const g = (rgb >>> 8) & 0xff;
  const b = rgb & 0xff;
  const [cr, cg, cb] = [CUBE_LEVEL[r] ?? 0, CUBE_LEVEL[g] ?? 0, CUBE_LEVEL[b] ?? 0];
  const grey = Math.max(0, Math.min(23, Math.round(((r + g + b) / 3 - 8) / 10)));
  const level = 8 + grey * 10;
  const toGrey = (r - level) ** 2 + (g - level) ** 2 + (b - level) ** 2;
  const toCube =
    (r - (CUBE[cr] ?? 0)) ** 2 + (g - (CUBE[cg] ?? 0)) ** 2 + (b - (CUBE[cb] ?? 0)) ** 2;
  return toGrey < toCube ? 232 + grey : 16 + 36 * cr + 6 * cg + cb;
}

/** Source positions that make up each of `count` destination pixels, `taps` to each. */
function tapTable(size: number, count: number, scale: number): { at: Int32Array; taps: number } {
  const step = size / count;
  const taps = Math.max(1, Math.min(MAX_TAPS, Math.floor(step)));
  const at = new Int32Array(count * taps);
  for (let i = 0; i < at.length; i++) {
    const position = Math.floor(((i + 0.5) / taps) * step);
    at[i] = Math.min(position, size - 1) * scale;
  }
  return { at, taps };
}

/** How one size of frame maps to cells. */
interface Fit {
  readonly width: number;
  readonly height: number;
  readonly stride: number;
  /** Picture size in cells, and its first column from 0. */
  readonly columns: number;
  readonly rows: number;
  readonly left: number;
  readonly xs: { at: Int32Array; taps: number };
  readonly ys: { at: Int32Array; taps: number };
}

export class TermView {
  readonly #options: TermViewOptions;
  #fit: Fit | undefined;
  /** Colours of the upper and lower half of each cell, as sampled for this frame. */
  #next = new Int32Array(0);
  /** The same as on screen, or UNKNOWN. */
  #shown = new Int32Array(0);
  #out = new Uint8Array(0);
  #used = 0;
  #foreground = UNKNOWN;
  #background = UNKNOWN;

  constructor(options: TermViewOptions) {
    if (!(options.columns >= 1) || !(options.rows >= 1)) {
      throw new RangeError(`a view of ${options.columns}x${options.rows} cells`);
    }
    this.#options = options;
  }

  /** Screen rows that the picture takes; 0 before the first frame. */
  get rows(): number {
    return this.#fit?.rows ?? 0;
  }

  /**
   * The bytes that turn what is on screen into this frame, cursor left where it happens to be
   * and colours reset. They are the view's own and hold until the next call.
   */
  frame(frame: ScanoutFrame): Uint8Array {
    this.#used = 0;
    if (!this.#options.isTTY) return this.#out.subarray(0, 0);
    const stride = checkFrame(frame);
    const fit = this.#fitTo(frame, stride);
    this.#sample(frame.pixels, fit);
    this.#foreground = UNKNOWN;
    this.#background = UNKNOWN;
    for (let row = 0; row < fit.rows; row++) this.#drawRow(row, fit);
    if (this.#used > 0 && this.#options.colour !== 'none') this.#text(`${ESC}0m`);
    return this.#out.subarray(0, this.#used);
  }

  /** Forgets what is on screen, so that the next frame is drawn whole (something wrote over it). */
  invalidate(): void {
    this.#shown.fill(UNKNOWN);
  }

  /** Clears the view's part of the screen and hides the cursor; print before the first frame. */
  begin(): Uint8Array {
    if (!this.#options.isTTY) return new Uint8Array(0);
    this.invalidate();
    const top = this.#options.top ?? 1;
    let text = `${ESC}?25l`;
    for (let row = 0; row < this.#options.rows; row++) text += `${ESC}${top + row};1H${ESC}2K`;
    return Buffer.from(text);
  }

  /** Puts the cursor below the view and shows it again; print after the last frame. */
  end(): Uint8Array {
    if (!this.#options.isTTY) return new Uint8Array(0);
    const below = (this.#options.top ?? 1) + this.#options.rows;
    const colours = this.#options.colour === 'none' ? '' : `${ESC}0m`;
    return Buffer.from(`${colours}${ESC}${below};1H${ESC}?25h`);
  }

  /** The largest picture of the frame's shape; a cell is twice as high as wide. */
  #fitTo(frame: ScanoutFrame, stride: number): Fit {
    const old = this.#fit;
    const { width, height } = frame;
    if (old?.width === width && old.height === height && old.stride === stride) return old;
    const { columns: room, rows: roomRows } = this.#options;
    const scale = Math.min(room / width, (roomRows * 2) / height);
    const columns = Math.max(1, Math.min(room, Math.round(width * scale)));
    const rows = Math.max(1, Math.min(roomRows, Math.round((height * scale) / 2)));
    const left = Math.floor((room - columns) / 2);
    const xs = tapTable(width, columns, 1);
    const ys = tapTable(height, rows * 2, stride);
    const fit = { width, height, stride, columns, rows, left, xs, ys };
    this.#fit = fit;
    this.#next = new Int32Array(columns * rows * 2);
    this.#shown = new Int32Array(columns * rows * 2).fill(UNKNOWN);
    this.#out = new Uint8Array(columns * rows * CELL_BYTES + CELL_BYTES);
    // Another shape may be smaller: wipe what it leaves uncovered.
    if (old !== undefined) this.#wipe();
    return fit;
  }

  #wipe(): void {
    const top = this.#options.top ?? 1;
    let text = '';
    for (let row = 0; row < this.#options.rows; row++) text += `${ESC}${top + row};1H${ESC}2K`;
    const wiped = new Uint8Array(this.#out.length + text.length);
    this.#out = wiped;
    this.#text(text);
  }

  /** Fills `#next`: the average of up to 4×4 source pixels for every half block. */
  #sample(pixels: Uint32Array<ArrayBufferLike>, fit: Fit): void {
    const { xs, ys, columns } = fit;
    const half = Math.floor((xs.taps * ys.taps) / 2);
    const count = xs.taps * ys.taps;
    const next = this.#next;
    const palette = this.#options.colour === '256';
    for (let y = 0, to = 0; y < fit.rows * 2; y++) {
      for (let x = 0; x < columns; x++, to++) {
        let r = half;
        let g = half;
        let b = half;
        for (let j = y * ys.taps, endJ = j + ys.taps; j < endJ; j++) {
          const row = ys.at[j] ?? 0;
          for (let i = x * xs.taps, endI = i + xs.taps; i < endI; i++) {
            const pixel = pixels[row + (xs.at[i] ?? 0)] ?? 0;
            r += (pixel >>> 16) & 0xff;
            g += (pixel >>> 8) & 0xff;
            b += pixel & 0xff;
          }
        }
        const rgb = (((r / count) | 0) << 16) | (((g / count) | 0) << 8) | ((b / count) | 0);
        next[to] = palette ? paletteIndex(rgb) : rgb;
      }
    }
    if (this.#options.colour === 'none') this.#toRamp(fit);
  }

  /** Without colour a cell is one character for the brightness of both halves. */
  #toRamp(fit: Fit): void {
    const next = this.#next;
    for (let row = 0; row < fit.rows; row++) {
      const upper = row * 2 * fit.columns;
      for (let x = upper; x < upper + fit.columns; x++) {
        const light = brightness(next[x] ?? 0) + brightness(next[x + fit.columns] ?? 0);
        const place = Math.min(RAMP.length - 1, Math.floor((light / 512) * RAMP.length));
        next[x] = RAMP[place] ?? SPACE;
        next[x + fit.columns] = 0;
      }
    }
  }

  #drawRow(row: number, fit: Fit): void {
    const upper = row * 2 * fit.columns;
    let cursor = UNKNOWN;
    for (let x = 0; x < fit.columns; x++) {
      const at = upper + x;
      const above = this.#next[at] ?? 0;
      const below = this.#next[at + fit.columns] ?? 0;
      if (this.#shown[at] === above && this.#shown[at + fit.columns] === below) continue;
      if (cursor !== x) this.#moveTo(row, fit.left + x);
      cursor = x + 1;
      this.#drawCell(above, below);
      this.#shown[at] = above;
      this.#shown[at + fit.columns] = below;
    }
  }

  #drawCell(above: number, below: number): void {
    if (this.#options.colour === 'none') {
      this.#out[this.#used++] = above;
      return;
    }
    if (below !== this.#background) this.#colour(48, below);
    this.#background = below;
    if (above === below) {
      this.#out[this.#used++] = SPACE;
      return;
    }
    if (above !== this.#foreground) this.#colour(38, above);
    this.#foreground = above;
    this.#bytes(HALF_BLOCK);
  }

  #colour(plane: 38 | 48, colour: number): void {
    if (this.#options.colour === '256') {
      this.#text(plane === 38 ? '\x1b[38;5;' : '\x1b[48;5;');
      this.#decimal(colour, 0x6d);
      return;
    }
    this.#text(plane === 38 ? '\x1b[38;2;' : '\x1b[48;2;');
    this.#decimal((colour >>> 16) & 0xff, 0x3b);
    this.#decimal((colour >>> 8) & 0xff, 0x3b);
    this.#decimal(colour & 0xff, 0x6d);
  }

  #moveTo(row: number, column: number): void {
    this.#text(`${ESC}${(this.#options.top ?? 1) + row};${column + 1}H`);
  }

  #decimal(value: number, terminator: number): void {
    const digits = DECIMAL[value];
    if (digits !== undefined) this.#bytes(digits);
    this.#out[this.#used++] = terminator;
  }

  #bytes(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i++) this.#out[this.#used++] = bytes[i] ?? 0;
  }

  #text(text: string): void {
    for (let i = 0; i < text.length; i++) this.#out[this.#used++] = text.charCodeAt(i);
  }
}

/** 0 to 255, by the weights of BT.709 in 1/256. */
function brightness(rgb: number): number {
  return (((rgb >>> 16) & 0xff) * 54 + ((rgb >>> 8) & 0xff) * 183 + (rgb & 0xff) * 19) >> 8;
}
