/** An object word: what an fd's entry, or a mailbox slot, names: kind << 28 | pointer. */

const KIND_SHIFT = 28;
const POINTER_MASK = (1 << KIND_SHIFT) - 1;

export function objectWord(kind: number, pointer: number): number {
  return (kind << KIND_SHIFT) | pointer;
}
export function kindOf(object: number): number {
  return object >>> KIND_SHIFT;
}
export function pointerOf(object: number): number {
  return object & POINTER_MASK;
}
