/**
 * A process of the peers' tests: decodes a stream of a few packets with whatever peers its
 * environment has, and prints what came of it. Packets are 16x16 pictures of one grey, see stand-ins.ts.
 */
import { DmaBufError } from '@dmabuf/core';
import { joinNalUnits } from '../../bitstream/annexb.js';
import { writePps, writeSps } from '../../bitstream/test/bit-writer.js';
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

const fourcc = process.env['DMABUF_TEST_FORMAT'] ?? 'HEVC';

/** A NAL unit: an IDR picture, or one that refers to others. */
function slice(grey: number, idr: boolean): Uint8Array {
  if (fourcc === 'H264') return Uint8Array.of(idr ? 0x65 : 0x41, 1, grey);
  return Uint8Array.of((idr ? 19 : 1) << 1, 1, grey);
}

/** `I` or `p` and the grey of each packet; `S`: the parameter sets of H.264 High profile. */
const stream = (process.env['DMABUF_TEST_STREAM'] ?? '').split(' ').map((text, i) => {
  const units = text.startsWith('S')
    ? [writeSps({ profile: 100 }), writePps()]
    : [slice(Number.parseInt(text.slice(1), 10), text.startsWith('I'))];
  return { data: joinNalUnits(units), timestamp: 10 * i };
});

const report = {
  listed: listedCodecs().map((codec) => codec.fourcc),
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
  const decoder = await codecOf(fourcc).open();
  report.name = decoder.name;
  for (const each of stream) note(await decoder.decode(each));
  note(await decoder.drain());
  await decoder.close();
} catch (error) {
  if (!(error instanceof DmaBufError)) throw error;
  report.error = error.message;
}
process.stdout.write(JSON.stringify(report));
