/**
 * Clients in kernel memory: who has /dev/ion open (struct ion_client). The table is what every
 * thread, and debugfs, sees of them; handles are the opening thread's own (client.ts).
 */
import { DmaBufError } from '@dmabuf/core';
import type { Ion } from './ion.js';
import { CLIENT, ION } from './layout.js';
import { readName, writeName } from './names.js';

export interface ClientInfo {
  readonly index: number;
  readonly generation: number;
  readonly name: string;
  readonly actor: number;
  /** Bytes; Infinity: none. */
  readonly quota: number;
}

export class Clients {
  readonly #ion: Ion;

  constructor(ion: Ion) {
    this.#ion = ion;
  }

  /** Takes a slot. EMFILE when all are open. */
  open(name: string, actor: number, quota: number): number {
    const { words, base, door, config } = this.#ion;
    door.locks.lock(base + ION.CLIENT_LOCK);
    try {
      for (let index = 0; index < config.clients; index++) {
        const client = this.#ion.clientAt(index);
        if (words.load(client + CLIENT.STATE) !== 0) continue;
        const generation = (words.get(client + CLIENT.GEN) + 1) & 0x7fffffff || 1;
        words.set(client + CLIENT.GEN, generation);
        words.set(client + CLIENT.ACTOR, actor);
        words.setDouble(client + CLIENT.QUOTA, quota);
        writeName(words, client + CLIENT.NAME, name);
        words.store(client + CLIENT.STATE, generation);
        return index;
      }
    } finally {
      door.locks.unlock(base + ION.CLIENT_LOCK);
    }
    const detail = `all ${config.clients} clients of ION are open; close some, or give ion() a larger \`clients\``;
    throw new DmaBufError('EMFILE', 'ion_open', detail);
  }

  generation(index: number): number {
    return this.#ion.words.get(this.#ion.clientAt(index) + CLIENT.GEN);
  }

  close(index: number): void {
    const { words } = this.#ion;
    words.store(this.#ion.clientAt(index) + CLIENT.STATE, 0);
  }

  *live(): Generator<ClientInfo> {
    const { words, config } = this.#ion;
    for (let index = 0; index < config.clients; index++) {
      const client = this.#ion.clientAt(index);
      const generation = words.load(client + CLIENT.STATE);
      if (generation === 0) continue;
      const name = readName(words, client + CLIENT.NAME);
      const quota = words.getDouble(client + CLIENT.QUOTA);
      yield { index, generation, name, actor: words.get(client + CLIENT.ACTOR), quota };
    }
  }
}
