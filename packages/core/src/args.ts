/**
 * Types of arguments at the public border: a wrong one is a TypeError that names the argument and
 * what was expected. (Wrong values are the callee's to refuse, with an errno.)
 */
import { DmaBufError } from './errno.js';
import { MAX_LIMIT_MS } from './sync/limits.js';

/** What a value is, for messages. */
function kindOfValue(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object') return `an object of ${value.constructor?.name ?? 'no class'}`;
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'string') return `'${value}'`;
  return typeof value === 'symbol' ? 'a symbol' : `${value as number | boolean | undefined}`;
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

export function wantFunction(call: string, name: string, value: unknown): void {
  if (typeof value !== 'function') throw wrongType(call, name, 'a function', value);
}

/** Left out, or a function. */
export function wantFunctions<T extends object>(
  call: string,
  value: T,
  names: readonly (keyof T & string)[],
): void {
  for (const name of names) {
    if (value[name] !== undefined) wantFunction(call, name, value[name]);
  }
}

/** Left out, or a boolean. */
export function wantFlag(call: string, name: string, value: unknown): void {
  if (value === undefined || typeof value === 'boolean') return;
  throw wrongType(call, name, 'a boolean', value);
}

/** Left out, or a number. */
export function wantNumberOrNone(call: string, name: string, value: unknown): void {
  if (value !== undefined) wantNumber(call, name, value);
}

/** Each named property is left out or a boolean. */
export function wantFlags<T extends object>(
  call: string,
  value: T,
  names: readonly (keyof T & string)[],
): void {
  for (const name of names) wantFlag(call, name, value[name]);
}

/** Each named property is left out or a number. */
export function wantNumbers<T extends object>(
  call: string,
  value: T,
  names: readonly (keyof T & string)[],
): void {
  for (const name of names) wantNumberOrNone(call, name, value[name]);
}

/** A point in time, ms of the machine's clock. */
export function wantTime(call: string, name: string, value: unknown): asserts value is number {
  if (typeof value === 'number' && !Number.isNaN(value)) return;
  throw wrongType(call, name, 'a number of ms', value);
}

/** The actor that a call names: by its id, or as the Peer or whatever else has it as `actor`. */
export function actorOf(call: string, target: number | { readonly actor: number }): number {
  const given: unknown = target;
  if (typeof given === 'number') return given;
  if (typeof given === 'object' && given !== null && 'actor' in given) {
    if (typeof given.actor === 'number') return given.actor;
  }
  throw wrongType(call, 'target', 'an actor id or a Peer', given);
}

/** A time limit: left out, or a number of ms of at least 0. */
export function wantTimeout(call: string, timeout: unknown): void {
  if (timeout === undefined) return;
  if (typeof timeout === 'number' && timeout >= 0) return;
  throw wrongType(call, 'timeout', 'a number of ms of at least 0', timeout);
}

/** A time limit in ms: TypeError unless undefined or a number; EINVAL: negative, or too long for its word. */
export function wantLimit(call: string, limit: unknown): void {
  if (limit === undefined) return;
  if (typeof limit !== 'number') throw wrongType(call, 'limit', 'a number', limit);
  if (limit === Infinity || (limit >= 0 && limit <= MAX_LIMIT_MS)) return;
  const detail = `a limit of ${limit} ms; give 0 or Infinity (none) to ${MAX_LIMIT_MS}`;
  throw new DmaBufError('EINVAL', call, detail);
}
