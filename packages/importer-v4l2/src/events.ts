/**
 * EventQueue: the events that one handle of a file has subscribed to (drivers/media/v4l2-core/v4l2-event.c).
 *
 * The device raises events into a ring of the file (event-ring.ts); controls of this handle raise theirs
 * here. A subscription keeps its newest few and drops the oldest; `sequence` counts all of them, so that a
 * gap shows. Owned by the handle's thread.
 */
import { DmaBufError } from '@dmabuf/core';
import type { Words } from '@dmabuf/core/driver';
import { eventHead, type RaisedEvent, readEvents } from './event-ring.js';
import {
  V4L2_EVENT_ALL,
  V4L2_EVENT_CTRL,
  V4L2_EVENT_EOS,
  V4L2_EVENT_SOURCE_CHANGE,
  V4L2_EVENT_SUB_FL_SEND_INITIAL,
} from './videodev2.js';

/** struct v4l2_event. */
export interface V4l2Event {
  /** V4L2_EVENT_* */
  readonly type: number;
  /** Of a control: its id; otherwise 0. */
  readonly id: number;
  /** SOURCE_CHANGE: V4L2_EVENT_SRC_CH_*; CTRL: V4L2_EVENT_CTRL_CH_*. */
  readonly changes: number;
  /** CTRL: its value. */
  readonly value: number;
  /** Events of the handle since it was opened, dropped ones too. */
  readonly sequence: number;
  /** Events that are left after this one. */
  readonly pending: number;
  /** ms */
  readonly timestamp: number;
}

/** struct v4l2_event_subscription. */
export interface EventSubscription {
  readonly type: number;
  readonly id?: number;
  /** V4L2_EVENT_SUB_FL_* */
  readonly flags?: number;
}

interface Subscribed {
  readonly type: number;
  readonly id: number;
  readonly flags: number;
  /** Most that are kept. */
  readonly room: number;
  events: Omit<V4l2Event, 'pending'>[];
}

/** How many events a subscription keeps. */
const ROOM = { [V4L2_EVENT_EOS]: 2, [V4L2_EVENT_SOURCE_CHANGE]: 1, [V4L2_EVENT_CTRL]: 1 } as const;

function roomOf(type: number): number | undefined {
  if (type === V4L2_EVENT_EOS || type === V4L2_EVENT_SOURCE_CHANGE || type === V4L2_EVENT_CTRL) {
    return ROOM[type];
  }
  return undefined;
}

/** An event of a control's, as SEND_INITIAL and a change of it give it. */
export interface ControlEvent {
  readonly id: number;
  readonly changes: number;
  readonly value: number;
}

export class EventQueue {
  readonly #words: Words;
  readonly #ring: number;
  readonly #now: () => number;
  readonly #subscribed: Subscribed[] = [];
  #next: number;
  #sequence = 0;

  constructor(words: Words, ring: number, now: () => number) {
    this.#words = words;
    this.#ring = ring;
    this.#now = now;
    this.#next = eventHead(words, ring);
  }

  /** Events that this handle has looked at: what a job that waits for the next is told. */
  get seen(): number {
    return this.#next;
  }

  /** Whether anything is subscribed to. */
  get listens(): boolean {
    return this.#subscribed.length > 0;
  }

  get pending(): number {
    this.#take();
    return this.#subscribed.reduce((sum, { events }) => sum + events.length, 0);
  }

  /**
   * VIDIOC_SUBSCRIBE_EVENT. Again: nothing. `control` gives the present value of the id, undefined where there
   * is no such control. EINVAL: ALL, an unknown type, no such control.
   */
  subscribe(
    subscription: EventSubscription,
    control: (id: number) => ControlEvent | undefined,
  ): void {
    const { type, id = 0, flags = 0 } = subscription;
    const room = roomOf(type);
    if (room === undefined) {
      const detail = `event type ${type}; there are EOS (2), CTRL (3) and SOURCE_CHANGE (5)`;
      throw new DmaBufError('EINVAL', 'VIDIOC_SUBSCRIBE_EVENT', detail);
    }
    const present = type === V4L2_EVENT_CTRL ? control(id) : undefined;
    if (type === V4L2_EVENT_CTRL && present === undefined) {
      throw new DmaBufError('EINVAL', 'VIDIOC_SUBSCRIBE_EVENT', `there is no control ${id}`);
    }
    this.#take();
    if (this.#find(type, id) !== undefined) return;
    const subscribed: Subscribed = { type, id, flags, room, events: [] };
    this.#subscribed.push(subscribed);
    if (present !== undefined && (flags & V4L2_EVENT_SUB_FL_SEND_INITIAL) !== 0) {
      this.#push(subscribed, present.changes, present.value, this.#now());
    }
  }

  /** VIDIOC_UNSUBSCRIBE_EVENT: pending ones are dropped. ALL: from everything. */
  unsubscribe({ type, id = 0 }: EventSubscription): void {
    for (const subscribed of [...this.#subscribed]) {
      const meant = type === V4L2_EVENT_ALL || (subscribed.type === type && subscribed.id === id);
      if (meant) this.#subscribed.splice(this.#subscribed.indexOf(subscribed), 1);
    }
  }

  /** VIDIOC_DQEVENT: the oldest. ENOENT: there is none. */
  dequeue(): V4l2Event {
    this.#take();
    const oldest = this.#subscribed
      .filter(({ events }) => events.length > 0)
      .sort((a, b) => (a.events[0]?.sequence ?? 0) - (b.events[0]?.sequence ?? 0))[0];
    const event = oldest?.events.shift();
    if (event !== undefined) return { ...event, pending: this.pending };
    throw new DmaBufError('ENOENT', 'VIDIOC_DQEVENT', 'no event is pending');
  }

  /** A control has changed through a handle of this thread; `own` is this one. */
  controlChanged({ id, changes, value }: ControlEvent, wanted: (flags: number) => boolean): void {
    const subscribed = this.#find(V4L2_EVENT_CTRL, id);
    if (subscribed === undefined || !wanted(subscribed.flags)) return;
    this.#push(subscribed, changes, value, this.#now());
  }

  #find(type: number, id: number): Subscribed | undefined {
    return this.#subscribed.find((other) => other.type === type && other.id === id);
  }

  /** Takes over what the device has raised since. */
  #take(): void {
    const { events, next, lost } = readEvents(this.#words, this.#ring, this.#next);
    this.#next = next;
    this.#sequence += lost;
    for (const event of events) this.#raised(event);
  }

  #raised({ type, changes, timestamp }: RaisedEvent): void {
    const subscribed = this.#find(type, 0);
    if (subscribed !== undefined) this.#push(subscribed, changes, 0, timestamp);
  }

  /** The oldest makes room; what it said of changes goes on in its successor (merge and replace). */
  #push(subscribed: Subscribed, changes: number, value: number, timestamp: number): void {
    const { type, id, room } = subscribed;
    let all = changes;
    if (subscribed.events.length >= room) all |= subscribed.events.shift()?.changes ?? 0;
    const sequence = this.#sequence++;
    subscribed.events.push({ type, id, changes: all, value, sequence, timestamp });
  }
}
