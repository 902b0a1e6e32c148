/**
 * Kernel memory's one accessor (design D1).
 *
 * Every load and store of kernel memory, plain ones too, goes through an instance of `Words`, so
 * that accesses can be counted, traced and stepped in tests (see `CountedWords`). Only load,
 * store, add, exchange and compareExchange are used on shared words; sleeping and waking belong to
 * the substrate seam. Indexes are word offsets (4 bytes); doubles sit at even offsets.
 *
 * A double is written with one 8-byte store, which is single-copy atomic on every 64-bit machine
 * that Node runs on: a reader, and the recoverer of a dead writer, sees the old or the new value.
 */
export class Words {
  readonly i32: Int32Array<ArrayBufferLike>;
  readonly f64: Float64Array<ArrayBufferLike>;
  readonly u8: Uint8Array<ArrayBufferLike>;

  constructor(buffer: ArrayBufferLike) {
    this.i32 = new Int32Array(buffer);
    this.f64 = new Float64Array(buffer);
    this.u8 = new Uint8Array(buffer);
  }

  /** Plain load: for words that a lock, or a single writer, protects. */
  get(index: number): number {
    return this.i32[index] as number;
  }

  /** Plain store: see {@link get}. */
  set(index: number, value: number): void {
    this.i32[index] = value;
  }

  getDouble(index: number): number {
    return this.f64[index >> 1] as number;
  }

  setDouble(index: number, value: number): void {
    this.f64[index >> 1] = value;
  }

  load(index: number): number {
    return Atomics.load(this.i32, index);
  }

  store(index: number, value: number): void {
    Atomics.store(this.i32, index, value);
  }

  /** Adds and returns the value *before* the addition. */
  add(index: number, value: number): number {
    return Atomics.add(this.i32, index, value);
  }

  exchange(index: number, value: number): number {
    return Atomics.exchange(this.i32, index, value);
  }

  /** Compare and exchange; true when `expected` was there and `value` is now. */
  cas(index: number, expected: number, value: number): boolean {
    return Atomics.compareExchange(this.i32, index, expected, value) === expected;
  }

  /** A byte view of `count` words, for payloads and names: the holder copies at once. */
  bytes(index: number, byteLength: number): Uint8Array<ArrayBufferLike> {
    return this.u8.subarray(index * 4, index * 4 + byteLength);
  }
}

/** A `Words` that counts: what the speed marks of the design are checked with. */
export class CountedWords extends Words {
  /** Plain loads and stores since the last {@link reset}. */
  plain = 0;
  /** Atomics calls since the last {@link reset}. */
  atomics = 0;

  reset(): void {
    this.plain = 0;
    this.atomics = 0;
  }

  override get(index: number): number {
    this.plain++;
    return super.get(index);
  }

  override set(index: number, value: number): void {
    this.plain++;
    super.set(index, value);
  }

  override getDouble(index: number): number {
    this.plain++;
    return super.getDouble(index);
  }

  override setDouble(index: number, value: number): void {
    this.plain++;
    super.setDouble(index, value);
  }

  override load(index: number): number {
    this.atomics++;
    return super.load(index);
  }

  override store(index: number, value: number): void {
    this.atomics++;
    super.store(index, value);
  }

  override add(index: number, value: number): number {
    this.atomics++;
    return super.add(index, value);
  }

  override exchange(index: number, value: number): number {
    this.atomics++;
    return super.exchange(index, value);
  }

  override cas(index: number, expected: number, value: number): boolean {
    this.atomics++;
    return super.cas(index, expected, value);
  }
}
