/**
 * Guard: views that throw at the faulting line (design D10, `boot({ guard: true })`), as a page that is not
 * mapped, or mapped read-only, faults.
 *
 * A guard view is a proxy of a typed array. Each access asks first. Methods that change it, or read it
 * piece by piece, ask at every step; all others work on a checked copy, so that no callback and no result gets
 * hold of the array behind. Its `buffer` would be a way round the guard, so it is refused; native code, which
 * takes no proxy for an array, takes a copy.
 */

/** Asked before each access: throws when it is not allowed. */
export type Permit = (write: boolean) => void;

/** A fault that is no matter of time or right: outside the range, or round the guard. */
export type Fault = (what: string) => Error;

type View = Uint8Array<ArrayBufferLike> | Uint32Array<ArrayBufferLike>;

/** A method of a view, as it is looked up by its name. */
type Method = (...args: readonly unknown[]) => unknown;

const WRITERS: ReadonlySet<PropertyKey> = new Set(['copyWithin', 'fill', 'reverse', 'set', 'sort']);

/** The guard view of `view`. */
export function guarded<V extends View>(view: V, permit: Permit, fault: Fault): V {
  const handler = new GuardHandler(view, permit, fault);
  const proxy: V = new Proxy(view, handler);
  handler.self = proxy;
  return proxy;
}

class GuardHandler<V extends View> implements ProxyHandler<V> {
  /** The guard view, which is what methods that answer their array answer. */
  self: V;
  readonly #permit: Permit;
  readonly #fault: Fault;

  constructor(view: V, permit: Permit, fault: Fault) {
    this.self = view;
    this.#permit = permit;
    this.#fault = fault;
  }

  get(view: V, key: PropertyKey): unknown {
    const index = indexOf(key);
    if (index !== undefined) {
      this.#check(view, index, false);
      return view[index];
    }
    if (key === 'buffer') {
      throw this.#fault(
        'its buffer, which is not guarded, was asked for; native code takes copy()',
      );
    }
    const value: unknown = Reflect.get(view, key, view);
    return isMethod(value) && key !== 'constructor' ? this.#method(view, key, value) : value;
  }

  set(view: V, key: PropertyKey, value: unknown): boolean {
    const index = indexOf(key);
    if (index === undefined) return Reflect.set(view, key, value, view);
    this.#check(view, index, true);
    view[index] = Number(value);
    return true;
  }

  defineProperty(view: V, key: PropertyKey, descriptor: PropertyDescriptor): boolean {
    const index = indexOf(key);
    if (index !== undefined) this.#check(view, index, true);
    return Reflect.defineProperty(view, key, descriptor);
  }

  getOwnPropertyDescriptor(view: V, key: PropertyKey): PropertyDescriptor | undefined {
    const index = indexOf(key);
    if (index !== undefined) this.#check(view, index, false);
    return Reflect.getOwnPropertyDescriptor(view, key);
  }

  #method(view: V, key: PropertyKey, method: Method): Method {
    if (WRITERS.has(key)) {
      return (...args) => {
        this.#permit(true);
        if (key === 'set') this.#mustFit(view, args);
        Reflect.apply(method, view, args);
        return key === 'set' ? undefined : this.self;
      };
    }
    if (key === Symbol.iterator || key === 'values') return () => this.#steps(view, (_, v) => v);
    if (key === 'entries') return () => this.#steps(view, (i, v) => [i, v]);
    if (key === 'at') {
      return (i) => {
        this.#permit(false);
        return Reflect.apply(method, view, [i]);
      };
    }
    if (key === 'subarray') {
      return (...args) => {
        const part: unknown = Reflect.apply(method, view, args);
        return isView(part) ? guarded(part, this.#permit, this.#fault) : part;
      };
    }
    return (...args) => {
      this.#permit(false);
      return Reflect.apply(method, key === 'slice' ? view : view.slice(), args);
    };
  }

  *#steps<T>(view: V, step: (index: number, value: number | undefined) => T): Generator<T> {
    for (let i = 0; i < view.length; i++) {
      this.#permit(false);
      yield step(i, view[i]);
    }
  }

  #check(view: V, index: number, write: boolean): void {
    this.#permit(write);
    if (Number.isInteger(index) && index >= 0 && index < view.length) return;
    throw this.#fault(`element ${index} is outside its range of ${view.length}`);
  }

  #mustFit(view: V, [source, offset = 0]: readonly unknown[]): void {
    const from = Number(offset);
    const count =
      typeof source === 'object' && source !== null && 'length' in source
        ? Number(source.length)
        : 0;
    if (from >= 0 && from + count <= view.length) return;
    throw this.#fault(
      `elements ${from} to ${from + count} are outside its range of ${view.length}`,
    );
  }
}

/** The index that a key names, as typed arrays read keys: any canonical number. */
function indexOf(key: PropertyKey): number | undefined {
  if (typeof key !== 'string') return undefined;
  const index = Number(key);
  return String(index) === key ? index : undefined;
}

function isMethod(value: unknown): value is Method {
  return typeof value === 'function';
}

function isView(value: unknown): value is View {
  return value instanceof Uint8Array || value instanceof Uint32Array;
}
