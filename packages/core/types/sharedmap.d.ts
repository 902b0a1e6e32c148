// sharedmap 1.2.0 as Node imports it (its own index.d.ts does not compile).
export default class SharedMap {
  readonly storage: SharedArrayBuffer;
  constructor(maxSize: number, keySize: number, objSize: number);
  set(key: string, value: string): void;
  get(key: string): string | undefined;
  keys(): Iterable<string>;
}
