/**
 * Faults put back into core, one at a time: what the exploration itself is tested with. Each replaces a
 * method, in every thread, for as long as a scenario is explored.
 */
import { Doorbell } from '../../actor/doorbell.js';
import type { Services } from '../../actor/services.js';
import { FdTable } from '../../fd/fd-table.js';
import { References } from '../../fd/references.js';
import { CONTEXT, HEADER, MAIL, MAIL_SLOT, TIMELINE } from '../../memory/layout.js';
import { errno } from '../../errno.js';
import { JobTable } from '../../sync/job-table.js';
import { Jobs } from '../../sync/jobs.js';
import { Queues } from '../../sync/queue.js';

export interface Bug {
  readonly name: string;
  /** The scenario in which it shows, and whether by a schedule or by a death. */
  readonly scenario: string;
  readonly by: 'schedule' | 'death';
  /** Puts it in; returns what takes it out again. */
  insert(): () => void;
  /** Puts it into the services of one thread. */
  readonly wire?: (services: Services) => void;
}

/** Replaces one method of a prototype. */
function replace<T extends object, K extends keyof T>(
  prototype: T,
  name: K,
  make: (original: T[K]) => T[K],
): () => void {
  const original = prototype[name];
  prototype[name] = make(original);
  return () => {
    prototype[name] = original;
  };
}

const nothing = (): (() => void) => (): void => {};

export const BUGS: readonly Bug[] = [
  {
    name: 'a missing lock: references are counted without BUFFER_LOCK',
    scenario: 'dup/close',
    by: 'schedule',
    insert: () =>
      replace(
        References.prototype,
        'locked',
        () =>
          <T>(change: () => T): T =>
            change(),
      ),
  },
  {
    name: 'a lost wake-up: a sleeper looks for work before it says that it sleeps',
    scenario: 'add/serve',
    by: 'schedule',
    insert: () =>
      replace(
        Doorbell.prototype,
        'sleep',
        (sleep) =>
          function (this: Doorbell, idle: () => boolean, until: number): void {
            const still = idle();
            sleep.call(this, () => still, until);
          },
      ),
  },
  {
    name: 'a store in the wrong order: a message is published before its body is written',
    scenario: 'send/receive, mailbox full',
    by: 'schedule',
    insert: nothing,
    wire: (services) => {
      const { kernel, mail, bell } = services;
      const send = mail.send.bind(mail);
      mail.send = (to, message, options) => {
        const { words, locks } = kernel;
        const box = words.get(HEADER.MAIL) + to * words.get(HEADER.MAIL_WORDS);
        locks.lock(box + MAIL.LOCK);
        const tail = words.get(box + MAIL.TAIL);
        const slots = words.get(HEADER.FD_PARKED);
        if (slots === tail - words.load(box + MAIL.HEAD)) {
          locks.unlock(box + MAIL.LOCK);
          return send(to, message, options);
        }
        words.store(box + MAIL.TAIL, tail + 1);
        const slot = box + MAIL.SLOTS + (tail % slots) * words.get(HEADER.MAIL_SLOT_WORDS);
        words.set(slot + MAIL_SLOT.FROM, kernel.self);
        words.set(slot + MAIL_SLOT.KIND, message.kind);
        words.set(slot + MAIL_SLOT.ID, message.id);
        words.set(slot + MAIL_SLOT.OBJECT, message.object);
        words.set(slot + MAIL_SLOT.FLAGS, 0);
        words.bytes(slot + MAIL_SLOT.BODY, message.body.byteLength).set(message.body);
        words.set(slot + MAIL_SLOT.LENGTH, message.body.byteLength);
        locks.unlock(box + MAIL.LOCK);
        bell.ring(to);
      };
    },
  },
  {
    name: 'an early grant: a writer is granted beside readers',
    scenario: 'readers/writer',
    by: 'schedule',
    insert: () =>
      replace(
        Queues.prototype,
        'append',
        (append) =>
          function (this: Queues, queue: number, link: number): boolean {
            return append.call(this, queue, link, false);
          },
      ),
  },
  {
    name: 'a leaked reference: a parked fd that is closed with its process keeps its object',
    scenario: 'passFd/receiveFd',
    by: 'death',
    insert: () =>
      replace(
        FdTable.prototype,
        'removeAll',
        () =>
          function (this: FdTable): void {
            for (const { fd } of [...this.open()].slice(1)) this.remove(fd, 'reap');
          },
      ),
  },
  {
    name: 'a skipped recovery step: free slots of the dead are not taken over',
    scenario: 'add/add crossing',
    by: 'death',
    insert: () => replace(JobTable.prototype, 'adopt', () => () => {}),
  },
  {
    name: 'a summary bit cleared late: a taker clears the leaf, then the summary',
    scenario: 'push/take',
    by: 'schedule',
    insert: nothing,
    wire: ({ kernel, jobs }) => {
      const { words } = kernel;
      jobs.ready.take = (actor, out) => {
        const set = words.get(HEADER.READY) + actor * words.get(HEADER.READY_WORDS);
        if (words.load(set) === 0) return;
        const bits = words.exchange(set + 1, 0);
        words.exchange(set, 0);
        for (let bit = 0; bit < 32; bit++) {
          if ((bits & (1 << bit)) !== 0) out.push(kernel.jobs.at(bit));
        }
      };
    },
  },
  {
    name: "CLOSED before the last fence: a closing timeline's context is given up too early",
    scenario: 'context close/create',
    by: 'schedule',
    insert: nothing,
    wire: ({ kernel, jobs, timelines }) => {
      timelines.last = (timeline) => {
        const { words, locks } = kernel;
        const context = words.get(timeline + TIMELINE.CONTEXT);
        locks.lock(HEADER.FENCE_LOCK);
        jobs.contexts.failBeyond(context, timelines.value(timeline), -errno.ENOENT);
        words.store(context + CONTEXT.CLOSED, 1);
        words.store(timeline + TIMELINE.STATE, 0);
        locks.unlock(HEADER.FENCE_LOCK);
        timelines.signal(timeline, Infinity, -errno.ENOENT);
      };
      // As it was then, a closed context is free, whatever is in flight on it.
      const create = jobs.contexts.create.bind(jobs.contexts);
      jobs.contexts.create = (target, name, flags) => {
        const { words, contexts } = kernel;
        for (const context of [...contexts.live()]) {
          if (words.get(context + CONTEXT.CLOSED) !== 0) words.store(context + CONTEXT.STATE, 0);
        }
        return create(target, name, flags);
      };
    },
  },
  {
    name: 'a double free: whoever unpins a job frees it, whatever its state',
    scenario: 'sync file/recycling',
    by: 'schedule',
    insert: () =>
      replace(
        Jobs.prototype,
        'unpinned',
        () =>
          function (this: Jobs, job: number): void {
            this.table.free(job);
          },
      ),
  },
  {
    name: 'a queue of the dead is freed as it is, not made anew',
    scenario: 'add/add crossing',
    by: 'death',
    insert: () => replace(Queues.prototype, 'rebuild', () => () => {}),
  },
  {
    name: 'a value read before the lock: a timeline forgets an increment',
    scenario: 'timeline increment/increment',
    by: 'schedule',
    insert: nothing,
    wire: ({ kernel, timelines }) => {
      timelines.increment = (timeline, by) => {
        const { words, locks } = kernel;
        const value = words.getDouble(timeline + TIMELINE.VALUE) + by;
        locks.lock(timeline + TIMELINE.LOCK);
        words.setDouble(timeline + TIMELINE.VALUE, value);
        locks.unlock(timeline + TIMELINE.LOCK);
        timelines.signal(timeline, value, 0);
      };
    },
  },
  {
    name: 'a look without WAIT_LOCK: two threads that close a circle do not see each other',
    scenario: 'EDEADLK of 2',
    by: 'schedule',
    insert: nothing,
    wire: ({ kernel: { locks } }) => {
      const [lock, unlock] = [locks.lock.bind(locks), locks.unlock.bind(locks)];
      locks.lock = (index) => {
        if (index !== HEADER.WAIT_LOCK) lock(index);
      };
      locks.unlock = (index) => {
        if (index !== HEADER.WAIT_LOCK) unlock(index);
      };
    },
  },
  {
    name: 'a hold of the dead is ended without a look at the watchdog',
    scenario: 'release/evict',
    by: 'death',
    insert: () =>
      replace(
        Jobs.prototype,
        'endOfDead',
        () =>
          function (this: Jobs, job: number, _generation: number, error: number): boolean {
            this.finish(job, error);
            return true;
          },
      ),
  },
];

export function findBug(name: string): Bug {
  const bug = BUGS.find((b) => b.name === name);
  if (bug !== undefined) return bug;
  throw new RangeError(`there is no planted bug '${name}'`);
}
