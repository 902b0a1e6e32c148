/**
 * What `boot()` is told, looked at before anything is made: types of all options, names of tables, drivers
 * and devices as their packages should have made them.
 */
import { wantArray, wantFlags, wantNumber, wantObject, wantString, wrongType } from '../args.js';
import { checkReach } from '../dmabuf/reach.js';
import { DmaBufError } from '../errno.js';
import { DEFAULT_TABLES } from '../memory/layout.js';
import { DEFAULT_LIMITS, MAX_LIMIT_MS } from '../sync/limits.js';
import type { BootOptions } from './boot.js';
import type { DeviceSpec, DriverSpec } from './spec.js';

/** As long as nobody notices that a machine is being shut down. */
const MAX_SPIN_US = 100_000;

/** TypeError names the option; EEXIST: two devices of one name or path. */
export function checkOptions(options: BootOptions): void {
  wantObject('boot', 'options', options);
  const { drivers = [], clock, coherency, pool } = options;
  wantArray('boot', 'drivers', drivers);
  drivers.forEach(checkDriver);
  checkUnique(drivers.flatMap((driver) => driver.devices));
  if (pool !== undefined) wantNumber('boot', 'pool', pool);
  checkHeap(options.heapMb);
  checkUncollected(options.uncollected);
  checkSpin(options.spin);
  if (clock !== undefined && clock !== 'real' && clock !== 'manual') {
    throw wrongType('boot', 'clock', "'real' or 'manual'", clock);
  }
  if (coherency !== undefined && coherency !== 'coherent' && coherency !== 'noncoherent') {
    throw wrongType('boot', 'coherency', "'coherent' or 'noncoherent'", coherency);
  }
  wantFlags('boot', options, ['trace', 'guard']);
  checkTableNames(options.tables);
  checkLimits(options.limits);
  checkUrls(options.urls);
}

function checkHeap(heapMb: number | undefined): void {
  if (heapMb === undefined) return;
  wantNumber('boot', 'heapMb', heapMb);
  if (heapMb >= 16) return;
  throw new RangeError(`boot: heapMb must be at least 16, not ${heapMb}`);
}

function checkSpin(spin: BootOptions['spin']): void {
  if (spin === undefined || spin === 'auto') return;
  if (typeof spin !== 'number') throw wrongType('boot', 'spin', "a number of µs or 'auto'", spin);
  if (Number.isInteger(spin) && spin >= 0 && spin <= MAX_SPIN_US) return;
  throw new RangeError(
    `boot: spin must be an integer from 0 (none) to ${MAX_SPIN_US} µs, not ${spin}`,
  );
}

function checkUncollected(bytes: number | undefined): void {
  if (bytes === undefined) return;
  wantNumber('boot', 'uncollected', bytes);
  if (Number.isSafeInteger(bytes) && bytes >= 0 && bytes < 2 ** 41) return;
  throw new RangeError(`boot: uncollected must be an integer from 0 to 2 TiB, not ${bytes}`);
}

function checkTableNames(tables: BootOptions['tables']): void {
  if (tables === undefined) return;
  wantObject('boot', 'tables', tables);
  const unknown = Object.keys(tables).find((name) => !Object.hasOwn(DEFAULT_TABLES, name));
  if (unknown === undefined) return;
  const known = Object.keys(DEFAULT_TABLES).join(', ');
  throw new TypeError(`boot: tables.${unknown} is no table (tables: ${known})`);
}

function checkLimits(limits: BootOptions['limits']): void {
  if (limits === undefined) return;
  wantObject('boot', 'limits', limits);
  for (const [name, value] of Object.entries(limits)) {
    if (!Object.hasOwn(DEFAULT_LIMITS, name)) {
      const known = Object.keys(DEFAULT_LIMITS).join(', ');
      throw new TypeError(`boot: limits.${name} is no limit (limits: ${known})`);
    }
    wantNumber('boot', `limits.${name}`, value);
    if (Number.isInteger(value) && value >= 0 && value <= MAX_LIMIT_MS) continue;
    throw new RangeError(
      `boot: limits.${name} must be an integer from 0 (none) to ${MAX_LIMIT_MS} ms, not ${value}`,
    );
  }
}

function checkUrls(urls: BootOptions['urls']): void {
  if (urls === undefined) return;
  wantObject('boot', 'urls', urls);
  for (const name of ['enter', 'broker', 'device', 'reaper'] as const) {
    if (urls[name] !== undefined) wantString('boot', `urls.${name}`, urls[name]);
  }
}

function checkDriver(driver: DriverSpec, i: number): void {
  const at = `drivers[${i}]`;
  wantObject('boot', at, driver);
  wantString('boot', `${at}.name`, driver.name);
  wantString('boot', `${at}.module`, driver.module);
  const { words = 0 } = driver;
  wantNumber('boot', `${at}.words`, words);
  if (!Number.isInteger(words) || words < 0) {
    throw new RangeError(`boot: ${at}.words must be an integer of at least 0, not ${words}`);
  }
  wantArray('boot', `${at}.devices`, driver.devices);
  driver.devices.forEach((device, j) => checkDevice(device, `${at}.devices[${j}]`));
}

function checkDevice(device: DeviceSpec, at: string): void {
  wantObject('boot', at, device);
  for (const field of ['name', 'path', 'module'] as const) {
    wantString('boot', `${at}.${field}`, device[field]);
  }
  wantFlags('boot', device, ['async', 'protected']);
  if (device.reach !== undefined) checkReach('boot', `${at}.reach`, device.reach);
}

function checkUnique(devices: readonly DeviceSpec[]): void {
  for (const field of ['name', 'path'] as const) {
    const all = devices.map((device) => device[field]);
    const twice = all.find((value, i) => all.indexOf(value) !== i);
    if (twice === undefined) continue;
    const detail = `two devices have the ${field} '${twice}'; give each its own`;
    throw new DmaBufError('EEXIST', 'boot', detail);
  }
}
