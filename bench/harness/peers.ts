/**
 * The peers, dev dependencies of bench/ alone. One that is not installed is a row that says so. What
 * is used of each is declared here, so that the bench compiles without them.
 */
import type { MessagePort, Worker } from 'node:worker_threads';

export interface Comlink {
  wrap(endpoint: object): unknown;
  expose(target: object, endpoint: object): void;
  transfer<T>(value: T, transfers: readonly object[]): T;
}
/** `comlink/dist/esm/node-adapter`: node's ports as comlink wants them. */
export type NodeEndpoint = (port: Worker | MessagePort) => object;

/** What piscina and tinypool have in common. */
export interface Pool {
  run(
    task: unknown,
    options?: { readonly name?: string; readonly transferList?: readonly object[] },
  ): Promise<unknown>;
  destroy(): Promise<void>;
}
export type PoolClass = new (options: object) => Pool;

export interface Workerpool {
  pool(
    script: string,
    options: object,
  ): {
    exec(
      name: string,
      args: readonly unknown[],
      options?: { readonly transfer?: readonly object[] },
    ): PromiseLike<unknown>;
    terminate(): PromiseLike<unknown>;
  };
  worker(methods: object): void;
  readonly Transfer: new (message: unknown, transfer: readonly object[]) => object;
}

/** Imports a peer; undefined when it is not installed. */
export async function peer<T>(name: string): Promise<T | undefined> {
  try {
    return (await import(name)) as T;
  } catch (error) {
    const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
    if (code === 'ERR_MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}

/** Why a peer's row is empty. */
export function absent(name: string): string {
  return `${name} is not installed (npm install -w bench -D ${name})`;
}

/** Where a peer's module is, for workers that import it. */
export function resolved(name: string): string {
  return import.meta.resolve(name);
}
