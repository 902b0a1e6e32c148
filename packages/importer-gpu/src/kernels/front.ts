/**
 * The checked front that every `Kernels` has: takes images and rectangles, finds every fault, picks
 * the implementation and hands it addresses. One per implementation set, without state.
 */
import type { FormatInfo } from '../fourcc.js';
import {
  blocks,
  checkApart,
  checkImage,
  checkRect,
  checkRows,
  checkSameSize,
  fail,
  overlaps,
  PACKABLE,
  PACKED,
  packedSpan,
  planeAt,
  RGB32,
  rgbSpan,
  show,
} from './check.js';
import { coefficients, type ColorSpec, forward } from './color.js';
import type {
  BlendOptions,
  Image,
  Kernels,
  Rect,
  Rows,
  ScaleOptions,
  TriangleOptions,
} from './kernels.js';
import type { KernelOps, ScaleOp, TriangleOp } from './ops.js';
import { scaleStep } from './scale-map.js';
import { setupTriangle } from './triangle-setup.js';
import { checkMesh, type Mesh } from './vertex.js';
import { DRM_FORMAT_ARGB8888, DRM_FORMAT_XRGB8888 } from '../fourcc.js';

/** The implementation for these images; throws EINVAL if there is none. */
export type Pick = (call: string, dst: Image, src?: Image) => KernelOps;

const OPAQUE = 0xff000000;
const ANY_SOURCE = [...RGB32, ...PACKED];

/** 0xff000000 unless alpha goes from an ARGB8888 image to another. */
function opacity(dst: Image, src: Image): number {
  const keeps = dst.fourcc === DRM_FORMAT_ARGB8888 && src.fourcc === DRM_FORMAT_ARGB8888;
  return keeps ? 0 : OPAQUE;
}

class Front implements Kernels {
  readonly name: Kernels['name'];
  readonly reaches: (image: Image) => boolean;
  readonly #pick: Pick;

  constructor(name: Kernels['name'], reaches: (image: Image) => boolean, pick: Pick) {
    this.name = name;
    this.reaches = reaches;
    this.#pick = pick;
  }

  convert(dst: Image, to: Rect, src: Image, from: Rect, color?: ColorSpec, rows?: Rows): void {
    const { y0, y1 } = this.#pair('convert', dst, to, src, from, rows, RGB32, PACKED);
    checkSameSize('convert', to, from);
    const k = coefficients(color);
    const ops = this.#pick('convert', dst, src);
    ops.convert(rgbSpan(dst, to), packedSpan(src, from), to.width, k, y0, y1);
  }

  pack(dst: Image, to: Rect, src: Image, from: Rect, color?: ColorSpec, rows?: Rows): void {
    const { y0, y1 } = this.#pair('pack', dst, to, src, from, rows, PACKABLE, RGB32);
    checkSameSize('pack', to, from);
    const info = checkImage('pack', 'destination', dst);
    checkGrid('pack', 'destination', info, dst, to);
    const k = forward(color);
    const { width, height } = to;
    const op = { dst: packedSpan(dst, to), src: rgbSpan(src, from), width, height, k };
    this.#pick('pack', dst, src).pack(op, y0, y1);
  }

  scale(dst: Image, to: Rect, src: Image, from: Rect, options: ScaleOptions, rows?: Rows): void {
    const { filter, color } = options;
    if (filter !== 'nearest' && filter !== 'bilinear') {
      throw new TypeError(`scale: filter must be 'nearest' or 'bilinear', got ${String(filter)}`);
    }
    const { y0, y1 } = this.#pair('scale', dst, to, src, from, rows, RGB32, ANY_SOURCE);
    const packed = !RGB32.includes(src.fourcc);
    const ops = this.#pick('scale', dst, src);
    const orMask = opacity(dst, src);
    // Same size: every weight is 0, so this is a conversion or a copy.
    if (to.width === from.width && to.height === from.height) {
      const out = rgbSpan(dst, to);
      if (packed) ops.convert(out, packedSpan(src, from), to.width, coefficients(color), y0, y1);
      else ops.copy(out, rgbSpan(src, from), to.width * 4, orMask, y0, y1);
      return;
    }
    const packing = packed ? { src: packedSpan(src, from), k: coefficients(color) } : undefined;
    const op: ScaleOp = {
      bilinear: filter === 'bilinear',
      dst: rgbSpan(dst, to),
      width: to.width,
      src: packing?.src ?? rgbSpan(src, from),
      sourceWidth: from.width,
      sourceHeight: from.height,
      stepX: scaleStep(from.width, to.width),
      stepY: scaleStep(from.height, to.height),
      orMask,
      ...(packing === undefined ? {} : { packed: packing }),
    };
    ops.scale(op, y0, y1);
  }

  blend(
    dst: Image,
    to: Rect,
    src: Image,
    from: Rect,
    options: BlendOptions = {},
    rows?: Rows,
  ): void {
    const { mode = 'premultiplied', alpha = 255 } = options;
    if (mode !== 'premultiplied' && mode !== 'coverage' && mode !== 'none') {
      throw new TypeError(
        `blend: mode must be 'premultiplied', 'coverage' or 'none', got ${String(mode)}`,
      );
    }
    if (!Number.isInteger(alpha))
      throw new TypeError(`blend: alpha must be an integer, got ${String(alpha)}`);
    if (alpha < 0 || alpha > 255) fail('blend', `alpha ${alpha} is outside 0..255`);
    const { y0, y1 } = this.#pair('blend', dst, to, src, from, rows, [DRM_FORMAT_XRGB8888], RGB32);
    checkSameSize('blend', to, from);
    const solid = mode === 'none' || src.fourcc === DRM_FORMAT_XRGB8888;
    this.#pick('blend', dst, src).blend(
      {
        dst: rgbSpan(dst, to),
        src: rgbSpan(src, from),
        width: to.width,
        coverage: mode !== 'premultiplied',
        alpha,
        orMask: solid ? OPAQUE : 0,
      },
      y0,
      y1,
    );
  }

  fill(dst: Image, to: Rect, pixel: number, rows?: Rows): void {
    if (!Number.isInteger(pixel))
      throw new TypeError(`fill: pixel must be an integer, got ${String(pixel)}`);
    checkImage('fill', 'destination', dst, RGB32);
    checkRect('fill', 'destination', dst, to);
    const { y0, y1 } = checkRows('fill', to, rows);
    const word = (dst.fourcc === DRM_FORMAT_XRGB8888 ? pixel | OPAQUE : pixel) >>> 0;
    this.#pick('fill', dst).fill(rgbSpan(dst, to), to.width, word, y0, y1);
  }

  clear(dst: Image, rows?: Rows): void {
    this.fill(dst, { x: 0, y: 0, width: dst.width, height: dst.height }, 0, rows);
  }

  copy(dst: Image, to: Rect, src: Image, from: Rect, rows?: Rows): void {
    const info = checkImage('copy', 'destination', dst);
    const source = checkImage('copy', 'source', src);
    checkRect('copy', 'destination', dst, to);
    checkRect('copy', 'source', src, from);
    checkSameSize('copy', to, from);
    const { y0, y1 } = checkRows('copy', to, rows);
    if (dst.fourcc !== src.fourcc) {
      if (!RGB32.includes(dst.fourcc) || !RGB32.includes(src.fourcc)) {
        fail('copy', `${source.name} cannot be copied to ${info.name}; use blit, which converts`);
      }
      checkApart('copy', blocks(dst, info, to), blocks(src, source, from));
      const ops = this.#pick('copy', dst, src);
      ops.copy(rgbSpan(dst, to), rgbSpan(src, from), to.width * 4, OPAQUE, y0, y1);
      return;
    }
    checkGrid('copy', 'destination', info, dst, to);
    checkGrid('copy', 'source', info, src, from);
    checkOverlap(info, dst, to, src, from, y0 > 0 || y1 < to.height);
    const ops = this.#pick('copy', dst, src);
    const targets = blocks(dst, info, to);
    const origins = blocks(src, info, from);
    info.planes.forEach(({ vsub }, i) => {
      const d = targets[i];
      const s = origins[i];
      if (d === undefined || s === undefined) return;
      // A chroma row belongs to the range that holds its first luma row.
      const first = Math.ceil(y0 / vsub);
      ops.copy(d, s, Math.min(d.rowBytes, s.rowBytes), 0, first, Math.ceil(y1 / vsub));
    });
  }

  triangles(
    dst: Image,
    clip: Rect,
    mesh: Mesh,
    options: TriangleOptions = {},
    rows?: Rows,
  ): number {
    const { texture, filter = 'bilinear', blend = 'premultiplied', color } = options;
    checkName('filter', filter, ['nearest', 'bilinear']);
    checkName('blend', blend, ['premultiplied', 'replace']);
    const info = checkImage('triangles', 'destination', dst, RGB32);
    checkRect('triangles', 'clip', dst, clip);
    const part = options.part ?? (texture && whole(texture));
    if (texture !== undefined && part !== undefined) {
      const source = checkImage('triangles', 'texture', texture, ANY_SOURCE);
      checkRect('triangles', 'texture', texture, part);
      checkApart('triangles', blocks(dst, info, clip), blocks(texture, source, part));
    }
    const { y0, y1 } = checkRows('triangles', clip, rows);
    const count = checkMesh(mesh);
    const ops = this.#pick('triangles', dst, texture);
    const shared = {
      dst: rgbSpan(dst, whole(dst)),
      left: clip.x,
      right: clip.x + clip.width,
      texture: texture && part && textureOf(texture, part, color),
      bilinear: filter === 'bilinear',
      over: blend === 'premultiplied',
      orMask: opaqueOf(dst),
    };
    let pixels = 0;
    for (let i = 0; i < count; i++) {
      const triangle = setupTriangle(mesh, i);
      if (triangle === undefined) continue;
      pixels += ops.triangle({ triangle, ...shared }, clip.y + y0, clip.y + y1);
    }
    return pixels;
  }

  /** The checks that all two-image kernels share. */
  #pair(
    call: string,
    dst: Image,
    to: Rect,
    src: Image,
    from: Rect,
    rows: Rows | undefined,
    dstFormats: readonly number[],
    srcFormats: readonly number[],
  ): Rows {
    const target = checkImage(call, 'destination', dst, dstFormats);
    const info = checkImage(call, 'source', src, srcFormats);
    checkRect(call, 'destination', dst, to);
    checkRect(call, 'source', src, from);
    const { y0, y1 } = checkRows(call, to, rows);
    checkApart(call, blocks(dst, target, to), blocks(src, info, from));
    return { y0, y1 };
  }
}

function whole({ width, height }: Image): Rect {
  return { x: 0, y: 0, width, height };
}

function opaqueOf({ fourcc }: Image): number {
  return fourcc === DRM_FORMAT_XRGB8888 ? OPAQUE : 0;
}

function textureOf(
  image: Image,
  part: Rect,
  color: ColorSpec | undefined,
): NonNullable<TriangleOp['texture']> {
  const size = { width: part.width, height: part.height, orMask: opaqueOf(image) };
  if (RGB32.includes(image.fourcc)) return { src: rgbSpan(image, part), ...size };
  const src = packedSpan(image, part);
  return { src, ...size, packed: { src, k: coefficients(color) } };
}

function checkName(what: string, value: string, names: readonly string[]): void {
  if (names.includes(value)) return;
  throw new TypeError(`triangles: ${what} must be one of ${names.join(', ')}, got ${value}`);
}

/** A subsampled rectangle must not cut a block, except at the image's far edges. */
function checkGrid(call: string, role: string, info: FormatInfo, image: Image, rect: Rect): void {
  const right = rect.x + rect.width;
  const bottom = rect.y + rect.height;
  for (const { hsub, vsub } of info.planes) {
    const cut =
      rect.x % hsub !== 0 ||
      rect.y % vsub !== 0 ||
      (right % hsub !== 0 && right !== image.width) ||
      (bottom % vsub !== 0 && bottom !== image.height);
    if (!cut) continue;
    const detail = `${role} rectangle ${show(rect)} cuts a ${hsub}x${vsub} block of ${info.name}`;
    fail(
      call,
      `${detail}; begin and end on multiples of ${hsub} and ${vsub}, or at the image's edge`,
    );
  }
}

/** Overlap is for scrolling: one plane, one pitch, not split. */
function checkOverlap(
  info: FormatInfo,
  dst: Image,
  to: Rect,
  src: Image,
  from: Rect,
  split: boolean,
): void {
  const [plane] = info.planes;
  const scroll =
    !split &&
    info.planes.length === 1 &&
    plane !== undefined &&
    plane.hsub === 1 &&
    planeAt(dst, 0).pitch === planeAt(src, 0).pitch;
  const targets = blocks(dst, info, to);
  const origins = blocks(src, info, from);
  if (!scroll && targets.some((d) => origins.some((s) => overlaps(d, s)))) {
    fail(
      'copy',
      `${info.name} rectangles overlap in memory; only a whole copy within one pitch may`,
    );
  }
}

/** Makes the checked front of an implementation. */
export function makeFront(
  name: Kernels['name'],
  reaches: (image: Image) => boolean,
  pick: Pick,
): Kernels {
  return new Front(name, reaches, pick);
}
