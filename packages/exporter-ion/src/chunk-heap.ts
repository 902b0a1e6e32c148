/**
 * The chunk heap (ion_chunk_heap.c): pieces of one size from the pool, anywhere in it. It never
 * fragments; what it gives is a scatter list. Devices get the list by mapping their attachment, or with a job
 * (`job.buffer(i).sg`); there is no CPU mapping (ENODEV), which wants one piece.
 *
 * One word for each chunk: whose it is (the record's offset from the driver's base), or why it is
 * nobody's. The chunks of a buffer are those that name its record, in ascending order: nothing else
 * is kept, so a death in the middle leaves chunks that name a record which is not alive.
 */
import { DmaBufError } from '@dmabuf/core';
import { BUFFER_FLAG, type SgEntry } from '@dmabuf/core/driver';
import type { HeapEnv, HeapRequest, HeapUsage, HeapUser, Place, Placement } from './heap.js';
import { HEAP, RECORD } from './layout.js';
import { PoolHeap } from './pool-heap.js';
import { bytesText } from './text.js';

const CLEAN = 0;
const DIRTY = -1;
const ZEROING = -2;

export class ChunkHeap extends PoolHeap {
  /** Bytes of a chunk. */
  readonly chunk: number;
  readonly #count: number;

  constructor(env: HeapEnv) {
    super(env);
    const { words, pointer } = this;
    this.chunk = Math.max(this.config.chunk, env.granule);
    this.#count = Math.floor(words.getDouble(pointer + HEAP.BYTES) / this.chunk);
  }

  override get bufferFlags(): number {
    return BUFFER_FLAG.NO_MMAP | BUFFER_FLAG.SCATTER;
  }

  override refusal(user: HeapUser): string | undefined {
    const { name, reach } = user;
    if (reach.contiguous === true) return `${name} needs memory in one piece`;
    if ((reach.align ?? 1) <= this.chunk) return super.refusal(user);
    const [align, chunk] = [bytesText(reach.align ?? 1), bytesText(this.chunk)];
    return `${name} needs an alignment of ${align}, its pieces are of ${chunk}`;
  }

  allocate(request: HeapRequest, record: number): Placement {
    if (this.#count === 0) throw this.noPool();
    if (request.align > this.chunk) {
      const detail = `${this.label} aligns to its chunks of ${bytesText(this.chunk)}, not to ${bytesText(request.align)}`;
      throw new DmaBufError('EINVAL', 'ion_alloc', detail);
    }
    const wanted = Math.ceil(request.size / this.chunk);
    const dirty = this.takeOnceOrTwice(() => this.#take(wanted, record));
    if (dirty === undefined) throw this.#full(request);
    for (const chunk of dirty) this.#zero(chunk, HEAP.ZEROED_FRONT);
    const [first = 0] = this.#chunksOf(record);
    return { region: this.door.pool, offset: this.offset + first * this.chunk };
  }

  override pieces(buffer: Place, record: number): SgEntry[] {
    const region = this.door.pool;
    const entries: SgEntry[] = [];
    let left = buffer.size;
    for (const chunk of this.#chunksOf(record)) {
      const length = Math.min(left, this.chunk);
      entries.push({ region, offset: this.offset + chunk * this.chunk, length });
      left -= length;
    }
    return entries;
  }

  usage(): HeapUsage {
    let [free, dirty] = [0, 0];
    for (let i = 0; i < this.#count; i++) {
      const word = this.words.load(this.map + i);
      if (word <= 0) free += this.chunk;
      if (word < 0) dirty += this.chunk;
    }
    const total = this.#count * this.chunk;
    return { total, free, largest: free, dirty, holes: free > 0 ? 1 : 0, pooled: 0 };
  }

  override abortZeroing(): void {
    for (let i = this.#find(ZEROING); i >= 0; i = this.#find(ZEROING)) {
      this.words.store(this.map + i, DIRTY);
    }
  }

  /** Frees the chunks of records that are not alive, and records that have lost some of theirs. */
  override recover(records: readonly number[]): void {
    const { words } = this;
    const good = records.filter((record) => {
      if (words.get(record + RECORD.START) === 0) return false;
      const all = words.getDouble(record + RECORD.BYTES) / this.chunk;
      if ([...this.#chunksOf(record)].length === all) return true;
      this.abandon(record);
      return false;
    });
    const owners = new Set(good.map((record) => record - this.base));
    for (let i = 0; i < this.#count; i++) {
      const word = words.load(this.map + i);
      if (word > 0 && !owners.has(word)) words.store(this.map + i, DIRTY);
    }
    this.recount(good);
  }

  protected giveBack(_start: number, record: number): void {
    for (const chunk of this.#chunksOf(record)) this.words.store(this.map + chunk, DIRTY);
  }

  protected zeroPiece(): boolean {
    const chunk = this.locked(() => {
      const found = this.#find(DIRTY);
      if (found >= 0) this.words.store(this.map + found, ZEROING);
      return found;
    });
    if (chunk < 0) return false;
    this.#zero(chunk, HEAP.ZEROED_BACK);
    this.words.store(this.map + chunk, CLEAN);
    return true;
  }

  /** Under the lock: takes chunks, clean ones first. The dirty ones among them; undefined: too few. */
  #take(wanted: number, record: number): number[] | undefined {
    const clean: number[] = [];
    const dirty: number[] = [];
    for (let i = 0; i < this.#count && clean.length < wanted; i++) {
      const word = this.words.load(this.map + i);
      if (word === CLEAN) clean.push(i);
      if (word === DIRTY) dirty.push(i);
    }
    const used = dirty.slice(0, wanted - clean.length);
    if (clean.length + used.length < wanted) return undefined;
    this.charge(record, 1, wanted * this.chunk);
    for (const i of [...clean, ...used]) this.words.store(this.map + i, record - this.base);
    return used;
  }

  *#chunksOf(record: number): Generator<number> {
    for (let i = 0; i < this.#count; i++) {
      if (this.words.load(this.map + i) === record - this.base) yield i;
    }
  }

  #find(value: number): number {
    for (let i = 0; i < this.#count; i++) if (this.words.load(this.map + i) === value) return i;
    return -1;
  }

  #zero(chunk: number, counter: number): void {
    this.zeroBytes(chunk * this.chunk, this.chunk, counter);
  }

  #full(request: HeapRequest): DmaBufError {
    this.locked(() => this.countFailed());
    const { free, total } = this.usage();
    const detail = `${this.label} cannot give ${bytesText(request.size)}: ${bytesText(free)} of ${bytesText(total)} are free, in chunks of ${bytesText(this.chunk)}; free buffers, or boot with a larger pool`;
    return new DmaBufError('ENOMEM', 'ion_alloc', detail);
  }
}
