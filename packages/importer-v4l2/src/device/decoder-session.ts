/**
 * DecoderSession: the state machine of one open decoder, without workers, jobs or shared memory.
 *
 * Packets go in by decode order, CAPTURE slots as they are granted; they meet by timestamp (design
 * D8a). A picture waits in the decoder for its slot, and nothing is decoded meanwhile; once it is
 * copied out, the next packet is decoded at once, whether its slot is there or not. Every packet and
 * every slot that goes in is ended exactly once. Owned by OpenFile; `step` is called by the device.
 *
 * Follows the error handling of the kernel's dev-decoder.rst: what is wrong with one frame is flagged
 * on that frame; what ends the stream ends all of it, until `reset` (a seek).
 */
import { DmaBufError, errno } from '@dmabuf/core';
import { UnsupportedStream, type Decoded, type Decoder, type Picture } from '../codec/index.js';
import { tightLayout } from '../codec/planes.js';

/** A packet of bitstream. Ended once: with 0 when the decoder has read it, or −errno. */
export interface PacketIn {
  /** Its place in the line of packets. */
  readonly seqno: number;
  readonly timestamp: number;
  /** A CAPTURE slot of the same timestamp is queued, or about to be. */
  readonly bound: boolean;
  /** −errno where its bytes could not be had; 0. */
  readonly lost: number;
  readonly data: Uint8Array<ArrayBufferLike>;
  /** It is now decoded. */
  begin(): void;
  end(error: number): void;
}

/** A granted CAPTURE buffer. Ended once: with 0 when it was filled, or −errno. */
export interface CaptureSlot {
  /** Its place in the line of slots. */
  readonly seqno: number;
  readonly timestamp: number;
  /** Place in the line of packets of the one that it belongs to. */
  readonly packet: number;
  /** Bytes of the buffer. */
  readonly capacity: number;
  /** Copies the picture in and says what it is; returns the bytes copied. */
  fill(picture: Picture, sequence: number): number;
  end(error: number): void;
}

/** What {@link DecoderStats} says of each. */
export interface SessionCounters {
  packets: number;
  decoded: number;
  errors: number;
  hidden: number;
  dropped: number;
  bytesCopied: number;
  /** Of `decoded`: pictures that their buffers were pointed at. */
  inPlace: number;
}

export function newCounters(): SessionCounters {
  return { packets: 0, decoded: 0, errors: 0, hidden: 0, dropped: 0, bytesCopied: 0, inPlace: 0 };
}

/** What a session tells its owner. */
export interface SessionHooks {
  /** A decode that came back as a promise has ended: `step` is due. */
  wake(): void;
  /** Counters have changed; called before the packet or slot ends that changed them. */
  publish(): void;
}

/** Why the stream is over, until a reset. */
export interface SessionFailure {
  readonly error: number;
  readonly text: string;
}

const EIO = -errno.EIO;
const ECANCELED = -errno.ECANCELED;

export class DecoderSession {
  readonly counters: SessionCounters;
  readonly #decoder: Decoder;
  /** The header was accepted: what looks unsupported later on is damage. */
  readonly #configured: boolean;
  readonly #hooks: SessionHooks;
  #packets: PacketIn[] = [];
  readonly #slots: Map<number, CaptureSlot> = new Map();
  /** Of the packet decoded last; they wait for their slots. */
  #pictures: Picture[] = [];
  /** Timestamps of bound packets whose picture may still come out of the decoder. */
  readonly #owed: Set<number> = new Set();
  /** Timestamps without a picture, whose slots are still to come, with their −errno. */
  readonly #missing: Map<number, number> = new Map();
  /** Timestamps whose slots were cancelled before their picture came. */
  readonly #unwanted: Set<number> = new Set();
  readonly #withdrawn: Set<number> = new Set();
  #busy: Promise<void> | undefined;
  #failure: SessionFailure | undefined;
  #size: { readonly width: number; readonly height: number } | undefined;
  #sequence = 0;
  #seenPicture = false;
  /** Packets and slots up to these belong to what was before the last reset. */
  #cut = { packet: 0, slot: 0 };
  /** Packets up to this one went down with an earlier life of the device: their slots get no picture. */
  #lostPackets: number;

  constructor(
    decoder: Decoder,
    configured: boolean,
    hooks: SessionHooks,
    from: {
      readonly counters?: SessionCounters;
      readonly lostPackets?: number;
      readonly failure?: SessionFailure | undefined;
      readonly cut?: { readonly packet: number; readonly slot: number };
    } = {},
  ) {
    this.#decoder = decoder;
    this.#configured = configured;
    this.#hooks = hooks;
    this.counters = from.counters ?? newCounters();
    this.#lostPackets = from.lostPackets ?? 0;
    this.#failure = from.failure;
    this.#cut = from.cut ?? this.#cut;
  }

  /** Visible size of the newest picture. */
  get size(): { readonly width: number; readonly height: number } | undefined {
    return this.#size;
  }

  get failure(): SessionFailure | undefined {
    return this.#failure;
  }

  /** Whether {@link step} has something to do. */
  get ready(): boolean {
    return this.#busy === undefined && this.#pictures.length === 0 && this.#packets.length > 0;
  }

  /** Whether a packet can be taken in: only what is decoded next, so that the rest outlives the device. */
  wantsPacket(seqno: number): boolean {
    if (seqno <= this.#cut.packet || this.#failure !== undefined) return true;
    const idle = this.#busy === undefined && this.#packets.length === 0;
    return idle && this.#pictures.length === 0;
  }

  /** Whether a slot can be taken in: one that is filled, or ended, at once. */
  wantsSlot(seqno: number): boolean {
    if (seqno <= this.#cut.slot || this.#failure !== undefined) return true;
    if (this.#withdrawn.has(seqno) || this.#lostPackets > 0) return true;
    return this.#pictures.length > 0 || this.#missing.size > 0;
  }

  addPacket(packet: PacketIn): void {
    if (packet.seqno <= this.#cut.packet) packet.end(ECANCELED);
    else if (this.#failure !== undefined) packet.end(this.#failure.error);
    else this.#packets.push(packet);
  }

  addSlot(slot: CaptureSlot): void {
    const { timestamp } = slot;
    const missing = this.#missing.get(timestamp);
    const refused = this.#refusal(slot.seqno);
    if (refused !== 0) {
      slot.end(refused);
    } else if (this.#isLost(slot.packet)) {
      this.counters.errors++;
      this.#endSlot(slot, EIO);
    } else if (missing !== undefined) {
      this.#missing.delete(timestamp);
      this.#endSlot(slot, missing);
    } else if (this.#slots.has(timestamp)) {
      slot.end(-errno.EINVAL);
    } else {
      this.#unwanted.delete(timestamp);
      this.#slots.set(timestamp, slot);
      this.#deliver();
    }
  }

  /** A CAPTURE slot that was cancelled before its grant: its picture is not waited for. */
  cancelSlot(seqno: number, timestamp: number, packet: number): void {
    if (this.#refusal(seqno) !== 0 || this.#isLost(packet) || this.#missing.delete(timestamp))
      return;
    const waiting = this.#pictures.filter((picture) => picture.timestamp !== timestamp);
    if (waiting.length === this.#pictures.length) {
      this.#unwanted.add(timestamp);
      return;
    }
    this.counters.dropped++;
    this.#sequence++;
    this.#pictures = waiting;
    this.#hooks.publish();
    this.#deliver();
  }

  /** A CAPTURE slot for which there will be no packet: it ends when it comes, if it is not here. */
  withdraw(seqno: number): void {
    for (const [timestamp, slot] of this.#slots) {
      if (slot.seqno !== seqno) continue;
      this.#slots.delete(timestamp);
      slot.end(ECANCELED);
      return;
    }
    this.#withdrawn.add(seqno);
  }

  /** Decodes one packet, if none of its predecessors' pictures waits. True if more is to do. */
  step(): boolean {
    if (!this.ready) return false;
    const packet = this.#packets.shift();
    if (packet === undefined) return false;
    this.counters.packets++;
    if (packet.lost !== 0) this.#skip(packet);
    else this.#decode(packet);
    return this.ready;
  }

  /**
   * Seek: cancels everything up to the given places in the two lines, what has not arrived yet too,
   * and goes on with the next key frame. Ends a failure.
   */
  async reset(lastPacket: number, lastSlot: number): Promise<void> {
    while (this.#busy !== undefined) await this.#busy;
    this.#cut = { packet: lastPacket, slot: lastSlot };
    this.#endAll(ECANCELED);
    this.#withdrawn.clear();
    this.#failure = undefined;
    this.#sequence = 0;
    await this.#decoder.reset();
  }

  /** Ends everything with ECANCELED, what arrives later too, and gives the decoder up. */
  async close(): Promise<void> {
    while (this.#busy !== undefined) await this.#busy;
    this.#fail(ECANCELED, 'the file is closed');
    await this.#decoder.close();
  }

  /** Whether a slot's packet is gone; slots come in order, so the first whose is not ends the question. */
  #isLost(packet: number): boolean {
    if (packet > this.#lostPackets) this.#lostPackets = 0;
    return packet <= this.#lostPackets;
  }

  /** −errno with which a slot ends that has no business here; 0. */
  #refusal(seqno: number): number {
    if (seqno <= this.#cut.slot || this.#withdrawn.delete(seqno)) return ECANCELED;
    return this.#failure?.error ?? 0;
  }

  /** A packet whose bytes are gone: what refers to its picture would be wrong without notice. */
  #skip(packet: PacketIn): void {
    this.counters.errors++;
    this.#endPacket(packet, packet.lost);
    if (packet.bound) this.#miss(packet.timestamp, packet.lost);
    try {
      this.#await(this.#decoder.reset());
    } catch (error) {
      this.#over(error);
    }
  }

  #decode(packet: PacketIn): void {
    packet.begin();
    let decoded: Decoded | Promise<Decoded>;
    try {
      decoded = this.#decoder.decode({ data: packet.data, timestamp: packet.timestamp });
    } catch (error) {
      this.#undecoded(packet, error);
      return;
    }
    if (!(decoded instanceof Promise)) {
      this.#decoded(packet, decoded);
      return;
    }
    this.#await(
      decoded.then(
        (value) => this.#decoded(packet, value),
        (error: unknown) => this.#undecoded(packet, error),
      ),
    );
  }

  /** Holds everything up until a promise of the decoder's is settled. */
  #await(result: void | Promise<void>): void {
    if (result instanceof Promise) this.#busy = this.#settled(result);
  }

  async #settled(result: Promise<void>): Promise<void> {
    await result;
    this.#busy = undefined;
    this.#hooks.wake();
  }

  #undecoded(packet: PacketIn, error: unknown): void {
    this.counters.errors++;
    this.#endPacket(packet, EIO);
    this.#over(error);
  }

  /** The decoder itself is gone: it could not be loaded again. Anything else is a bug of ours. */
  #over(error: unknown): void {
    if (!(error instanceof DmaBufError)) throw error;
    this.#fail(EIO, error.detail);
  }

  #decoded(packet: PacketIn, { pictures, fault }: Decoded): void {
    if (fault instanceof UnsupportedStream && !this.#seenPicture && !this.#configured) {
      this.counters.errors++;
      this.#endPacket(packet, fault.errno);
      this.#fail(fault.errno, fault.detail);
      return;
    }
    if (packet.bound) this.#owed.add(packet.timestamp);
    else if (fault !== undefined) this.counters.errors++;
    else if (pictures.length === 0) this.counters.hidden++;
    for (const picture of pictures) this.#take(picture);
    this.#endPacket(packet, fault?.errno ?? 0);
    if (packet.bound) this.#settle(packet.timestamp, pictures, fault !== undefined);
    this.#hooks.publish();
    this.#deliver();
  }

  /** A picture has come out of the decoder: it waits for its slot, unless it has none. */
  #take(picture: Picture): void {
    this.#seenPicture = true;
    const { timestamp, width, height } = picture;
    if (width !== this.#size?.width || height !== this.#size.height) this.#size = { width, height };
    if (!this.#owed.delete(timestamp)) {
      this.counters.dropped++;
    } else if (picture.damaged) {
      this.counters.errors++;
      this.#miss(timestamp, EIO);
    } else if (this.#unwanted.delete(timestamp)) {
      this.counters.dropped++;
      this.#sequence++;
    } else {
      this.#pictures.push(picture);
    }
  }

  /** Gives up timestamps whose picture can no longer come out: pictures come in display order. */
  #settle(timestamp: number, pictures: readonly Picture[], faulty: boolean): void {
    const newest = pictures.reduce((max, picture) => Math.max(max, picture.timestamp), -Infinity);
    for (const owed of this.#owed) {
      const itself = owed === timestamp && (faulty || this.#decoder.reorderDelay === 0);
      if (!itself && owed >= newest) continue;
      this.#owed.delete(owed);
      this.counters.errors++;
      this.#miss(owed, EIO);
    }
  }

  /** There is no picture of that timestamp: V4L2_BUF_FLAG_ERROR on its slot, now or when it comes. */
  #miss(timestamp: number, error: number): void {
    this.#sequence++;
    const slot = this.#slots.get(timestamp);
    this.#slots.delete(timestamp);
    if (slot !== undefined) this.#endSlot(slot, error);
    else if (!this.#unwanted.delete(timestamp)) this.#missing.set(timestamp, error);
  }

  /** Copies out the pictures whose slots are here. */
  #deliver(): void {
    for (const picture of [...this.#pictures]) {
      const slot = this.#slots.get(picture.timestamp);
      if (slot === undefined) continue;
      this.#slots.delete(picture.timestamp);
      this.#pictures = this.#pictures.filter((other) => other !== picture);
      const { byteLength } = tightLayout(picture.fourcc, picture.width, picture.height);
      if (byteLength > slot.capacity) {
        this.#overflow(picture, slot, byteLength);
        return;
      }
      this.counters.bytesCopied += slot.fill(picture, this.#sequence++);
      this.counters.decoded++;
      this.#endSlot(slot, 0);
    }
  }

  #overflow(picture: Picture, slot: CaptureSlot, byteLength: number): void {
    const { width, height, timestamp } = picture;
    this.counters.errors++;
    this.#endSlot(slot, -errno.EPIPE);
    this.#fail(
      -errno.EPIPE,
      `the picture at ${timestamp} is ${width}x${height} and takes ${byteLength} bytes, its CAPTURE buffer ` +
        `has ${slot.capacity}: reset(), and go on from a key frame with larger buffers`,
    );
  }

  #fail(error: number, text: string): void {
    this.#failure ??= { error, text };
    this.#endAll(error);
  }

  #endPacket(packet: PacketIn, error: number): void {
    this.#hooks.publish();
    packet.end(error);
  }

  #endSlot(slot: CaptureSlot, error: number): void {
    this.#hooks.publish();
    slot.end(error);
  }

  #endAll(error: number): void {
    const packets = this.#packets;
    const slots = [...this.#slots.values()];
    this.counters.dropped += this.#pictures.length;
    this.#packets = [];
    this.#slots.clear();
    this.#pictures = [];
    this.#owed.clear();
    this.#missing.clear();
    this.#unwanted.clear();
    this.#hooks.publish();
    for (const packet of packets) packet.end(error);
    for (const slot of slots) slot.end(error);
  }
}
