/**
 * Stand-ins of the optional peers: small modules and a program, found by the same look-up, which "decode"
 * the packets of peer-main.ts: every NAL unit
 * whose second byte is 1 is a picture of 16x16 pixels, of the grey that its third byte says.
 * Grey 99 is damage, which costs a picture.
 */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const GREYS = `
const greys = (bytes) => {
  const found = [];
  for (let i = 0; i + 6 < bytes.length; i++)
    if (!bytes[i] && !bytes[i + 1] && !bytes[i + 2] && bytes[i + 3] === 1 && bytes[i + 5] === 1)
      found.push(bytes[i + 6]);
  return found.filter((grey) => grey !== 99);
};
const y4m = (list) => Buffer.concat([
  Buffer.from('YUV4MPEG2 W16 H16 F25:1 Ip C420jpeg\\n'),
  ...list.map((grey) => Buffer.concat([Buffer.from('FRAME\\n'), Buffer.alloc(384, grey)])),
]);
`;

const PROGRAM = `
const parts = [];
process.stdin.on('data', (part) => parts.push(part)).on('end', () => {
  const list = greys(Buffer.concat(parts));
  const format = process.argv[process.argv.indexOf('-f') + 1];
  const set = (Buffer.concat(parts)[4] & 31) === 7;
  if (format !== 'hevc' && !(format === 'h264' && set)) throw new Error('no format, or no parameter sets');
  if (list.includes(98)) { console.error('cannot do 98'); process.exit(1); }
  process.stdout.write(y4m(list));
});
`;

/** A program `ffmpeg` in `folder`. */
export function standInProgram(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, 'ffmpeg');
  writeFileSync(path, `#!${process.execPath}\n${GREYS}${PROGRAM}`);
  chmodSync(path, 0o755);
}

function writePackage(folder: string, name: string, files: Readonly<Record<string, string>>): void {
  const home = join(folder, name);
  mkdirSync(home, { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(join(home, file), text);
}

/** @ffmpeg/core, which starts where there is a \`self\` with a location, and has files. */
export function standInCore(folder: string): void {
  writePackage(folder, '@ffmpeg/core', {
    'package.json': JSON.stringify({
      name: '@ffmpeg/core',
      exports: { '.': './core.cjs', './wasm': './core.wasm' },
    }),
    'core.wasm': 'wasm',
    'core.cjs': `${GREYS}
module.exports = async ({ wasmBinary }) => {
  if (self.location.href === undefined || String(wasmBinary) !== 'wasm') throw new Error('not so');
  const files = new Map();
  return {
    FS: {
      writeFile: (path, data) => files.set(path, data),
      readFile: (path) => files.get(path),
      unlink: (path) => files.delete(path),
    },
    exec: (...args) => {
      files.set(args.at(-1), y4m(greys(files.get(args[args.indexOf('-i') + 1]))));
      return 0;
    },
    reset() {},
    setLogger() {},
  };
};
`,
  });
}

/** node-av, which holds one picture back. */
export function standInNodeAv(folder: string, loads = true): void {
  const lib = `${GREYS}
export class Packet { data = null; pts = 0n; alloc() {} free() {} unref() { this.data = null; } }
export class Frame {
  width = 16; height = 16; format = 0; keyFrame = 0; colorRange = 1; colorSpace = 1; decodeErrorFlags = 0;
  bestEffortTimestamp = 0n; linesize = [32, 16, 16]; data = null; pts = 0n;
  alloc() {} free() { this.data = null; }
}
export class Codec { static findDecoder(id) { return id === 7 || id === 8 ? { id } : null; } }
export class CodecContext {
  held = []; ready = []; threadCount = 0;
  allocContext3() {}
  open2Sync() { return 0; }
  freeContext() {}
  flushBuffers() { this.held = []; this.ready = []; }
  sendPacketSync(packet) {
    if (packet === null) { this.ready.push(...this.held.splice(0)); return 0; }
    const grey = greys(packet.data).at(-1);
    if (grey === undefined) return -1094995529;
    this.held.push([grey, packet.pts]);
    if (this.held.length > 1) this.ready.push(this.held.shift());
    return 0;
  }
  receiveFrameSync(frame) {
    const next = this.ready.shift();
    if (next === undefined) return -11;
    frame.pts = next[1];
    frame.data = [512, 128, 128].map((size) => Buffer.alloc(size, next[0]));
    return 0;
  }
}
`;
  writePackage(folder, 'node-av', {
    'package.json': JSON.stringify({
      name: 'node-av',
      type: 'module',
      exports: { '.': './lib.js', './lib': './lib.js', './constants': './constants.js' },
    }),
    'lib.js': loads ? lib : 'throw new Error("no binary for this platform");',
    'constants.js': 'export const AV_CODEC_ID_HEVC = 7, AV_CODEC_ID_H264 = 8;',
  });
}
