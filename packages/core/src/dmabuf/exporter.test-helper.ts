/** An exporter whose every op is told to the test, and may be made to refuse. */
import { DmaBufError, type ErrnoCode } from '../errno.js';
import { BUFFER_FLAG } from '../memory/layout.js';
import type { FakeActor, FakeMachine } from '../testing/fake-machine.js';
import { DmaBuf } from './dmabuf.js';
import { contiguousOps, type BufferRecord, type DmaBufOps } from './ops.js';

export type OpName = keyof DmaBufOps;

export class TestExporter {
  /** Calls in order: `map actor2 to_device`. */
  readonly told: string[] = [];
  /** Ops that refuse, and with what. */
  readonly refusals: Map<OpName, ErrnoCode> = new Map();
  /** Allocate at the first op that runs locked and finds no memory. */
  deferred = false;
  readonly #fake: FakeMachine;

  /** Installs itself as exporter 1 of all actors of a fake machine. */
  constructor(fake: FakeMachine, without: readonly OpName[] = []) {
    this.#fake = fake;
    for (const actor of fake.actors) {
      const ops: Partial<Record<OpName, unknown>> = this.#opsOf(actor);
      for (const name of without) delete ops[name];
      actor.services.ops[1] = ops as DmaBufOps;
    }
  }

  /** A new buffer of one page, or more; not coherent unless it is said to be. */
  export(index: number = 0, options: { flags?: number; size?: number } = {}): DmaBuf {
    const { flags = BUFFER_FLAG.NEEDS_SYNC, size = 4096 } = options;
    const { services } = this.#fake.actor(index);
    const region = this.deferred ? 0 : services.regions.make(size);
    const info = { region, offset: 0, size, exporter: 1, flags, name: 'test', priv: [] };
    return DmaBuf.fromExport(services, services.buffers.export(info));
  }

  /** What it was told since the last call. */
  take(): string[] {
    return this.told.splice(0);
  }

  #opsOf({ services }: FakeActor): DmaBufOps {
    const tell = (name: OpName, text: string = ''): void => {
      const code = this.refusals.get(name);
      if (code !== undefined) throw new DmaBufError(code, name, 'the test exporter refuses');
      this.told.push(`${name}${text === '' ? '' : ` ${text}`}`);
    };
    const populate = (buffer: BufferRecord): void => {
      if (buffer.region !== 0 || !this.deferred) return;
      services.buffers.back(buffer, services.regions.make(buffer.size), 0);
    };
    return {
      attach: (_buffer, { name }) => tell('attach', name),
      detach: (_buffer, { name }) => tell('detach', name),
      pin: (_buffer, { name }) => tell('pin', name),
      unpin: (_buffer, { name }) => tell('unpin', name),
      map: (buffer, importer, direction) => {
        tell('map', `${importer.name} ${direction}`);
        populate(buffer);
        return contiguousOps.map(buffer, importer, direction);
      },
      unmap: (_buffer, { name }, direction) => tell('unmap', `${name} ${direction}`),
      mmap: (buffer, offset, length) => {
        tell('mmap', `${offset} ${length}`);
        populate(buffer);
      },
      vmap: (buffer) => {
        tell('vmap');
        populate(buffer);
      },
      vunmap: () => tell('vunmap'),
      prepareAccess: (_b, use) => tell('prepareAccess', `${rw(use)} ${use.offset} ${use.length}`),
      finishAccess: (_b, use) => tell('finishAccess', `${rw(use)} ${use.offset} ${use.length}`),
      release: () => tell('release'),
    };
  }
}

function rw({ read, write }: { readonly read: boolean; readonly write: boolean }): string {
  return `${read ? 'r' : ''}${write ? 'w' : ''}` || '-';
}

/** A dump without the thread's context of CPU access, which is made at the first bracket and stays. */
export function withoutContexts(fake: FakeMachine): string {
  return fake.dump().replaceAll(/^contexts .*\n/gm, '');
}

/** A value where its type does not belong: what plain JavaScript may pass. */
export function wrong(value: unknown): never {
  return value as never;
}
