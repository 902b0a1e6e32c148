/**
 * PageMap: the range allocator of a heap, on shared words. The caller holds the heap's lock.
 *
 * One word for each page of the heap. The word of a range's first page, its *head*, holds length and
 * kind; the words of its other pages mean nothing. The ranges are what a walk finds that starts
 * at page 0 and steps by length. So one store of a head is all it takes to publish a change:
 *   take   write the new heads inside a free range (nobody sees them), then shorten that range;
 *   free   change the kind;
 *   join   lengthen the first range: the head of the second is swallowed.
 * Death between two stores leaves the map as it was before or after, never in between. There are no
 * lists to repair and no pool of range descriptors to run out of.
 *
 * Neighbours of one kind are joined by the next walk that passes, so freeing costs one store.
 * A clean range is all zero. A dirty one holds an earlier owner's bytes, and is taken only if no
 * clean one is large enough; whoever takes it zeroes it.
 */
import type { Words } from '@dmabuf/core/driver';

/** What a range is. ZEROING: free, and the heap thread is at work on it. */
export const KIND = { CLEAN: 1, DIRTY: 2, USED: 3, ZEROING: 4 } as const;
const KIND_BITS = 3;
const KIND_MASK = (1 << KIND_BITS) - 1;

/** Longest map, so that a length fits its word. */
export const MAX_PAGES: number = 1 << 24;

/** Pages from `start`, `length` of them. */
export interface Range {
  readonly start: number;
  readonly length: number;
}

/** What is asked of {@link PageMap.find}; all in pages. */
export interface Fit {
  readonly length: number;
  /** Alignment of the start, counted from `origin`. */
  readonly align: number;
  /** Page number, in the aligned space, of the map's page 0. */
  readonly origin: number;
  /** `best`: the smallest free range that will do; `first`: the lowest. */
  readonly policy: 'best' | 'first';
}

/** Where a request fits: `from` is the head where {@link PageMap.take} starts to look. */
export interface Place {
  readonly start: number;
  readonly from: number;
}

export interface PageMapStats {
  readonly pages: number;
  readonly clean: number;
  readonly dirty: number;
  readonly zeroing: number;
  /** Longest run of free pages, whatever their kind. */
  readonly largest: number;
  /** Taken ranges. */
  readonly used: number;
  /** Maximal runs of free pages. */
  readonly holes: number;
}

export class PageMap {
  readonly #words: Words;
  readonly #base: number;
  readonly pages: number;

  constructor(words: Words, base: number, pages: number) {
    this.#words = words;
    this.#base = base;
    this.pages = pages;
  }

  /** One clean range. */
  format(): void {
    this.#publish(0, this.pages, KIND.CLEAN);
  }

  /**
   * Where a range would fit: in clean memory if that does not cut a free run in two, else anywhere.
   * Undefined: nowhere.
   */
  find(fit: Fit): Place | undefined {
    const clean = new Search(fit, true);
    const mixed = new Search(fit, false);
    // Whether what lies before is taken, or the start of the heap.
    let edge = true;
    let length = 0;
    for (let start = 0; start < this.pages && !clean.done; start += length) {
      const kind = this.kindAt(start);
      length = this.#joined(start, kind);
      const free = kind === KIND.CLEAN || kind === KIND.DIRTY;
      if (kind !== KIND.CLEAN) clean.end(kind === KIND.USED);
      else clean.extend(start, length, edge);
      if (free) mixed.extend(start, length, edge);
      else mixed.end(kind === KIND.USED);
      edge = kind === KIND.USED;
    }
    clean.end(true);
    mixed.end(true);
    return clean.place ?? mixed.place;
  }

  /**
   * Takes `length` pages at a place that {@link find} gave under the same hold of the lock. Returns
   * the parts of it that are dirty; the caller zeroes them before anybody sees the range.
   */
  take(place: Place, length: number): Range[] {
    const { start } = place;
    const end = start + length;
    const dirty: Range[] = [];
    let holder = place.from;
    for (let at = place.from; at < end;) {
      const kind = this.kindAt(at);
      const next = at + this.lengthAt(at);
      if (at <= start) holder = at;
      const from = Math.max(at, start);
      const to = Math.min(next, end);
      if (kind === KIND.DIRTY && to > from) dirty.push({ start: from, length: to - from });
      if (next > end) this.#publish(end, next - end, kind);
      at = next;
    }
    this.#publish(start, length, KIND.USED);
    if (holder < start) this.#publish(holder, start - holder, this.kindAt(holder));
    return dirty;
  }

  /** Frees a taken range; its pages become dirty. False if none starts there. */
  free(start: number): boolean {
    if (this.kindAt(start) !== KIND.USED) return false;
    this.#publish(start, this.lengthAt(start), KIND.DIRTY);
    return true;
  }

  /** Marks the first dirty range, or the first `most` pages of it, as being zeroed. */
  beginZero(most: number): Range | undefined {
    for (const { start, length, kind } of this.ranges()) {
      if (kind !== KIND.DIRTY) continue;
      const piece = Math.min(length, most);
      if (piece < length) this.#publish(start + piece, length - piece, KIND.DIRTY);
      this.#publish(start, piece, KIND.ZEROING);
      return { start, length: piece };
    }
    return undefined;
  }

  /** The range is all zero now. */
  endZero(range: Range): void {
    this.#publish(range.start, range.length, KIND.CLEAN);
  }

  /** Makes what is marked as being zeroed dirty again: the one who did it has died. */
  abortZero(): void {
    for (const { start, length, kind } of this.ranges()) {
      if (kind === KIND.ZEROING) this.#publish(start, length, KIND.DIRTY);
    }
  }

  /** All ranges from page 0 on, joining neighbours of one kind on the way. */
  *ranges(): Generator<Range & { readonly kind: number }> {
    for (let start = 0; start < this.pages;) {
      const kind = this.kindAt(start);
      const length = this.#joined(start, kind);
      yield { start, length, kind };
      start += length;
    }
  }

  stats(): PageMapStats {
    const pages = [0, 0, 0, 0, 0];
    let [largest, used, holes, run] = [0, 0, 0, 0];
    for (const { length, kind } of this.ranges()) {
      pages[kind] = (pages[kind] ?? 0) + length;
      if (kind === KIND.USED) used++;
      if (kind !== KIND.USED && run === 0) holes++;
      run = kind === KIND.USED ? 0 : run + length;
      largest = Math.max(largest, run);
    }
    const [, clean = 0, dirty = 0, , zeroing = 0] = pages;
    return { pages: this.pages, clean, dirty, zeroing, largest, used, holes };
  }

  /** Kind of the range that starts at a page. Only for heads. */
  kindAt(start: number): number {
    return this.#words.get(this.#base + start) & KIND_MASK;
  }

  lengthAt(start: number): number {
    return this.#words.get(this.#base + start) >>> KIND_BITS;
  }

  /** Length of a range after its neighbours of the same, free, kind have been joined to it. */
  #joined(start: number, kind: number): number {
    const length = this.lengthAt(start);
    if (kind === KIND.USED || kind === KIND.ZEROING) return length;
    let end = start + length;
    while (end < this.pages && this.kindAt(end) === kind) end += this.lengthAt(end);
    if (end > start + length) this.#publish(start, end - start, kind);
    return end - start;
  }

  /** An atomic store: all heads that it brings to light are in memory before it. */
  #publish(start: number, length: number, kind: number): void {
    this.#words.store(this.#base + start, (length << KIND_BITS) | kind);
  }
}

/**
 * Collects runs of pages, and keeps the one that suits best. A range is taken from an end of its run
 * where taken memory borders it, so that what is left of the run stays in one piece.
 */
class Search {
  readonly #fit: Fit;
  /** Only runs that have such an end. */
  readonly #strict: boolean;
  #from = -1;
  #end = 0;
  #lowEdge = false;
  #size = Infinity;
  place: Place | undefined;

  constructor(fit: Fit, strict: boolean) {
    this.#fit = fit;
    this.#strict = strict;
  }

  /** The lowest fit is known, and no other is wanted. */
  get done(): boolean {
    return this.#fit.policy === 'first' && this.place !== undefined;
  }

  /** Adds pages to the run; `edge`: taken memory borders them from below. */
  extend(start: number, length: number, edge: boolean): void {
    if (this.#from < 0) {
      this.#from = start;
      this.#lowEdge = edge;
    }
    this.#end = start + length;
  }

  /** The run ends here; `edge`: at taken memory. */
  end(edge: boolean): void {
    const from = this.#from;
    if (from < 0) return;
    this.#from = -1;
    const size = this.#end - from;
    if (this.done || size >= this.#size) return;
    if (this.#strict && !this.#lowEdge && !edge) return;
    const start = this.#startIn(from, this.#end, this.#lowEdge || !edge);
    if (start < from || start + this.#fit.length > this.#end) return;
    this.#size = size;
    this.place = { start, from };
  }

  /** The lowest or highest aligned start. */
  #startIn(from: number, end: number, low: boolean): number {
    const { length, align, origin } = this.#fit;
    if (low) return Math.ceil((origin + from) / align) * align - origin;
    return Math.floor((origin + end - length) / align) * align - origin;
  }
}
