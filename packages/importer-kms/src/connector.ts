/**
 * What a connector is plugged into, in kernel memory (drm_connector.c): its status and the modes of the screen.
 *
 * A change is written as a whole into the one of two records that is not in force, and one store of
 * CONNECTOR_EPOCH, which counts the changes as `drm_connector.epoch_counter` does, puts it in force: who dies in
 * between has changed nothing. Changes are made under CONNECTOR_LOCK; anybody reads without it.
 */
import type { Words } from '@dmabuf/core/driver';
import { type DisplayMode, makeMode } from './mode.js';
import { CONNECTOR, REG } from './registers.js';

/** As `/sys/class/drm/card0-Virtual-1/status` prints it. */
export type ConnectorStatus = 'connected' | 'disconnected' | 'unknown';

/** Codes of the status: DRM_MODE_CONNECTED, DRM_MODE_DISCONNECTED, DRM_MODE_UNKNOWNCONNECTION. */
const STATUS: Readonly<Record<ConnectorStatus, number>> = {
  connected: 1,
  disconnected: 2,
  unknown: 3,
};

/** Whether a word is a status. */
export function isConnectorStatus(status: unknown): status is ConnectorStatus {
  return typeof status === 'string' && Object.hasOwn(STATUS, status);
}

/** A connector as it is now. */
export interface ConnectorState {
  readonly status: ConnectorStatus;
  /** What the screen shows, the preferred mode first; none of a screen that is not there. */
  readonly modes: readonly DisplayMode[];
  /** How often status or modes have changed since boot, or the link has failed. */
  readonly epoch: number;
}

export class ConnectorRecords {
  readonly #words: Words;
  readonly #base: number;

  /** Over the registers at `base`. */
  constructor(words: Words, base: number) {
    this.#words = words;
    this.#base = base;
  }

  /** How often it has changed. */
  get epoch(): number {
    return this.#words.load(this.#base + REG.CONNECTOR_EPOCH) >>> 0;
  }

  get(): ConnectorState {
    for (;;) {
      const { epoch } = this;
      const state = this.#read(epoch);
      // A record is written over when there have been two changes.
      if (this.epoch === epoch) return state;
    }
  }

  /** Puts a state in force. Under CONNECTOR_LOCK; the first by the CRTC, before anybody else is there. */
  put(
    status: ConnectorStatus,
    modes: readonly DisplayMode[],
    epoch: number = this.epoch + 1,
  ): void {
    const words = this.#words;
    const at = this.#at(epoch);
    words.set(at + CONNECTOR.STATUS, STATUS[status]);
    words.set(at + CONNECTOR.COUNT, modes.length);
    modes.forEach(({ hdisplay, vdisplay, vrefresh }, i) => {
      words.set(at + CONNECTOR.MODES + 3 * i, hdisplay);
      words.set(at + CONNECTOR.MODES + 3 * i + 1, vdisplay);
      words.set(at + CONNECTOR.MODES + 3 * i + 2, vrefresh);
    });
    words.store(this.#base + REG.CONNECTOR_EPOCH, epoch | 0);
  }

  #read(epoch: number): ConnectorState {
    const words = this.#words;
    const at = this.#at(epoch);
    const code = words.get(at + CONNECTOR.STATUS);
    const status =
      code === STATUS.connected
        ? 'connected'
        : code === STATUS.unknown
          ? 'unknown'
          : 'disconnected';
    const read = (i: number, field: number): number =>
      words.get(at + CONNECTOR.MODES + 3 * i + field);
    const triples = Array.from(
      { length: words.get(at + CONNECTOR.COUNT) },
      (_, i) => [read(i, 0), read(i, 1), read(i, 2)] as const,
    );
    // While it is written over, numbers may be of no mode.
    const whole = this.epoch === epoch ? triples : [];
    return { status, modes: whole.map((triple) => makeMode(...triple)), epoch };
  }

  #at(epoch: number): number {
    return this.#base + REG.CONNECTORS + (epoch & 1) * CONNECTOR.WORDS;
  }
}
