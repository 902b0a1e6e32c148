/** Writes AVI files for tests, chunk by chunk. */

/** A chunk, padded to an even size. */
export function chunk(id: string, data: Uint8Array): Uint8Array {
  const out = Buffer.alloc(8 + data.length + (data.length & 1));
  out.write(id, 'latin1');
  out.writeUInt32LE(data.length, 4);
  out.set(data, 8);
  return Uint8Array.from(out);
}

/** A list (or RIFF chunk) of chunks. */
export function list(type: string, chunks: readonly Uint8Array[], id = 'LIST'): Uint8Array {
  return chunk(
    id,
    Uint8Array.from([...Buffer.from(type, 'latin1'), ...chunks.flatMap((c) => [...c])]),
  );
}

export interface AviFields {
  readonly width: number;
  readonly height: number;
  readonly rate: readonly [num: number, den: number];
  readonly fourcc?: string;
  readonly soundFirst?: boolean;
}

function header(kind: string, [num, den]: readonly [number, number]): Uint8Array {
  const strh = Buffer.alloc(56);
  strh.write(kind, 'latin1');
  strh.writeUInt32LE(den, 20);
  strh.writeUInt32LE(num, 24);
  return chunk('strh', strh);
}

function format({ width, height, fourcc = 'MJPG' }: AviFields): Uint8Array {
  const strf = Buffer.alloc(40);
  strf.writeUInt32LE(40, 0);
  strf.writeInt32LE(width, 4);
  strf.writeInt32LE(height, 8);
  strf.write(fourcc, 16, 'latin1');
  return chunk('strf', strf);
}

/** An AVI file with one video stream (behind one of sound), whose movi list has `chunks`. */
export function aviFile(fields: AviFields, chunks: readonly Uint8Array[]): Uint8Array {
  const video = list('strl', [header('vids', fields.rate), format(fields)]);
  const sound = list('strl', [header('auds', [1, 1]), chunk('strf', new Uint8Array(18))]);
  const streams = fields.soundFirst === true ? [sound, video] : [video];
  const hdrl = list('hdrl', [chunk('avih', new Uint8Array(56)), ...streams]);
  return list('AVI ', [hdrl, list('movi', chunks)], 'RIFF');
}
