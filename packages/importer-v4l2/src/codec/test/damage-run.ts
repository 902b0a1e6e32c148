/**
 * Decodes a clip with damaged packets and accounts for every one of them; runs in any thread.
 */
import { codecOf } from '../index.js';
import { damagePackets, feed, loadClip, pictureMd5 } from './clips.js';

export interface DamageRun {
  readonly packets: number;
  readonly damaged: number;
  /** Packets that gave a picture, good or marked damaged. */
  readonly pictures: number;
  readonly marked: number;
  /** Packets that gave none, with a fault, by errno. */
  readonly faults: Readonly<Record<string, number>>;
  /** Packets that gave neither picture nor fault. */
  readonly silent: number;
  /** Pictures with another packet's timestamp, or more than one of a packet. */
  readonly misplaced: number;
  /** MD5s by timestamp. */
  readonly md5s: ReadonlyMap<number, string>;
}

export async function damageRun(clipName: string, seed: number, share: number): Promise<DamageRun> {
  const clip = await loadClip(clipName);
  const { packets, hit } = damagePackets(clip.packets, seed, share);
  const decoder = await codecOf(clip.fourcc).open();
  const faults: Record<string, number> = {};
  const md5s = new Map<number, string>();
  let pictures = 0;
  let marked = 0;
  let silent = 0;
  let misplaced = 0;
  await feed(decoder, packets, (decoded, packet) => {
    if (decoded.fault !== undefined) {
      const { code } = decoded.fault;
      faults[code] = (faults[code] ?? 0) + 1;
    } else if (decoded.pictures.length === 0) {
      silent++;
    }
    if (decoded.pictures.length > (decoded.fault === undefined ? 1 : 0)) misplaced++;
    for (const picture of decoded.pictures) {
      pictures++;
      if (picture.damaged) marked++;
      if (picture.timestamp !== packet.timestamp) misplaced++;
      md5s.set(picture.timestamp, pictureMd5(picture));
    }
  });
  await decoder.close();
  const { length } = packets;
  return { packets: length, damaged: hit.size, pictures, marked, faults, silent, misplaced, md5s };
}
