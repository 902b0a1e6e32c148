/**
 * A process of the peers' tests: decodes an H.265 stream of a few packets with whatever peers its
 * environment has, and prints what came of it. Packets are 16x16 pictures of one grey, see stand-ins.ts.
 */
import { DmaBufError } from '@dmabuf/core';
import { codecOf, listedCodecs, type Decoded } from '../index.js';
import { tightLayout } from '../planes.js';

/** What the process prints, as JSON. */
export interface PeerReport {
  /** Formats that ENUM_FMT lists. */
  readonly listed: readonly string[];
  /** Of the decoder that was opened. */
  readonly name: string;
  /** Timestamp, grey, damaged. */
  readonly pictures: readonly (readonly [number, number, boolean])[];
  readonly faults: readonly string[];
  /** Why it could not be opened. */
  readonly error: string;
}

/** Annex B: an IDR picture, or one that refers to others. */
function packet(grey: number, idr: boolean): Uint8Array {
  return Uint8Array.of(0, 0, 0, 1, (idr ? 19 : 1) << 1, 1, grey);
}

/** `grey` of each packet; capital: IDR. */
const stream = (process.env['DMABUF_TEST_STREAM'] ?? '').split(' ').map((text, i) => {
  const grey = Number.parseInt(text.slice(1), 10);
  return { data: packet(grey, text.startsWith('I')), timestamp: 10 * i };
});

const report = {
  listed: listedCodecs().map(({ fourcc }) => fourcc),
  name: '',
  pictures: [] as [number, number, boolean][],
  faults: [] as string[],
  error: '',
};

function note({ pictures, fault }: Decoded): void {
  if (fault !== undefined) report.faults.push(fault.message);
  for (const picture of pictures) {
    const { planes, byteLength } = tightLayout('YU12', picture.width, picture.height);
    const bytes = new Uint8Array(byteLength);
    if (!picture.damaged) picture.copyTo(bytes, planes);
    report.pictures.push([picture.timestamp, bytes[0] ?? 0, picture.damaged]);
  }
}

try {
  const decoder = await codecOf('HEVC').open();
  report.name = decoder.name;
  for (const each of stream) note(await decoder.decode(each));
  note(await decoder.drain());
  await decoder.close();
} catch (error) {
  if (!(error instanceof DmaBufError)) throw error;
  report.error = error.message;
}
process.stdout.write(JSON.stringify(report));
