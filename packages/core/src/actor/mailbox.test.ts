// Mailboxes, ioctls and fds in flight (design D5, section 2 of issue 3's mailboxes).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DmaBufError } from '../errno.js';
import { FakeMachine } from '../testing/fake-machine.js';
import { MAIL_KIND, Mailboxes } from './mailbox.js';

function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof DmaBufError) return error.code;
    throw error;
  }
  return 'no error';
}

/** Two actors' mailboxes of 8 slots of 64 bytes. */
function boxes(fake = new FakeMachine()): { fake: FakeMachine; a: Mailboxes; b: Mailboxes } {
  const make = (i: number): Mailboxes => {
    const { kernel, bell, references } = fake.actor(i).services;
    return new Mailboxes(kernel, bell, references, fake.tables.mailSlots, fake.tables.mailBytes);
  };
  return { fake, a: make(0), b: make(1) };
}

const bytes = (length: number, seed: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 7 + seed) & 0xff);
const mail = (id: number, body: Uint8Array) => ({ kind: MAIL_KIND.REPLY, id, object: 0, body });

test('messages of any length arrive whole and in order, round and round the ring', () => {
  const { a, b } = boxes();
  let id = 0;
  for (const length of [0, 1, 63, 64, 65, 128, 129, 500, 512, 3, 200, 300, 64, 512]) {
    a.send(2, mail(++id, bytes(length, id)), { block: false });
    if (length < 200) a.send(2, mail(-id, bytes(7, -id)), { block: false });
    const got = b.receive();
    assert.equal([got?.from, got?.id, got?.kind], [1, id, MAIL_KIND.REPLY]);
    assert.equal(got?.body, bytes(length, id), `${length} bytes`);
    if (length < 200) assert.equal(b.receive()?.body, bytes(7, -id));
    assert.is(b.receive(), undefined);
    assert.ok(b.isEmpty());
  }
});

test('a full mailbox is EAGAIN, keeps what is in it, and takes more when it was read', () => {
  const { a, b } = boxes();
  for (let id = 1; id <= 8; id++) a.send(2, mail(id, bytes(10, id)), { block: false });
  assert.is(
    codeOf(() => a.send(2, mail(9, bytes(1, 0)), { block: false })),
    'EAGAIN',
  );
  assert.is(b.receive()?.id, 1);
  assert.is(
    codeOf(() => a.send(2, mail(9, bytes(65, 0)), { block: false })),
    'EAGAIN',
    'two slots',
  );
  a.send(2, mail(9, bytes(64, 0)), { block: false });
  for (let id = 2; id <= 9; id++) assert.is(b.receive()?.id, id);
  assert.ok(b.isEmpty());
});

test('a blocking sender waits for room and loses nothing', () => {
  const { fake, a, b } = boxes();
  const got: (number | undefined)[] = [];
  fake.whileAsleep = () => {
    got.push(b.receive()?.id, b.receive()?.id);
  };
  for (let id = 1; id <= 20; id++) a.send(2, mail(id, bytes(100, id)), { block: true });
  for (let m = b.receive(); m !== undefined; m = b.receive()) got.push(m.id);
  assert.equal(
    got.filter((id) => id !== undefined),
    Array.from({ length: 20 }, (_, i) => i + 1),
  );
});

test('a message larger than the whole mailbox is EMSGSIZE at once', () => {
  const { fake, a } = boxes();
  const dump = fake.dump();
  assert.is(
    codeOf(() => a.send(2, mail(1, bytes(513, 0)), { block: true })),
    'EMSGSIZE',
  );
  assert.is(fake.dump(), dump);
});

test('the ring keeps its order when its counters pass 2^31', () => {
  const { fake, a, b } = boxes();
  const { words } = fake;
  const box = words.get(42) + 2 * words.get(43);
  words.set(box + 1, 0x7fffffff);
  words.set(box + 2, 0x7fffffff);
  for (let id = 1; id <= 30; id++) {
    a.send(2, mail(id, bytes(130, id)), { block: false });
    assert.equal(b.receive()?.body, bytes(130, id));
  }
});

test('an ioctl blocks until the handler has answered, and returns its value', () => {
  const fake = new FakeMachine();
  const server = fake.server(1, {
    run: () => {},
    ioctl: (request, args, from) => ({ request, args, from }),
  });
  fake.whileAsleep = () => server.run();
  const value = fake.actor(0).machine.ioctl(2, 'SET_MODE', { w: 1280 });
  assert.equal(value, { request: 'SET_MODE', args: { w: 1280 }, from: 1 });
  assert.is(fake.actor(0).machine.ioctl(2, 'NONE') === undefined, false);
});

test('an ioctl gets the errno that the handler threw, ENOTTY without one, ETIME without answer', () => {
  const fake = new FakeMachine();
  const server = fake.server(1, {
    run: () => {},
    ioctl: (request) => {
      throw new DmaBufError('EBUSY', request, 'crtc 1 has a flip pending');
    },
  });
  const { machine } = fake.actor(0);
  fake.whileAsleep = () => server.run();
  assert.throws(() => machine.ioctl(2, 'PAGE_FLIP'), /EBUSY.*PAGE_FLIP.*flip pending/);
  const deaf = fake.server(1, { run: () => {} });
  fake.whileAsleep = () => deaf.run();
  assert.is(
    codeOf(() => machine.ioctl(2, 'ANY')),
    'ENOTTY',
  );
  fake.whileAsleep = () => {};
  assert.is(
    codeOf(() => machine.ioctl(2, 'ANY', null, 300)),
    'ETIME',
  );
  assert.is(machine.now(), 300);
  assert.is(
    codeOf(() => machine.ioctl(7, 'ANY')),
    'ESRCH',
  );
});

test('an answer that comes too late is not taken for the answer to the next call', () => {
  const fake = new FakeMachine();
  const server = fake.server(1, { run: () => {}, ioctl: (request) => request });
  const { machine } = fake.actor(0);
  assert.is(
    codeOf(() => machine.ioctl(2, 'FIRST', null, 0)),
    'ETIME',
  );
  fake.whileAsleep = () => server.run();
  assert.is(machine.ioctl(2, 'SECOND'), 'SECOND');
});

test('a passed fd arrives as the lowest free one, for the same buffer, with its tag', () => {
  const fake = new FakeMachine();
  const [a, b] = [fake.actor(0).machine, fake.actor(1).machine];
  const buffer = a.alloc(8192);
  b.alloc(1);
  a.passFd(2, buffer.fd, { frame: 7 });
  buffer.close();
  assert.is(a.stats().buffers, 2, 'in flight it lives');
  const { fd, from, tag } = b.receiveFd(0);
  assert.equal([fd, from, tag], [1, 1, { frame: 7 }]);
  const copy = b.dmabuf(fd);
  assert.is(copy.size, 8192);
  copy.close();
  assert.is(a.stats().buffers, 1);
});

test('receiveFd blocks until one comes, or ETIME', () => {
  const fake = new FakeMachine();
  const [a, b] = [fake.actor(0).machine, fake.actor(1).machine];
  assert.is(
    codeOf(() => b.receiveFd(0)),
    'ETIME',
  );
  assert.is(
    codeOf(() => b.receiveFd(150)),
    'ETIME',
  );
  const buffer = a.alloc(1);
  fake.whileAsleep = () => a.passFd(2, buffer.fd);
  assert.is(b.receiveFd().fd, 0);
});

test('passing to nobody or without an fd is an error that leaves no residue', () => {
  const fake = new FakeMachine();
  const { machine } = fake.actor(0);
  const buffer = machine.alloc(1);
  const dump = fake.dump();
  assert.is(
    codeOf(() => machine.passFd(5, buffer.fd)),
    'ESRCH',
  );
  assert.is(
    codeOf(() => machine.passFd(2, 9)),
    'EBADF',
  );
  const large = 'x'.repeat(600);
  assert.is(
    codeOf(() => machine.passFd(2, buffer.fd, large)),
    'EMSGSIZE',
  );
  assert.is(fake.dump(), dump);
});

test('a receiver without a free fd gets EMFILE, and the fd later', () => {
  const fake = new FakeMachine({ tables: { fds: 1 } });
  const [a, b] = [fake.actor(0).machine, fake.actor(1).machine];
  const own = b.alloc(1);
  const buffer = a.alloc(1);
  a.passFd(2, buffer.fd, 'kept');
  assert.is(
    codeOf(() => b.receiveFd(0)),
    'EMFILE',
  );
  own.close();
  assert.is(b.receiveFd(0).tag, 'kept');
});

test('a sender to a full mailbox whose owner has left gets ESRCH', async () => {
  const fake = new FakeMachine();
  const [a, b] = [fake.actor(0).machine, fake.actor(1).machine];
  const buffer = a.alloc(1);
  for (let i = 0; i < 8; i++) a.passFd(2, buffer.fd);
  fake.whileAsleep = () => void b.leave();
  assert.is(
    codeOf(() => a.passFd(2, buffer.fd)),
    'ESRCH',
  );
});

test('a job for an actor that has left is refused: ESRCH, and no job is taken', async () => {
  const fake = new FakeMachine();
  const [a, b] = [fake.actor(0), fake.actor(1)];
  const context = a.machine.createContext(b.id);
  await b.machine.leave();
  const before = a.machine.stats().jobs;
  assert.is(
    codeOf(() => context.submit({})),
    'ESRCH',
  );
  assert.is(a.machine.stats().jobs, before);
});

test.run();
