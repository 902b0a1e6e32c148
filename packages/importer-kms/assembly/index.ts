// The composer's SIMD kernels: rows of pixels in the composer's own memory.
// They own nothing in it: no data segments, no globals, no stack. Pointers and counts come from
// src/compose/composer.ts, which lays the memory out; nothing is checked here. Whatever is read beyond a
// row's end lies in the slack behind it and has no effect. What each must give, to the bit, is in
// src/compose/plain.ts.
export { blend } from './blend';
export { expand565, gather, yuv } from './fetch';
