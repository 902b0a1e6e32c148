/**
 * Mailboxes: messages between actors in shared memory (ioctl arguments, replies, fds in flight).
 *
 * One ring of fixed slots per actor. A sender holds the mailbox's LOCK while it writes, and
 * publishes with one store of TAIL: a sender that dies before that has sent nothing. The owner
 * copies a message out, then moves HEAD. A message longer than a slot takes several, one after the
 * other. Order is kept per sender; nothing is lost or doubled. Not for per-frame traffic: that is
 * jobs.
 */
import { DmaBufError } from '../errno.js';
import { type Kernel, WAIT_BOUND_MS } from '../kernel.js';
import type { References } from '../fd/references.js';
import { HEADER, MAIL, MAIL_SLOT } from '../memory/layout.js';
import type { Doorbell } from './doorbell.js';

/** Kinds of message. */
export const MAIL_KIND = { IOCTL: 1, REPLY: 2, ERROR: 3, FD: 4, MESSAGE: 5 } as const;

export interface Mail {
  /** Actor id of the sender. */
  readonly from: number;
  /** MAIL_KIND.* */
  readonly kind: number;
  /** Pairs a reply with its request. */
  readonly id: number;
  /** An object word whose reference travels with the message, or 0. */
  readonly object: number;
  /** FD_FLAG.* of the fd that travels. */
  readonly flags?: number;
  /** A private copy. */
  readonly body: Uint8Array;
}

export class Mailboxes {
  readonly #k: Kernel;
  readonly #bell: Doorbell;
  readonly #references: References;
  readonly #base: number;
  readonly #stride: number;
  readonly #slots: number;
  readonly #slotWords: number;

  constructor(
    kernel: Kernel,
    bell: Doorbell,
    references: References,
    slots: number,
    slotBytes: number,
  ) {
    this.#k = kernel;
    this.#bell = bell;
    this.#references = references;
    this.#base = kernel.words.get(HEADER.MAIL);
    this.#stride = kernel.words.get(HEADER.MAIL_WORDS);
    this.#slots = slots;
    this.#slotWords = MAIL_SLOT.BODY + slotBytes / 4;
  }

  /**
   * Sends to an actor. When its mailbox is full the call blocks until there is room, or with
   * `block: false` throws EAGAIN. EMSGSIZE: longer than the whole mailbox; ESRCH: its owner has
   * left, be it while the sender waits.
   */
  send(to: number, mail: Omit<Mail, 'from'>, options: { block: boolean }): void {
    const { words, locks } = this.#k;
    const box = this.#base + to * this.#stride;
    const need = this.#slotsFor(mail.body.byteLength);
    for (;;) {
      locks.lock(box + MAIL.LOCK);
      if (!this.#isLive(to)) {
        locks.unlock(box + MAIL.LOCK);
        throw new DmaBufError('ESRCH', 'send', `actor ${to} is not alive`);
      }
      const tail = words.get(box + MAIL.TAIL);
      const room = this.#slots - ((tail - words.load(box + MAIL.HEAD)) | 0);
      if (room >= need) {
        this.#write(box, tail, mail);
        this.#publish(box, (tail + need) | 0, mail.object);
        locks.unlock(box + MAIL.LOCK);
        this.#bell.ring(to);
        return;
      }
      const seen = words.load(box + MAIL.ROOM);
      words.store(box + MAIL.SENDERS_WAITING, 1);
      locks.unlock(box + MAIL.LOCK);
      if (!options.block) throw this.#full(to);
      this.#awaitRoom(box, seen, need);
    }
  }

  /** The reference of an object is there as soon as the message is. */
  #publish(box: number, tail: number, object: number): void {
    const { words } = this.#k;
    if (object === 0) words.store(box + MAIL.TAIL, tail);
    else {
      this.#references.locked(() => {
        this.#references.add(object);
        words.store(box + MAIL.TAIL, tail);
      });
    }
  }

  /** After the owner's STATE has changed from LIVE: no message arrives once this returns. */
  shut(): void {
    const lock = this.#base + this.#k.self * this.#stride + MAIL.LOCK;
    this.#k.locks.lock(lock);
    this.#k.locks.unlock(lock);
  }

  #isLive(actor: number): boolean {
    return this.#k.takesMail(actor);
  }

  /** Empties the mailbox of a dead actor and drops the references in it. By its recoverer alone. */
  drain(dead: number): void {
    const { words } = this.#k;
    const box = this.#base + dead * this.#stride;
    for (;;) {
      const head = words.load(box + MAIL.HEAD);
      if (words.load(box + MAIL.TAIL) === head) break;
      const { object, body } = this.#read(box, head);
      const next = (head + this.#slotsFor(body.byteLength)) | 0;
      if (object === 0) words.store(box + MAIL.HEAD, next);
      else this.#drop(box, next, object);
    }
    this.#madeRoom(box);
  }

  #drop(box: number, next: number, object: number): void {
    const last = this.#references.locked(() => {
      this.#k.words.store(box + MAIL.HEAD, next);
      return this.#references.drop(object);
    });
    if (last) this.#references.onLast(object);
  }

  #madeRoom(box: number): void {
    const { words, seam } = this.#k;
    if (words.load(box + MAIL.SENDERS_WAITING) === 0) return;
    words.store(box + MAIL.SENDERS_WAITING, 0);
    words.add(box + MAIL.ROOM, 1);
    seam.notify(words.i32, box + MAIL.ROOM, 0x7fffffff);
  }

  isEmpty(): boolean {
    return this.isEmptyOf(this.#k.self);
  }

  isEmptyOf(actor: number): boolean {
    const { words } = this.#k;
    const box = this.#base + actor * this.#stride;
    return words.load(box + MAIL.TAIL) === words.load(box + MAIL.HEAD);
  }

  /**
   * The oldest message of this actor's mailbox, or undefined. `take` is given a message that brings an object,
   * and calls what moves HEAD under the lock that covers references; if it returns false, all stays there.
   */
  receive(take: (mail: Mail, moveHead: () => void) => boolean = () => false): Mail | undefined {
    const { words, self } = this.#k;
    const box = this.#base + self * this.#stride;
    const head = words.load(box + MAIL.HEAD);
    if (words.load(box + MAIL.TAIL) === head) return undefined;
    const mail = this.#read(box, head);
    const moveHead = (): void => {
      words.store(box + MAIL.HEAD, (head + this.#slotsFor(mail.body.byteLength)) | 0);
    };
    if (mail.object === 0) moveHead();
    else if (!take(mail, moveHead)) return undefined;
    this.#madeRoom(box);
    return mail;
  }

  #slotsFor(bytes: number): number {
    const slotBytes = (this.#slotWords - MAIL_SLOT.BODY) * 4;
    const need = Math.max(1, Math.ceil(bytes / slotBytes));
    if (need <= this.#slots) return need;
    throw new DmaBufError(
      'EMSGSIZE',
      'send',
      `a message of ${bytes} bytes exceeds the mailbox of ${this.#slots * slotBytes}; boot with larger tables.mailSlots`,
    );
  }

  #slot(box: number, position: number): number {
    return box + MAIL.SLOTS + ((position >>> 0) % this.#slots) * this.#slotWords;
  }

  #write(box: number, tail: number, mail: Omit<Mail, 'from'>): void {
    const { words, self } = this.#k;
    const slot = this.#slot(box, tail);
    words.set(slot + MAIL_SLOT.FROM, self);
    words.set(slot + MAIL_SLOT.KIND, mail.kind);
    words.set(slot + MAIL_SLOT.LENGTH, mail.body.byteLength);
    words.set(slot + MAIL_SLOT.OBJECT, mail.object);
    words.set(slot + MAIL_SLOT.FLAGS, mail.flags ?? 0);
    words.set(slot + MAIL_SLOT.ID, mail.id);
    const slotBytes = (this.#slotWords - MAIL_SLOT.BODY) * 4;
    for (let at = 0, i = 0; at < mail.body.byteLength; at += slotBytes, i++) {
      const part = mail.body.subarray(at, at + slotBytes);
      words.bytes(this.#slot(box, tail + i) + MAIL_SLOT.BODY, part.byteLength).set(part);
    }
  }

  #read(box: number, head: number): Mail {
    const { words } = this.#k;
    const slot = this.#slot(box, head);
    const length = words.get(slot + MAIL_SLOT.LENGTH);
    const body = new Uint8Array(length);
    const slotBytes = (this.#slotWords - MAIL_SLOT.BODY) * 4;
    for (let at = 0, i = 0; at < length; at += slotBytes, i++) {
      const bytes = Math.min(slotBytes, length - at);
      body.set(words.bytes(this.#slot(box, head + i) + MAIL_SLOT.BODY, bytes), at);
    }
    return {
      from: words.get(slot + MAIL_SLOT.FROM),
      kind: words.get(slot + MAIL_SLOT.KIND),
      id: words.get(slot + MAIL_SLOT.ID),
      object: words.get(slot + MAIL_SLOT.OBJECT),
      flags: words.get(slot + MAIL_SLOT.FLAGS),
      body,
    };
  }

  #awaitRoom(box: number, seen: number, need: number): void {
    const { words, seam } = this.#k;
    this.#k.check('send');
    const used = (words.load(box + MAIL.TAIL) - words.load(box + MAIL.HEAD)) | 0;
    if (this.#slots - used >= need) return;
    if (seam.wait(words.i32, box + MAIL.ROOM, seen, WAIT_BOUND_MS) === 'timeout') {
      this.#k.checkAfterSleep('send');
    }
  }

  #full(to: number): DmaBufError {
    return new DmaBufError(
      'EAGAIN',
      'send',
      `the mailbox of actor ${to} '${this.#k.nameOf(to)}' is full (${this.#slots} slots); try again when it has read`,
    );
  }
}
