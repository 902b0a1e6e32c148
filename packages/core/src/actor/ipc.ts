/**
 * Ipc: what travels through mailboxes: ioctls and their replies, and fds (SCM_RIGHTS).
 *
 * A caller of `ioctl` blocks on its own doorbell until the reply is in its mailbox; whatever else
 * arrives meanwhile is kept for whoever asks for it. An fd in flight is a reference on its object,
 * which the receiver turns into its lowest free number.
 */
import { DmaBufError, errno } from '../errno.js';
import { type FdAccess, narrowed } from '../fd/access.js';
import { FD_RDWR, type FdTable } from '../fd/fd-table.js';
import type { Kernel } from '../kernel.js';
import { decodePayload, pack } from '../sync/payload.js';
import type { Doorbell } from './doorbell.js';
import { type Mail, MAIL_KIND, type Mailboxes } from './mailbox.js';

/** Serves ioctls: returns the reply's value, or throws a DmaBufError that the caller then gets. */
export type IoctlHandler = (request: string, args: unknown, from: number) => unknown;

/** A message that arrived. */
export interface ReceivedMessage {
  /** Actor id of the sender. */
  readonly from: number;
  readonly value: unknown;
}

/** An fd that arrived, installed in this process. */
export interface ReceivedFd {
  readonly fd: number;
  /** Actor id of the sender. */
  readonly from: number;
  /** What the sender said with it. */
  readonly tag: unknown;
}

/** Whom an ioctl was sent to: which life of which actor. */
interface Addressee {
  readonly actor: number;
  readonly life: number;
}

export class Ipc {
  readonly #k: Kernel;
  readonly #bell: Doorbell;
  readonly #mail: Mailboxes;
  readonly #fds: FdTable;
  /** Requests under way, with the reply once it is here; the reply to one given up is dropped. */
  readonly #replies: Map<number, Mail | undefined> = new Map();
  readonly #requests: Mail[] = [];
  readonly #arrived: { readonly mail: Mail; readonly parked: number }[] = [];
  /** No more fds can be parked: the mailbox waits until one has been received. */
  #crowded = false;
  readonly #messages: Mail[] = [];
  #id = 0;

  constructor(kernel: Kernel, bell: Doorbell, mail: Mailboxes, fds: FdTable) {
    this.#k = kernel;
    this.#bell = bell;
    this.#mail = mail;
    this.#fds = fds;
  }

  /** Calls an actor and blocks for its reply. ETIME; ESRCH; or whatever the handler threw. */
  ioctl(actor: number, request: string, args: unknown, timeout: number): unknown {
    this.#mustLive(actor, request);
    const life = this.#k.lifeOf(actor);
    const id = ++this.#id;
    const body = pack([request, args], 'ioctl', 'args');
    this.#mail.send(actor, { kind: MAIL_KIND.IOCTL, id, object: 0, body }, { block: true });
    this.#replies.set(id, undefined);
    try {
      return this.#result(request, this.#awaitReply(id, { actor, life }, request, timeout));
    } finally {
      this.#replies.delete(id);
    }
  }

  #awaitReply(id: number, to: Addressee, request: string, timeout: number): Mail {
    const until = this.#k.clock.now() + timeout;
    for (;;) {
      this.#sort();
      const reply = this.#replies.get(id);
      if (reply !== undefined) return reply;
      this.#k.check(request);
      const who = `actor ${to.actor} '${this.#k.nameOf(to.actor)}'`;
      if (this.#k.lifeOf(to.actor) !== to.life) {
        const detail = `${who} died before it answered; if it is a device it is started again: ask once more`;
        throw new DmaBufError('EOWNERDEAD', request, detail);
      }
      this.#mustLive(to.actor, request);
      if (this.#k.clock.now() >= until) {
        throw new DmaBufError('ETIME', request, `${who} did not answer within ${timeout} ms`);
      }
      this.#bell.sleep(() => this.#nothingNew(), until);
      this.#k.checkAfterSleep(request);
    }
  }

  /** Answers the ioctls that have arrived; true if there were any. */
  serve(handler: IoctlHandler | undefined): boolean | Promise<boolean> {
    this.#sort();
    if (this.#requests.length === 0) return false;
    const requests = this.#requests.splice(0);
    const pending = requests.map((mail) => this.#answer(mail, handler));
    const promises = pending.filter((p) => p instanceof Promise);
    return promises.length > 0 ? Promise.all(promises).then(() => true) : true;
  }

  get isEmpty(): boolean {
    return this.#nothingNew() && this.#requests.length === 0;
  }

  /** Sends an open fd to another process, which gets a new one for the same object. */
  passFd(actor: number, fd: number, tag: unknown, access?: FdAccess): void {
    this.#mustLive(actor, 'pass_fd');
    const { object, flags: own } = this.#fds.entry(fd, 'pass_fd');
    const flags = narrowed(own, access, fd, 'pass_fd');
    const body = pack(tag, 'passFd', 'tag');
    this.#mail.send(actor, { kind: MAIL_KIND.FD, id: 0, object, flags, body }, { block: true });
  }

  /** The oldest fd that was sent here. Blocks up to `timeout` ms, then ETIME. */
  receiveFd(timeout: number): ReceivedFd {
    const until = this.#k.clock.now() + timeout;
    for (;;) {
      const received = this.#tryReceive();
      if (received !== undefined) return received;
      this.#k.check('receive_fd');
      if (this.#k.clock.now() >= until) {
        throw new DmaBufError('ETIME', 'receive_fd', `no fd arrived within ${timeout} ms`);
      }
      this.#bell.sleep(() => this.#nothingNew(), until);
      this.#k.checkAfterSleep('receive_fd');
    }
  }

  /** Sends a message (anything that msgpack carries). With `block: false` EAGAIN when there is no room. */
  send(actor: number, value: unknown, block: boolean): void {
    this.#mustLive(actor, 'send');
    const body = pack(value, 'send', 'value');
    this.#mail.send(actor, { kind: MAIL_KIND.MESSAGE, id: 0, object: 0, body }, { block });
  }

  /** The oldest message that was sent here. Blocks up to `timeout` ms, then ETIME. */
  receive(timeout: number): ReceivedMessage {
    const until = this.#k.clock.now() + timeout;
    for (;;) {
      this.#sort();
      const mail = this.#messages.shift();
      if (mail !== undefined) return { from: mail.from, value: decodePayload(mail.body) };
      this.#k.check('receive');
      if (this.#k.clock.now() >= until) {
        throw new DmaBufError('ETIME', 'receive', `no message arrived within ${timeout} ms`);
      }
      this.#bell.sleep(() => this.#nothingNew(), until);
      this.#k.checkAfterSleep('receive');
    }
  }

  #tryReceive(): ReceivedFd | undefined {
    this.#sort();
    const arrived = this.#arrived[0];
    if (arrived === undefined) return undefined;
    const { mail, parked } = arrived;
    const fd = this.#fds.unpark(parked, 'receive_fd');
    this.#arrived.shift();
    return { fd, from: mail.from, tag: decodePayload(mail.body) };
  }

  /** Drops the references of fds that nobody received: on leave, when STATE says so already. */
  discard(): void {
    this.#mail.shut();
    this.#sort();
    this.#mail.drain(this.#k.self);
    for (const { parked } of this.#arrived.splice(0)) this.#fds.removeParked(parked);
  }

  #nothingNew(): boolean {
    return this.#crowded || this.#mail.isEmpty();
  }

  #sort(): void {
    this.#crowded = false;
    const park = (mail: Mail, taken: () => void): boolean => this.#park(mail, taken);
    for (let mail = this.#mail.receive(park); mail !== undefined; mail = this.#mail.receive(park)) {
      if (mail.kind === MAIL_KIND.IOCTL) this.#requests.push(mail);
      else if (mail.kind === MAIL_KIND.MESSAGE) this.#messages.push(mail);
      else if (this.#replies.has(mail.id)) this.#replies.set(mail.id, mail);
    }
  }

  /** Keeps an fd that has arrived in this process's table until it is asked for. */
  #park(mail: Mail, taken: () => void): boolean {
    const parked = this.#fds.park(mail.object, mail.flags ?? FD_RDWR, taken);
    this.#crowded = parked < 0;
    if (!this.#crowded) this.#arrived.push({ mail, parked });
    return !this.#crowded;
  }

  #answer(mail: Mail, handler: IoctlHandler | undefined): void | Promise<void> {
    try {
      const call = decodePayload(mail.body);
      const [request, args] = Array.isArray(call) ? (call as unknown[]) : [];
      if (typeof request !== 'string')
        throw new DmaBufError('EINVAL', 'ioctl', 'malformed request');
      if (handler === undefined)
        throw new DmaBufError('ENOTTY', request, 'this actor takes no ioctls');
      const value = handler(request, args, mail.from);
      if (!(value instanceof Promise)) {
        this.#reply(mail, MAIL_KIND.REPLY, value);
        return undefined;
      }
      return value.then(
        (result: unknown) => this.#reply(mail, MAIL_KIND.REPLY, result),
        (error: unknown) => this.#refuse(mail, error),
      );
    } catch (error) {
      this.#refuse(mail, error);
    }
    return undefined;
  }

  #refuse(mail: Mail, error: unknown): void {
    const known = error instanceof DmaBufError;
    const number = known ? error.errno : -errno.EIO;
    const detail = known ? error.detail : String(error);
    this.#reply(mail, MAIL_KIND.ERROR, { errno: number, detail });
    if (!known) throw error;
  }

  #reply(mail: Mail, kind: number, value: unknown): void {
    if (!this.#k.takesMail(mail.from)) return;
    const body = pack(value, 'ioctl', "the handler's answer");
    this.#mail.send(mail.from, { kind, id: mail.id, object: 0, body }, { block: true });
  }

  #result(request: string, reply: Mail): unknown {
    const value = decodePayload(reply.body);
    if (reply.kind === MAIL_KIND.REPLY) return value;
    const error = isFailure(value) ? value : { errno: -errno.EIO, detail: 'malformed error reply' };
    throw DmaBufError.of(error.errno, request, error.detail);
  }

  #mustLive(actor: number, syscall: string): void {
    if (this.#k.takesMail(actor)) return;
    throw new DmaBufError('ESRCH', syscall, `actor ${actor} is not alive`);
  }
}

function isFailure(value: unknown): value is { errno: number; detail: string } {
  return typeof value === 'object' && value !== null && 'errno' in value && 'detail' in value;
}
