// The public border: whatever is given to whichever public call, a wrong type is a TypeError that names the
// argument, a wrong value or state an errno, and all tables are afterwards as they were.
import { MessageChannel } from 'node:worker_threads';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DMA_BUF_IOCTL_SYNC, DmaBufError, type FencePoint } from './index.js';
import * as core from './index.js';
import { FakeMachine } from './testing/fake-machine.js';
import { testDriver } from './testing/driver.js';

/** What a call is asked to refuse, under a name of its own: with a TypeError or an errno. */
type Case = readonly [name: string, call: () => unknown, refusal: string, says: RegExp];

/** A value where the types want another. */
const wrong = (value: unknown): never => value as never;
const nothing = (): void => {};

function world() {
  const fake = new FakeMachine({ actors: 3 });
  const { machine, services } = fake.actor(0);
  const context = machine.createContext(2, 'line');
  const [buffer, busy, closed, fresh] = [1, 2, 3, 4].map(() => machine.alloc(4096)) as [
    core.DmaBuf,
    core.DmaBuf,
    core.DmaBuf,
    core.DmaBuf,
  ];
  closed.close();
  const queue = machine.createQueue();
  const gone = machine.createQueue();
  gone.close();
  const timeline = machine.createTimeline('t');
  const pending = timeline.createFence(5);
  const ended = timeline.createFence(0);
  const file = machine.createSyncFile([pending], 'file');
  const mapping = buffer.mmap();
  const unmapped = buffer.mmap();
  unmapped.close();
  const attachment = buffer.attach(2);
  const closedContext = machine.createContext(2, 'closed');
  closedContext.close();
  // The thread's own contexts, which are made once.
  machine.waitAll([]).release();
  machine.asyncWaitAll([], (hold) => hold.release());
  const fence = context.submit({ buffers: [core.exclusive(busy)] });
  const hold = machine.waitAll([core.exclusive(queue)]);
  const array = machine.fenceArray([pending]);
  const chain = machine.fenceChain(undefined, pending, 3);
  const set = machine.merge(pending, fence);
  return {
    ...{ fake, machine, services, context, buffer, busy, closed, fresh, queue, gone, timeline },
    ...{ pending, ended, file, mapping, unmapped, attachment, closedContext, fence, hold },
    ...{ array, chain, set },
  };
}

/** Runs every case and sees to it that it left nothing behind. */
async function refuseAll(fake: FakeMachine, cases: readonly Case[]): Promise<void> {
  const names = cases.map(([name]) => name);
  assert.equal(
    names.filter((name, i) => names.indexOf(name) !== i),
    [],
    'each has a name of its own',
  );
  for (const [name, call, refusal, says] of cases) {
    // A set that was queued and taken back is in its context's history.
    const dump = (): string[] =>
      fake
        .dump()
        .split('\n')
        .filter((line) => refusal !== 'ETIME' || !line.startsWith('contexts '));
    const before = dump();
    let error: unknown;
    try {
      await call();
    } catch (thrown) {
      error = thrown;
    }
    const what = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    if (refusal === 'TypeError') {
      assert.ok(error instanceof TypeError && !(error instanceof DmaBufError), `${name}: ${what}`);
    } else {
      assert.ok(error instanceof DmaBufError, `${name}: ${what}`);
      assert.is(error.code, refusal, `${name}: ${what}`);
    }
    assert.match(what, says, name);
    const left = dump().filter((line) => !before.includes(line));
    assert.equal(left, [], `${name} left something behind`);
    assert.is(dump().length, before.length, `${name} took something away`);
  }
}

const cyclic: unknown[] = [];
cyclic.push(cyclic);
const forged: FencePoint = { slot: 7, generation: 1, context: 1, seqno: 1 };

test('submit refuses what is no job', async () => {
  const w = world();
  const { context, buffer, busy, closed, fresh, gone, pending, machine } = w;
  const submit = (options: unknown) => () => context.submit(wrong(options));
  const use = (value: unknown) => submit({ buffers: [core.exclusive(fresh), value] });
  const many = Array.from({ length: 65 }, () => pending);
  await refuseAll(w.fake, [
    ['nothing', submit(undefined), 'TypeError', /submit: options .*object, not undefined/],
    ['a number', submit(5), 'TypeError', /options/],
    ['buffers no array', submit({ buffers: buffer }), 'TypeError', /buffers must be an array/],
    ['buffers null', submit({ buffers: null }), 'TypeError', /buffers/],
    ['a bare buffer', use(buffer), 'TypeError', /buffers\[1\]\.buffer must be a DmaBuf or a Queue/],
    ['no use', use(undefined), 'TypeError', /buffers\[1\]/],
    ['a use that is a number', use(3), 'TypeError', /buffers\[1\]/],
    ['no buffer', use({ access: 'shared' }), 'TypeError', /buffers\[1\]\.buffer/],
    [
      'an fd for a buffer',
      use({ buffer: 3, access: 'shared' }),
      'TypeError',
      /buffers\[1\]\.buffer/,
    ],
    ['an access', use({ buffer, access: 'read' }), 'TypeError', /access .*'shared'.* not 'read'/],
    ['no access', use({ buffer }), 'TypeError', /buffers\[1\]\.access/],
    ['a method', use({ buffer, access: 'toString' }), 'TypeError', /access/],
    ['a closed buffer', use(core.shared(closed)), 'EBADF', /has been closed/],
    ['a closed queue', use(core.shared(gone)), 'EINVAL', /queue \d+ has been closed/],
    ['a buffer twice', use(core.shared(fresh)), 'EINVAL', /named twice/],
    ['in-fences no array', submit({ inFences: pending }), 'TypeError', /inFences must be an array/],
    ['no fence', submit({ inFences: [pending, 7] }), 'TypeError', /inFences\[1\] must be a fence/],
    ['a promise', submit({ inFences: [Promise.resolve(1)] }), 'TypeError', /inFences\[0\]/],
    ['bad points', submit({ inFences: [{ points: [{ slot: 1 }] }] }), 'TypeError', /inFences\[0\]/],
    [
      'points no array',
      submit({ inFences: [{ points: 1 }] }),
      'TypeError',
      /inFences\[0\]\.points/,
    ],
    [
      'a forged slot',
      submit({ inFences: [{ points: [forged] }] }),
      'EINVAL',
      /inFences\[0\].*job 7/,
    ],
    [
      'a pending any',
      submit({ inFences: [machine.fenceArray([pending], { any: true })] }),
      'EINVAL',
      /any/,
    ],
    ['65 links', submit({ inFences: many }), 'E2BIG', /65 links/],
    [
      '65 with a new buffer',
      submit({ buffers: [core.shared(fresh)], inFences: many.slice(1).concat(pending) }),
      'E2BIG',
      /links/,
    ],
    ['a function', submit({ payload: { run: nothing } }), 'TypeError', /submit: payload .*msgpack/],
    ['a symbol', submit({ payload: Symbol('x') }), 'TypeError', /payload/],
    ['a cycle', submit({ payload: cyclic }), 'TypeError', /payload/],
    ['a huge bigint', submit({ payload: 2n ** 70n }), 'TypeError', /payload/],
    [
      'a long payload',
      submit({ buffers: [core.shared(fresh)], payload: 'x'.repeat(300) }),
      'EMSGSIZE',
      /payload/,
    ],
    ['a limit below 0', submit({ limit: -1 }), 'EINVAL', /limit/],
    ['a limit in words', submit({ limit: '1 s' }), 'TypeError', /limit/],
    ['startAt NaN', submit({ startAt: NaN }), 'EINVAL', /startAt/],
    ['startAt Infinity', submit({ startAt: Infinity }), 'EINVAL', /startAt/],
    ['startAt a date', submit({ startAt: new Date() }), 'TypeError', /startAt/],
    ['onError', submit({ onError: 'ignore' }), 'TypeError', /onError .*'cancel' or 'run'/],
    ['a closed context', () => w.closedContext.submit({}), 'ENOENT', /context .* is closed/],
    ['closing a busy context', () => context.close(), 'EBUSY', /1 jobs in flight/],
    ['closing a claimed queue', () => w.queue.close(), 'EBUSY', /1 jobs claim/],
    ['closing a queue twice', () => gone.close(), 'EINVAL', /has been closed/],
  ]);
  assert.ok(busy);
});

test('contexts, queues, timelines, fences and sync files refuse what names none', async () => {
  const w = world();
  const { machine, fence, pending, timeline, file, chain, array, set, closed } = w;
  const closedLine = machine.createTimeline('x');
  closedLine.close();
  const closedFile = machine.createSyncFile([]);
  closedFile.close();
  const fd = w.buffer.fd;
  await refuseAll(w.fake, [
    [
      'createContext name',
      () => machine.createContext(wrong('gpu0')),
      'TypeError',
      /createContext: target .*'gpu0'/,
    ],
    ['createContext null', () => machine.createContext(wrong(null)), 'TypeError', /target/],
    [
      'createContext object',
      () => machine.createContext(wrong({ name: 'x' })),
      'TypeError',
      /target/,
    ],
    ['createContext 99', () => machine.createContext(99), 'ESRCH', /actor 99/],
    ['createContext 0', () => machine.createContext(0), 'ESRCH', /actor 0/],
    ['createContext NaN', () => machine.createContext(NaN), 'ESRCH', /NaN/],
    [
      'createContext its name',
      () => machine.createContext(2, wrong(5)),
      'TypeError',
      /name .*string, not 5/,
    ],
    [
      'createContext early',
      () => machine.createContext(2, '', wrong({ early: 1 })),
      'TypeError',
      /early/,
    ],
    [
      'createContext options',
      () => machine.createContext(2, '', wrong(true)),
      'TypeError',
      /options/,
    ],
    ['contextById type', () => machine.contextById(wrong('1')), 'TypeError', /contextById: id/],
    ['contextById unknown', () => machine.contextById(12345), 'ENOENT', /context 12345/],
    ['contextById fraction', () => machine.contextById(w.context.id + 0.5), 'ENOENT', /context/],
    ['contextById closed', () => machine.contextById(w.closedContext.id), 'ENOENT', /closed/],
    ['queueById type', () => machine.queueById(wrong({})), 'TypeError', /queueById: id/],
    ['queueById unknown', () => machine.queueById(3), 'EINVAL', /queue 3/],
    [
      'queueById never open',
      () => machine.queueById(w.services.kernel.queues.at(30)),
      'EINVAL',
      /queue/,
    ],
    ['queueById closed', () => machine.queueById(w.gone.id), 'EINVAL', /closed/],
    ['createTimeline', () => machine.createTimeline(wrong(1)), 'TypeError', /createTimeline: name/],
    ['timeline type', () => machine.timeline(wrong('0')), 'TypeError', /fd must be an integer/],
    ['timeline of a buffer', () => machine.timeline(fd), 'EINVAL', /is a dma-buf, not a timeline/],
    ['timeline of nothing', () => machine.timeline(31), 'EBADF', /fd 31/],
    ['createFence type', () => timeline.createFence(wrong('1')), 'TypeError', /createFence: point/],
    ['createFence negative', () => timeline.createFence(-1), 'EINVAL', /point -1/],
    ['createFence half', () => timeline.createFence(0.5), 'EINVAL', /point 0.5/],
    ['createFence closed', () => closedLine.createFence(1), 'EBADF', /closed/],
    ['increment type', () => timeline.increment(wrong(null)), 'TypeError', /increment: by/],
    ['increment back', () => timeline.increment(-1), 'EINVAL', /increment of -1/],
    ['increment far', () => timeline.increment(2 ** 31), 'EINVAL', /increment/],
    ['increment closed', () => closedLine.increment(), 'EBADF', /closed/],
    ['value closed', () => closedLine.value, 'EBADF', /closed/],
    ['deadline of none', () => timeline.deadline, 'ENOENT', /deadline/],
    ['closing a timeline twice', () => closedLine.close(), 'EBADF', /closed/],
    [
      'createSyncFile no array',
      () => machine.createSyncFile(wrong(fence)),
      'TypeError',
      /createSyncFile: fences/,
    ],
    [
      'createSyncFile no fence',
      () => machine.createSyncFile([wrong(1)]),
      'TypeError',
      /fences\[0\]/,
    ],
    ['createSyncFile name', () => machine.createSyncFile([fence], wrong(1)), 'TypeError', /name/],
    ['createSyncFile closed', () => machine.createSyncFile([closedFile]), 'EBADF', /closed/],
    [
      'syncFile type',
      () => machine.syncFile(wrong(undefined)),
      'TypeError',
      /fd must be an integer/,
    ],
    ['syncFile of a buffer', () => machine.syncFile(fd), 'EINVAL', /is a dma-buf, not a sync file/],
    ['sync file wait type', () => file.wait(wrong('1')), 'TypeError', /wait: timeout/],
    ['sync file wait', () => file.wait(0), 'ETIME', /sync file/],
    ['sync file deadline', () => file.setDeadline(NaN), 'TypeError', /setDeadline: ms/],
    ['sync file closed', () => closedFile.info(), 'EBADF', /closed/],
    ['closing a sync file twice', () => closedFile.close(), 'EBADF', /closed/],
    ['fence type', () => machine.fence(wrong(4)), 'TypeError', /fence: point/],
    ['fence empty', () => machine.fence(wrong({})), 'TypeError', /point .*slot/],
    ['fence forged', () => machine.fence(forged), 'EINVAL', /job 7/],
    ['fence NaN', () => machine.fence({ ...forged, slot: NaN }), 'EINVAL', /job NaN/],
    ['wait type', () => fence.wait(wrong('5')), 'TypeError', /timeoutMs/],
    ['wait negative', () => fence.wait(-1), 'TypeError', /timeoutMs/],
    ['wait', () => fence.wait(0), 'ETIME', /has not signalled/],
    ['settled', async () => fence.settled(wrong(1)), 'TypeError', /settled: options/],
    ['settled unref', async () => fence.settled(wrong({ unref: 'yes' })), 'TypeError', /unref/],
    ['addCallback', () => fence.addCallback(wrong(undefined)), 'TypeError', /addCallback: run/],
    ['addCallback late', () => w.ended.addCallback(nothing), 'ENOENT', /has signalled/],
    ['setDeadline', () => fence.setDeadline(wrong('soon')), 'TypeError', /setDeadline: ms/],
    ['merge', () => machine.merge(fence, wrong(1)), 'TypeError', /merge: fences\[1\]/],
    [
      'fenceArray no array',
      () => machine.fenceArray(wrong(fence)),
      'TypeError',
      /fenceArray: fences/,
    ],
    ['fenceArray no fence', () => machine.fenceArray([wrong('x')]), 'TypeError', /fences\[0\]/],
    ['fenceArray any', () => machine.fenceArray([fence], wrong({ any: 1 })), 'TypeError', /any/],
    ['fenceArray empty', () => machine.fenceArray([]), 'EINVAL', /no fences/],
    ['fenceArray nested', () => machine.fenceArray([array]), 'EINVAL', /unwrap/],
    [
      'fenceChain fence',
      () => machine.fenceChain(undefined, wrong(null), 1),
      'TypeError',
      /fenceChain: fence/,
    ],
    ['fenceChain prev', () => machine.fenceChain(wrong(3), fence, 1), 'TypeError', /prev/],
    [
      'fenceChain seqno',
      () => machine.fenceChain(undefined, fence, wrong('1')),
      'TypeError',
      /seqno/,
    ],
    ['fenceChain 0', () => machine.fenceChain(undefined, fence, 0), 'EINVAL', /seqno 0/],
    ['fenceChain of a chain', () => machine.fenceChain(undefined, chain, 4), 'EINVAL', /prev/],
    ['findSeqno type', () => chain.findSeqno(wrong('1')), 'TypeError', /findSeqno: seqno/],
    ['findSeqno beyond', () => chain.findSeqno(9), 'EINVAL', /stands at 3/],
    ['unwrap', () => machine.unwrap(wrong({})), 'TypeError', /unwrap: fences\[0\]/],
    ['array wait', () => array.wait(wrong(null)), 'TypeError', /timeout/],
    ['array wait 0', () => array.wait(0), 'ETIME', /container/],
    ['array deadline', () => array.setDeadline(wrong('x')), 'TypeError', /ms/],
    ['set wait', () => set.wait(-1), 'TypeError', /timeout/],
    ['set wait 0', () => set.wait(0), 'ETIME', /not all/],
    ['set deadline', () => set.setDeadline(NaN), 'TypeError', /ms/],
    ['waitAny no array', () => machine.waitAny(wrong(fence)), 'TypeError', /waitAny: fences/],
    ['waitAny no fence', () => machine.waitAny([wrong(undefined)]), 'TypeError', /fences\[0\]/],
    ['waitAny timeout', () => machine.waitAny([fence], NaN), 'TypeError', /timeout/],
    ['waitAny none', () => machine.waitAny([]), 'EINVAL', /no fences/],
    ['waitAny 0', () => machine.waitAny([fence, pending], 0), 'ETIME', /none of 2/],
    ['dmabuf of a closed fd', () => machine.dmabuf(30), 'EBADF', /fd 30/],
    ['a closed handle', () => closed.dup(), 'EBADF', /closed/],
  ]);
});

test('claims of this thread, mail, ioctls and serving refuse what makes no sense', async () => {
  const w = world();
  const { machine, busy, buffer, fence } = w;
  const held = core.exclusive(busy);
  const free = core.shared(buffer);
  const serve = (handlers: unknown) => () => machine.serve(wrong(handlers));
  await refuseAll(w.fake, [
    ['waitAll no array', () => machine.waitAll(wrong(buffer)), 'TypeError', /waitAll: buffers/],
    ['waitAll no use', () => machine.waitAll([wrong(buffer)]), 'TypeError', /buffers\[0\]\.buffer/],
    ['waitAll timeout', () => machine.waitAll([free], wrong('1')), 'TypeError', /timeout/],
    ['waitAll busy', () => machine.waitAll([held], 0), 'ETIME', /in use/],
    ['waitAll twice', () => machine.waitAll([free, free]), 'EINVAL', /twice/],
    [
      'asyncWaitAll no array',
      () => machine.asyncWaitAll(wrong(1), nothing),
      'TypeError',
      /asyncWaitAll: buffers/,
    ],
    [
      'asyncWaitAll no function',
      () => machine.asyncWaitAll([free], wrong(1)),
      'TypeError',
      /granted/,
    ],
    [
      'asyncWaitAll fences',
      () => machine.asyncWaitAll([free], nothing, wrong({ inFences: [1] })),
      'TypeError',
      /inFences\[0\]/,
    ],
    [
      'asyncWaitAll options',
      () => machine.asyncWaitAll([free], nothing, wrong(1)),
      'TypeError',
      /options/,
    ],
    ['asyncWaitAll twice', () => machine.asyncWaitAll([free, free], nothing), 'EINVAL', /twice/],
    ['pump', () => machine.pump(-5), 'TypeError', /pump: timeout/],
    ['send target', () => machine.send(wrong('x'), 1), 'TypeError', /send: target/],
    ['send to nobody', () => machine.send(77, 1), 'ESRCH', /actor 77/],
    ['send a function', () => machine.send(2, { f: nothing }), 'TypeError', /send: value/],
    ['send block', () => machine.send(2, 1, wrong({ block: 0 })), 'TypeError', /block/],
    ['send options', () => machine.send(2, 1, wrong(null)), 'TypeError', /options/],
    ['send too much', () => machine.send(2, 'x'.repeat(9999)), 'EMSGSIZE', /message/],
    ['receive timeout', () => machine.receive(wrong('x')), 'TypeError', /receive: timeout/],
    ['receive', () => machine.receive(0), 'ETIME', /no message/],
    ['receiveFd timeout', () => machine.receiveFd(NaN), 'TypeError', /receiveFd: timeout/],
    ['receiveFd', () => machine.receiveFd(0), 'ETIME', /no fd/],
    [
      'passFd target',
      () => machine.passFd(wrong(undefined), buffer.fd),
      'TypeError',
      /passFd: target/,
    ],
    ['passFd to nobody', () => machine.passFd(77, buffer.fd), 'ESRCH', /actor 77/],
    ['passFd type', () => machine.passFd(2, wrong('1')), 'TypeError', /fd must be an integer/],
    ['passFd closed', () => machine.passFd(2, 29), 'EBADF', /fd 29/],
    ['passFd tag', () => machine.passFd(2, buffer.fd, nothing), 'TypeError', /passFd: tag/],
    ['ioctl target', () => machine.ioctl(wrong({}), 'X'), 'TypeError', /ioctl: target/],
    ['ioctl request', () => machine.ioctl(2, wrong(5)), 'TypeError', /request/],
    ['ioctl args', () => machine.ioctl(2, 'X', Symbol('x')), 'TypeError', /args/],
    ['ioctl timeout', () => machine.ioctl(2, 'X', 1, -1), 'TypeError', /timeout/],
    ['ioctl to nobody', () => machine.ioctl(77, 'X'), 'ESRCH', /actor 77/],
    ['ioctlFd fd', () => machine.ioctlFd(wrong('0'), DMA_BUF_IOCTL_SYNC), 'TypeError', /fd/],
    ['ioctlFd request', () => machine.ioctlFd(buffer.fd, wrong('SYNC')), 'TypeError', /request/],
    ['ioctlFd unknown', () => machine.ioctlFd(buffer.fd, 42), 'ENOTTY', /42|0x2a/i],
    ['ioctlFd arg', () => machine.ioctlFd(buffer.fd, DMA_BUF_IOCTL_SYNC), 'TypeError', /arg/],
    ['lseek fd', () => machine.lseek(wrong('0'), 0, 0), 'TypeError', /fd/],
    ['lseek whence', () => machine.lseek(buffer.fd, 0, wrong('end')), 'TypeError', /whence/],
    ['lseek value', () => machine.lseek(buffer.fd, 4, 0), 'EINVAL', /seek\(4, 0\)/],
    ['serve nothing', serve(undefined), 'TypeError', /serve: handlers/],
    ['serve a function', serve(nothing), 'TypeError', /handlers/],
    ['serve no run', serve({}), 'TypeError', /serve: run/],
    ['serve tick', serve({ run: nothing, tick: 16 }), 'TypeError', /tick/],
    ['serve ioctl', serve({ run: nothing, ioctl: 'X' }), 'TypeError', /ioctl/],
    ['serveAsync', async () => machine.serveAsync(wrong({ run: 1 })), 'TypeError', /run/],
    ['peer name', async () => machine.peer(wrong(2)), 'TypeError', /peer: name/],
    ['peer timeout', async () => machine.peer('x', wrong('1')), 'TypeError', /timeout/],
    ['invite', () => machine.invite(wrong(undefined)), 'TypeError', /invite: name/],
    ['device type', () => machine.device(wrong(0)), 'TypeError', /device: path/],
    ['device', () => machine.device('/dev/none'), 'ENOENT', /'\/dev\/none'/],
    ['driver type', () => machine.driver(wrong(0)), 'TypeError', /driver: name/],
    ['driver', () => machine.driver('none'), 'ENODEV', /'none'/],
    ['actorStats target', () => machine.actorStats(wrong('x')), 'TypeError', /actorStats: target/],
    ['actorStats of nobody', () => machine.actorStats(99), 'ESRCH', /actor 99/],
    ['actorStats NaN', () => machine.actorStats(NaN), 'ESRCH', /NaN/],
    ['mark', () => machine.mark(wrong('x')), 'TypeError', /mark: a/],
    ['mark b', () => machine.mark(1, wrong({})), 'TypeError', /mark: b/],
    ['advance type', () => machine.advance(wrong('1')), 'TypeError', /advance: ms/],
    ['advance back', () => machine.advance(-1), 'TypeError', /ms/],
    ['advance for ever', () => machine.advance(Infinity), 'EINVAL', /Infinity/],
    ['prepareAccess', () => machine.prepareAccess(wrong(1)), 'TypeError', /parts/],
    [
      'prepareAccess of a buffer',
      () => machine.prepareAccess([wrong({ mapping: buffer })]),
      'TypeError',
      /mapping/,
    ],
    ['prepareAccess of none', () => machine.prepareAccess([]), 'EINVAL', /no buffers/],
    ['alloc type', () => machine.alloc(wrong('4096')), 'TypeError', /alloc: bytes/],
    ['alloc 0', () => machine.alloc(0), 'EINVAL', /0 bytes/],
    ['alloc name', () => machine.alloc(1, wrong({ name: 1 })), 'TypeError', /name/],
    ['alloc long name', () => machine.alloc(1, { name: 'x'.repeat(32) }), 'EINVAL', /31 bytes/],
    ['alloc deferred', () => machine.alloc(1, wrong({ deferred: 1 })), 'TypeError', /deferred/],
  ]);
  assert.is(fence.status, 0);
});

test('buffers, mappings and attachments refuse what makes no sense', async () => {
  const w = world();
  const { buffer, mapping, unmapped, attachment, pending } = w;
  await refuseAll(w.fake, [
    ['name', () => void (buffer.name = wrong(1)), 'TypeError', /name/],
    ['seek', () => buffer.seek(wrong('0'), 0), 'TypeError', /offset/],
    ['attach actor', () => buffer.attach(wrong('gpu')), 'TypeError', /attach: actor/],
    ['attach nobody', () => buffer.attach(77), 'ESRCH', /actor 77/],
    ['attach reach', () => buffer.attach(2, wrong({ pool: 1 })), 'TypeError', /pool/],
    ['mmap', () => buffer.mmap(wrong(1)), 'TypeError', /options/],
    ['mmap offset', () => buffer.mmap({ offset: wrong('1') }), 'TypeError', /offset/],
    ['mmap beyond', () => buffer.mmap({ offset: 4096 }), 'EINVAL', /not inside/],
    ['access nothing', () => buffer.access({}), 'EINVAL', /neither/],
    ['access type', () => buffer.access(wrong(undefined)), 'TypeError', /options/],
    [
      'access timeout',
      () => buffer.access({ read: true, timeout: wrong('x') }),
      'TypeError',
      /timeout/,
    ],
    ['access read', () => buffer.access({ read: wrong(1) }), 'TypeError', /read/],
    ['access busy', () => w.busy.access({ read: true, timeout: 0 }), 'ETIME', /busy|in use/],
    ['poll', () => buffer.poll(wrong('r')), 'TypeError', /events/],
    ['poll timeout', () => buffer.poll({ readable: true }, NaN), 'TypeError', /timeout/],
    ['pollAsync', async () => buffer.pollAsync(wrong(1)), 'TypeError', /events/],
    ['exportSyncFile', () => buffer.exportSyncFile({}), 'EINVAL', /neither/],
    ['exportSyncFile type', () => buffer.exportSyncFile(wrong(3)), 'TypeError', /usage/],
    [
      'importSyncFile fences',
      () => buffer.importSyncFile(wrong(3), { read: true }),
      'TypeError',
      /fences/,
    ],
    [
      'importSyncFile points',
      () => buffer.importSyncFile(wrong({ points: [1] }), { read: true }),
      'TypeError',
      /fences/,
    ],
    ['importSyncFile usage', () => buffer.importSyncFile(pending, {}), 'EINVAL', /neither/],
    ['prepareAccess', () => mapping.prepareAccess(wrong(1)), 'TypeError', /options/],
    [
      'prepareAccess beyond',
      () => mapping.prepareAccess({ read: true, length: 5000 }),
      'EINVAL',
      /not inside/,
    ],
    ['prepareAccess unmapped', () => unmapped.prepareAccess({ read: true }), 'EINVAL', /closed/],
    ['map', () => attachment.map(wrong(1)), 'TypeError', /direction/],
    ['map unknown', () => attachment.map(wrong('up')), 'EINVAL', /'up'/],
    ['unmap', () => attachment.unmap(), 'EINVAL', /unmap|mapped/],
    ['unpin', () => attachment.unpin(), 'EINVAL', /pin/],
  ]);
});

test('a job refuses an end that is no errno, and its device a tick that is no time', async () => {
  const w = world();
  const server = w.fake.server(1, {
    run: (job) => {
      job.defer();
      held.push(job);
    },
  });
  const held: core.Job[] = [];
  server.run();
  const [job] = held;
  if (job === undefined) throw new Error('the job has not arrived');
  await refuseAll(w.fake, [
    ['complete type', () => job.complete(wrong('EIO')), 'TypeError', /complete: error/],
    ['complete positive', () => job.complete(5), 'EINVAL', /error of 5/],
    ['complete NaN', () => job.finish(NaN), 'EINVAL', /NaN/],
    ['complete far', () => job.complete(-4096), 'EINVAL', /-4096/],
    ['buffer', () => job.buffer(3), 'EINVAL', /buffer 3/],
    ['countCopied', () => job.countCopied(wrong('1')), 'TypeError', /countCopied: bytes/],
    [
      'tick',
      () => w.fake.server(2, { run: nothing, tick: () => NaN }).run(),
      'TypeError',
      /'tick'/,
    ],
  ]);
  job.finish(-5);
  assert.is(w.fence.status, -5);
});

test('boot and join refuse what is no machine, before anything is started', async () => {
  const driver = testDriver({ one: 'work' });
  const device = driver.devices[0];
  const boot = (options: unknown) => async () => core.boot(wrong(options));
  const withDriver = (part: object) => boot({ drivers: [{ ...driver, ...part }] });
  const withDevice = (part: object) => withDriver({ devices: [{ ...device, ...part }] });
  const { port1, port2 } = new MessageChannel();
  const token = { actor: 5, port: port1, boot: { control: {} } };
  await refuseAll(new FakeMachine(), [
    ['boot number', boot(5), 'TypeError', /boot: options/],
    ['boot null', boot(null), 'TypeError', /options/],
    ['drivers no array', boot({ drivers: driver }), 'TypeError', /drivers must be an array/],
    ['a driver function', boot({ drivers: [testDriver] }), 'TypeError', /drivers\[0\]/],
    ['driver name', withDriver({ name: 1 }), 'TypeError', /drivers\[0\]\.name/],
    ['driver module', withDriver({ module: undefined }), 'TypeError', /drivers\[0\]\.module/],
    ['driver words', withDriver({ words: '1' }), 'TypeError', /drivers\[0\]\.words/],
    ['driver devices', withDriver({ devices: undefined }), 'TypeError', /drivers\[0\]\.devices/],
    ['device', withDriver({ devices: ['one'] }), 'TypeError', /devices\[0\]/],
    ['device name', withDevice({ name: null }), 'TypeError', /devices\[0\]\.name/],
    ['device path', withDevice({ path: 1 }), 'TypeError', /devices\[0\]\.path/],
    ['device module', withDevice({ module: 1 }), 'TypeError', /devices\[0\]\.module/],
    ['device async', withDevice({ async: 'yes' }), 'TypeError', /async/],
    [
      'a path twice',
      withDriver({ devices: [device, { ...device, name: 'two' }] }),
      'EEXIST',
      /path '\/dev\/one'/,
    ],
    [
      'a name twice',
      withDriver({ devices: [device, { ...device, path: '/x' }] }),
      'EEXIST',
      /name 'one'/,
    ],
    ['pool', boot({ pool: '64M' }), 'TypeError', /pool/],
    ['clock', boot({ clock: 'fake' }), 'TypeError', /clock .*'real' or 'manual'/],
    ['trace', boot({ trace: 1 }), 'TypeError', /trace/],
    ['tables', boot({ tables: 5 }), 'TypeError', /tables/],
    ['tables.jobs', boot({ tables: { jobs: '64' } }), 'TypeError', /tables\.jobs/],
    ['tables.job', boot({ tables: { job: 64 } }), 'TypeError', /tables\.job is no table/],
    ['urls', boot({ urls: 'x' }), 'TypeError', /urls/],
    ['urls.broker', boot({ urls: { broker: new URL('file:///x') } }), 'TypeError', /urls\.broker/],
    ['join nothing', async () => core.join(undefined), 'TypeError', /join: token/],
    ['join no port', async () => core.join({ ...token, port: {} }), 'TypeError', /token/],
    ['join no actor', async () => core.join({ ...token, actor: 'x' }), 'TypeError', /token/],
    ['join no boot', async () => core.join({ ...token, boot: null }), 'TypeError', /token/],
  ]);
  port1.close();
  port2.close();
  for (const words of [-1, 1.5]) {
    try {
      await withDriver({ words })();
      assert.unreachable(String(words));
    } catch (error) {
      assert.ok(error instanceof RangeError && /drivers\[0\]\.words/.test(error.message));
    }
  }
});

test.run();
