// The GPU's SIMD kernels, in place on the imported memory (the carveout pool).
// They own nothing in it: no data segments, no globals, no stack, no allocator; constants are
// immediates and what scratch is needed comes as a pointer. So any number of workers may
// instantiate this module on one memory. Pointers and sizes were checked by src/kernels/check.ts;
// nothing is checked here. The formulas are specified in src/kernels/kernels.ts.
export { convert } from './convert';
export { pack } from './pack';
export { scale } from './scale';
export { blend } from './blend';
export { fill, copy } from './fill';
export { triangle } from './triangle';
