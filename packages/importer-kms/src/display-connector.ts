/**
 * The connector as a thread sees it: its status and modes, and being told when they change (GETCONNECTOR, and the
 * HOTPLUG uevent of drm_sysfs_connector_hotplug_event). A wait is a job in a line of this Display's own.
 */
import { type Context, DmaBufError, type Fence } from '@dmabuf/core';
import {
  ConnectorRecords,
  type ConnectorState,
  type ConnectorStatus,
  isConnectorStatus,
} from './connector.js';
import type { DisplayPorts } from './display-ports.js';
import { HOTPLUG_TAG } from './hotplug-waits.js';
import type { DisplayMode } from './mode.js';
import { toMode } from './options.js';
import { CONNECTOR_MODES, REG } from './registers.js';

/** A connector (`struct drm_mode_get_connector`). */
export interface Connector extends ConnectorState {
  /** DRM object id. */
  readonly id: number;
  /** `Virtual-1`. */
  readonly name: string;
}

/** The screen that is plugged in. */
export interface PlugOptions {
  /** Its modes, the preferred one first, 1 to 16. Default: those of the screen that was there last. */
  readonly modes?: readonly (string | DisplayMode)[];
}

export class ConnectorPort {
  readonly #ports: DisplayPorts;
  readonly #records: ConnectorRecords;
  /** The epoch that this Display's caller knows of. */
  #seen: number;
  #line: Context | undefined;
  #wait: Fence | undefined;

  constructor(ports: DisplayPorts) {
    this.#ports = ports;
    this.#records = new ConnectorRecords(ports.door.words, ports.door.base);
    this.#seen = this.#records.epoch;
  }

  /** See {@link Display.getConnector}. */
  get(): Connector {
    const { id, name } = this.#ports.objects.connector;
    const state = this.#records.get();
    this.#seen = state.epoch;
    return { id, name, ...state };
  }

  /** See {@link Display.setConnectorStatus}. */
  set(status: ConnectorStatus, { modes }: PlugOptions): void {
    if (!isConnectorStatus(status)) {
      const detail = `status '${String(status)}' is none of 'connected', 'disconnected', 'unknown'`;
      throw new DmaBufError('EINVAL', 'connector_status', detail);
    }
    const given = modes?.map(toMode);
    if (given !== undefined && (given.length === 0 || given.length > CONNECTOR_MODES)) {
      const detail = `${given.length} modes; a screen has 1 to ${CONNECTOR_MODES}`;
      throw new DmaBufError('EINVAL', 'connector_status', detail);
    }
    this.#change((now) => {
      const next = status === 'disconnected' ? [] : (given ?? this.#known(now));
      if (status === now.status && given === undefined) return;
      this.#records.put(status, next);
    });
  }

  /**
   * See {@link Display.failLink}. The state first, then the event: who is told finds it. Who dies in between has
   * told nobody, and whoever looks finds it all the same.
   */
  failLink(): void {
    const { committed } = this.#ports;
    this.#ports.locked(() => committed.put([], { ...committed.crtc, linkBad: true }));
    this.#change(({ status, modes }) => this.#records.put(status, modes));
  }

  /** See {@link Display.waitHotplug}. */
  wait(timeout: number): Connector {
    while (this.#records.epoch === this.#seen) this.#fence().wait(timeout);
    return this.get();
  }

  /** See {@link Display.nextHotplug}. */
  async next(): Promise<Connector> {
    while (this.#records.epoch === this.#seen) await this.#fence().settled();
    return this.get();
  }

  /** Ends the line if nobody waits on it; else it goes with the process. */
  close(): void {
    if (this.#line?.submitted === this.#line?.completed) this.#line?.close();
    this.#line = undefined;
  }

  /** Makes a change of the records, and has those told who wait for one. */
  #change(make: (now: ConnectorState) => void): void {
    const { locks, base, words } = this.#ports.door;
    locks.lock(base + REG.CONNECTOR_LOCK);
    try {
      make(this.#records.get());
    } finally {
      locks.unlock(base + REG.CONNECTOR_LOCK);
    }
    this.#ports.door.ring(words.load(base + REG.CRTC_ACTOR));
  }

  /** The screen that is there, or the one that the display was booted with. */
  #known({ modes }: ConnectorState): readonly DisplayMode[] {
    return modes.length > 0 ? modes : [this.#ports.settings.mode];
  }

  /** Signals when the connector has changed since it was last seen here. */
  #fence(): Fence {
    const { machine, crtc, path } = this.#ports;
    this.#line ??= machine.createContext(crtc.target, `${path} hotplug`);
    if (this.#wait === undefined || this.#wait.status !== 0) {
      this.#wait = this.#line.submit({ payload: [HOTPLUG_TAG, this.#seen] });
    }
    return this.#wait;
  }
}
