/**
 * Every heap that the CPU can map, in a machine that is not coherent and in a guarded one, with a second process in a
 * worker: what a goof does, and what it says.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { DmaBuf, Machine } from '@dmabuf/core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ION_FLAG, type IonClient } from './index.js';
import { heapNamed, HEAPS, MAPPABLE, PAGE, withIon } from './machine.test-support.js';

const NEEDS_SYNC = ION_FLAG.CACHED | ION_FLAG.CACHED_NEEDS_SYNC;
/** Flags → whether a goof shows. */
const KINDS = [
  [NEEDS_SYNC, true],
  [0, false],
  [ION_FLAG.CACHED, false],
] as const;

/** Runs with a worker that has mapped the buffer; `tell` orders and answers. */
async function withOther(
  machine: Machine,
  buffer: DmaBuf,
  work: (tell: (order: string) => unknown) => void,
): Promise<void> {
  const url = new URL('./coherency-worker.test-support.js', import.meta.url);
  const { workerData, transferList } = machine.invite('other');
  const worker = new Worker(url, { workerData, transferList });
  const ended = once(worker, 'exit');
  await once(worker, 'message'); // it has joined
  machine.passFd(workerData.actor, buffer.fd);
  work((order) => {
    machine.send(workerData.actor, order);
    return machine.receive(20_000).value;
  });
  machine.send(workerData.actor, 'end');
  assert.is((await ended)[0], 0);
}

function alloc(client: IonClient, heap: string, flags: number): DmaBuf {
  const heaps = 1 << heapNamed(client, heap).id;
  return client.alloc({ size: PAGE, heaps, flags });
}

for (const heap of MAPPABLE) {
  test(`${heap}: stale reads and lost writes show where memory needs maintenance, and only there`, () =>
    withIon(
      HEAPS,
      async (client, machine) => {
        for (const [flags, shows] of KINDS) {
          using buffer = alloc(client, heap, flags);
          await withOther(machine, buffer, (tell) => {
            const at = `${heap}, flags ${flags}`;
            assert.is(tell('read'), 0, at);
            using mapping = buffer.mmap();
            const write = mapping.prepareAccess({ write: true });
            write.bytes[0] = 7;
            write.finish();
            assert.is(tell('stale'), shows ? 0 : 7, `${at}: a view of an earlier bracket`);
            assert.is(tell('read'), 7, at);
            tell('lose 8');
            assert.is(read(buffer), shows ? 7 : 8, `${at}: a write in a read bracket`);
            tell('write 9');
            assert.is(read(buffer), 9, at);
          });
        }
      },
      { coherency: 'noncoherent' },
    ));

  test(`${heap}: a partial range moves its lines and no others`, () =>
    withIon(
      HEAPS,
      (client) => {
        using buffer = alloc(client, heap, NEEDS_SYNC);
        using mapping = buffer.mmap();
        const raw = mapping.prepareAccess({ read: true, sync: false, cache: false });
        const { bytes } = raw;
        const part = mapping.prepareAccess({ write: true, offset: 64, length: 64 });
        part.bytes.fill(1);
        bytes[63] = 2;
        bytes[128] = 3;
        part.finish();
        raw.finish();
        mapping.close();
        using after = buffer.access({ read: true });
        assert.equal(
          [63, 64, 127, 128].map((i) => after.bytes[i]),
          [0, 1, 1, 0],
        );
      },
      { coherency: 'noncoherent' },
    ));

  test(`${heap}: a guarded machine names the goof, in a worker too`, () =>
    withIon(
      HEAPS,
      async (client, machine) => {
        using buffer = alloc(client, heap, NEEDS_SYNC);
        await withOther(machine, buffer, (tell) => {
          const { ino } = buffer.record;
          assert.is(tell('read'), 0);
          const late = String(tell('stale'));
          const who = `bytes 0 to ${PAGE} of buffer ${ino} in process 'other', mapped at `;
          assert.ok(late.includes(who) && late.includes('coherency-worker.test-support'), late);
          assert.match(late, /EFAULT.*its access bracket is finished/);
          assert.match(
            String(tell('lose 1')),
            /EACCES.*a write in a bracket that was prepared for reading/,
          );
          assert.is(tell('write 2'), 2);
          using bracket = buffer.access({ read: true, length: 16 });
          assert.is(bracket.bytes[0], 2);
          assert.throws(() => bracket.bytes[16], /EFAULT.*element 16 is outside its range of 16/);
        });
      },
      { guard: true },
    ));
}

function read(buffer: DmaBuf): number | undefined {
  using bracket = buffer.access({ read: true });
  return bracket.bytes[0];
}

test.run();
