/**
 * The map of kernel memory: every record, every field, who writes it and what protects it.
 *
 * Kernel memory is one region of 32-bit words, sized at boot. Pointers in it are word offsets, 0 is
 * "none". Records are aligned to 32 words (two cache lines), so that the low five bits of a
 * pointer are free for flags, and neighbours never share a line. The tables stand in the order of
 * {@link layoutOf}; their offsets are in the header, so that a joiner needs the region alone.
 *
 * In the comments: "L(x)" = written only by the holder of lock x; "CAS" = by anyone, by compare
 * and exchange; "own" = only by the thread of the actor that the record belongs to; "boot" =
 * written once, before anybody else can look.
 */
export * from './layout/header.js';
export * from './layout/actors.js';
export * from './layout/buffers.js';
export * from './layout/jobs.js';
export * from './layout/fences.js';
export * from './layout/sizes.js';
