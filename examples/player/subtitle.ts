/**
 * The subtitle: a line of text drawn by the CPU into an ARGB8888 buffer (colours multiplied by
 * alpha, as DRM planes take them), which the GPU then blends over every frame.
 */
import { GLYPH_HEIGHT, GLYPH_WIDTH, glyphPixel, printable } from './font.js';
import type { Rect, Size } from '@dmabuf/importer-gpu';

const WHITE = 0xffffffff;
/** Black at 9/16. */
const BOX = 0x90000000;
const CELL = GLYPH_WIDTH + 1;
/** Pixels of the font around the text. */
const MARGIN = 2;
/** A text row is about a 25th of the screen high. */
const ROWS_PER_SCREEN = 25;

/** A subtitle as it will be drawn. */
export interface Subtitle {
  readonly characters: readonly string[];
  /** Screen pixels for one pixel of the font. */
  readonly scale: number;
  /** Where it goes on the screen. */
  readonly rect: Rect;
}

/** Lays a text out at the bottom of a screen; undefined for an empty one. What is too long is cut. */
export function layOutSubtitle(text: string, screen: Size): Subtitle | undefined {
  const all = printable(text);
  if (all.length === 0) return undefined;
  const widthOf = (length: number): number => length * CELL - 1 + 2 * MARGIN;
  const wanted = Math.max(1, Math.round(screen.height / ROWS_PER_SCREEN / GLYPH_HEIGHT));
  const scale = Math.max(1, Math.min(wanted, Math.floor(screen.width / widthOf(all.length))));
  const room = Math.floor((screen.width / scale - 2 * MARGIN + 1) / CELL);
  const characters =
    all.length <= room ? all : [...all.slice(0, Math.max(0, room - 3)), '.', '.', '.'];
  const width = Math.min(screen.width, widthOf(characters.length) * scale);
  const height = (GLYPH_HEIGHT + 2 * MARGIN) * scale;
  const x = Math.floor((screen.width - width) / 2);
  const y = Math.max(0, screen.height - height - Math.round(screen.height / 30));
  return { characters, scale, rect: { x, y, width, height } };
}

/** Draws it into `words`, rows of `rect.width` pixels. Overwrites all of them. */
export function drawSubtitle(subtitle: Subtitle, words: Uint32Array<ArrayBufferLike>): void {
  const { characters, scale, rect } = subtitle;
  words.fill(BOX, 0, rect.width * rect.height);
  for (const [i, character] of characters.entries()) {
    for (let x = 0; x < GLYPH_WIDTH; x++) {
      for (let y = 0; y < GLYPH_HEIGHT; y++) {
        if (!glyphPixel(character, x, y)) continue;
        const left = (MARGIN + i * CELL + x) * scale;
        fillSquare(words, rect.width, left, (MARGIN + y) * scale, scale);
      }
    }
  }
}

function fillSquare(
  words: Uint32Array<ArrayBufferLike>,
  pitch: number,
  left: number,
  top: number,
  size: number,
): void {
  const right = Math.min(left + size, pitch);
  for (let y = top; y < top + size; y++) words.fill(WHITE, y * pitch + left, y * pitch + right);
}
