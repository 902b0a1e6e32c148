/**
 * Types of arguments at the public border: a wrong one is a TypeError that names the argument and
 * what was expected. (Wrong values are the callee's to refuse, with an errno.)
 */

/** What a value is, for messages. */
function kindOfValue(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object') return `an object of ${value.constructor?.name ?? 'no class'}`;
  if (typeof value === 'function') return 'a function';
  return typeof value === 'string' ? `'${value}'` : `${value as number | boolean | undefined}`;
}

export function wrongType(call: string, name: string, expected: string, value: unknown): TypeError {
  return new TypeError(`${call}: ${name} must be ${expected}, not ${kindOfValue(value)}`);
}

export function wantNumber(call: string, name: string, value: unknown): asserts value is number {
  if (typeof value !== 'number') throw wrongType(call, name, 'a number', value);
}

export function wantString(call: string, name: string, value: unknown): asserts value is string {
  if (typeof value !== 'string') throw wrongType(call, name, 'a string', value);
}

export function wantObject(call: string, name: string, value: unknown): asserts value is object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw wrongType(call, name, 'an object', value);
  }
}

export function wantArray(
  call: string,
  name: string,
  value: unknown,
): asserts value is readonly unknown[] {
  if (!Array.isArray(value)) throw wrongType(call, name, 'an array', value);
}

/** Each named property is left out or a boolean. */
export function wantFlags<T extends object>(
  call: string,
  value: T,
  names: readonly (keyof T & string)[],
): void {
  for (const name of names) {
    const flag: unknown = value[name];
    if (flag === undefined || typeof flag === 'boolean') continue;
    throw wrongType(call, name, 'a boolean', flag);
  }
}

/** Each named property is left out or a number. */
export function wantNumbers<T extends object>(
  call: string,
  value: T,
  names: readonly (keyof T & string)[],
): void {
  for (const name of names) {
    const number: unknown = value[name];
    if (number !== undefined) wantNumber(call, name, number);
  }
}

/** A time limit: left out, or a number of ms of at least 0. */
export function wantTimeout(call: string, timeout: unknown): void {
  if (timeout === undefined) return;
  if (typeof timeout === 'number' && timeout >= 0) return;
  throw wrongType(call, 'timeout', 'a number of ms of at least 0', timeout);
}
