// Handles that are collected without having been closed (design D12).
import { once } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FakeMachine } from '../testing/fake-machine.js';
import { DMA_BUF_IOCTL_EXPORT_SYNC_FILE } from './ioctl.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Collects, and lets finalizers run, until `done` or for so many rounds. */
async function collected(done: () => boolean, rounds: number = 50): Promise<void> {
  for (let i = 0; i < rounds && !done(); i++) {
    collect();
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

/** Warnings that come of what `leak` leaves behind; the next may be a second after the one before. */
async function warningsOf(leak: () => void): Promise<string[]> {
  const alive = setInterval(() => {}, 1000);
  const warning = once(process, 'warning');
  const messages: string[] = [];
  const listen = ({ message }: Error): void => void messages.push(message);
  process.on('warning', listen);
  leak();
  await collected(() => messages.length > 0);
  await warning;
  process.off('warning', listen);
  clearInterval(alive);
  return messages;
}

const kinds: readonly [name: string, pattern: RegExp, open: (fake: FakeMachine) => void][] = [
  ['dma-buf', /dma-buf fd 0.*close\(\)/, (fake) => void fake.actor(0).machine.alloc(4096)],
  [
    'mapping',
    /mapping of buffer.*close\(\)/,
    (fake) => void keep(fake, fake.actor(0).machine.alloc(4096)).mmap(),
  ],
  [
    'bracket',
    /access bracket on buffer.*finish\(\)/,
    (fake) => void keep(fake, fake.actor(0).machine.alloc(4096)).access({ read: true }),
  ],
  [
    'attachment',
    /attachment of actor2 to buffer.*detach\(\)/,
    (fake) => void keep(fake, fake.actor(0).machine.alloc(4096)).attach(2),
  ],
  [
    'sync file',
    /sync file fd 0.*close\(\)/,
    (fake) => void fake.actor(0).machine.createSyncFile([]),
  ],
  [
    'timeline',
    /timeline fd 0 'sw_sync'.*close\(\)/,
    (fake) => void fake.actor(0).machine.createTimeline(),
  ],
];
const kept: unknown[] = [];

function keep<T>(fake: FakeMachine, handle: T): T {
  kept.push(fake, handle);
  return handle;
}

for (const [name, pattern, open] of kinds) {
  test(`a ${name} that is collected without close warns once and says where it was opened`, async () => {
    const fake = new FakeMachine();
    kept.push(fake);
    const messages = await warningsOf(() => open(fake));
    assert.is(messages.length, 1);
    assert.match(messages[0] ?? '', pattern);
    assert.match(messages[0] ?? '', /opened at .*leaks\.test\.js:\d+:\d+/);
  });
}

test('several leaks within a second are one warning', async () => {
  const fake = new FakeMachine();
  kept.push(fake);
  const messages = await warningsOf(() => {
    for (let i = 0; i < 5; i++) fake.actor(0).machine.alloc(1);
  });
  assert.is(messages.length, 1);
  assert.match(messages[0] ?? '', /and 4 more handles/);
});

test('what was closed, left, superseded or handed out as a number does not warn', async () => {
  const warned: string[] = [];
  const listen = (warning: Error): void => void warned.push(warning.message);
  process.on('warning', listen);
  const fake = new FakeMachine();
  kept.push(fake);
  const gone: WeakRef<object>[] = [];
  const forget = (...handles: readonly object[]): void =>
    void gone.push(...handles.map((h) => new WeakRef(h)));
  const { machine } = fake.actor(0);
  (() => {
    const buffer = machine.alloc(4096);
    const again = machine.dmabuf(buffer.fd); // another handle of the same fd: one close serves both
    const mapping = buffer.mmap();
    const bracket = mapping.prepareAccess({ read: true });
    const attachment = buffer.attach(2);
    forget(buffer, again, mapping, bracket, attachment);
    bracket.finish();
    mapping.close();
    attachment.detach();
    const args = { flags: 1, fd: -1 };
    machine.ioctlFd(buffer.fd, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, args);
    buffer.close();
    const timeline = machine.createTimeline();
    const file = machine.createSyncFile([]);
    forget(timeline, file);
    timeline.close();
    file.close();
    forget(fake.actor(1).machine.alloc(1));
  })();
  await fake.actor(1).machine.leave();
  await collected(() => false, 10); // a deref() would keep its target for the rest of the turn
  assert.equal(
    gone.map((ref) => ref.deref()),
    gone.map(() => undefined),
    'all are collected',
  );
  process.off('warning', listen);
  assert.equal(warned, []);
});

test('of several handles of one open fd the last to go warns', async () => {
  const fake = new FakeMachine();
  kept.push(fake);
  const { machine } = fake.actor(0);
  let first: object | undefined;
  const messages = await warningsOf(() => {
    first = machine.alloc(1);
    machine.dmabuf(0);
    machine.dmabuf(0);
    first = undefined;
  });
  assert.is(messages.length, 1);
  assert.not.match(messages[0] ?? '', /more handles/);
  assert.is(first, undefined);
});

test('a handle that is collected warns nobody while another of its fd is kept', async () => {
  const fake = new FakeMachine();
  kept.push(fake);
  const { machine } = fake.actor(0);
  const messages = await warningsOf(() => {
    const { fd } = machine.alloc(1);
    keep(fake, machine.dmabuf(fd));
    machine.alloc(1); // of fd 1: nobody keeps it
  });
  assert.is(messages.length, 1);
  assert.match(messages[0] ?? '', /dma-buf fd 1 /);
  assert.not.match(messages[0] ?? '', /more handles/);
});

test.run();
