/** Keeps handles from the garbage collector, whose finding them open is reported as a leak. */
const kept: unknown[] = [];

/** Keeps a value as long as the process lives. */
export function keep<T>(value: T): T {
  kept.push(value);
  return value;
}
