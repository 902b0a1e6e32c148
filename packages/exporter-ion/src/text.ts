/** How numbers of bytes read in messages and tables. */

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** `1.5 MiB`; exact where it is a whole number of the unit, else to one decimal. */
export function bytesText(bytes: number): string {
  if (bytes === Infinity) return 'unlimited';
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = Number.isInteger(value) ? String(value) : value.toFixed(1);
  return `${digits} ${UNITS[unit]}`;
}
