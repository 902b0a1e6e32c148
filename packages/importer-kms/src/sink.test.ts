import { DmaBufError } from '@dmabuf/core';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { PNG } from 'pngjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { OutputFile } from './output-file.js';
import type { ScanoutFrame } from './scanout-frame.js';
import { numberedName, openSink, OutputError } from './sink.js';
import { readY4m } from './y4m.js';

const FORMAT = { width: 8, height: 4, rate: [60, 1] } as const;
const folders: string[] = [];

function folder(): string {
  const made = fs.mkdtempSync(path.join(os.tmpdir(), 'dmabuf-sink-'));
  folders.push(made);
  return made;
}

function grey(level: number): ScanoutFrame {
  const pixels = new Uint32Array(8 * 4).fill(level * 0x010101);
  return { width: 8, height: 4, pitch: 32, pixels };
}

function luma(file: string): number[] {
  return readY4m(fs.readFileSync(file)).frames.map((frame) => frame[0] ?? -1);
}

function refusal(file: string): OutputError {
  try {
    openSink(file, FORMAT);
  } catch (error) {
    if (error instanceof OutputError) return error;
    throw error;
  }
  throw new Error(`${file} was accepted`);
}

function onlyIf(possible: boolean, name: string, run: () => void): void {
  if (possible) test(name, run);
  else test.skip(name, run);
}

test('a Y4M file appears under its name when closed, and not before', () => {
  const dir = folder();
  const file = path.join(dir, 'out.y4m');
  const sink = openSink(file, FORMAT);
  sink.frame(grey(0));
  sink.frame(grey(255));
  assert.not(fs.existsSync(file));
  assert.is(fs.readdirSync(dir).length, 1);
  sink.close();
  sink.close();
  sink.abort();
  assert.equal(fs.readdirSync(dir), ['out.y4m']);
  assert.equal(luma(file), [16, 235]);
  assert.is(sink.frames, 2);
});

test('an aborted Y4M file holds the frames that were whole', () => {
  const file = path.join(folder(), 'out.y4m');
  const sink = openSink(file, FORMAT);
  for (const level of [0, 255, 0]) sink.frame(grey(level));
  sink.abort();
  assert.equal(luma(file), [16, 235, 16]);
});

test('an output given up in the middle of a frame is cut back to the last whole one', () => {
  const dir = folder();
  const file = new OutputFile(path.join(dir, 'x.bin'));
  file.write(Buffer.from('whole'));
  file.markWhole();
  file.write(Buffer.from('torn'));
  file.abort();
  assert.not(file.isOpen);
  assert.is(fs.readFileSync(path.join(dir, 'x.bin'), 'utf8'), 'whole');
  assert.throws(() => file.write(Buffer.from('more')), TypeError);
});

test('with no frame an abort leaves nothing behind and an old file in place', () => {
  const dir = folder();
  const old = path.join(dir, 'old.y4m');
  fs.writeFileSync(old, 'old');
  openSink(old, FORMAT).abort();
  openSink(path.join(dir, 'new.y4m'), FORMAT).abort();
  openSink(path.join(dir, 'new.png'), FORMAT).abort();
  openSink(path.join(dir, 'new.png'), FORMAT).close();
  assert.equal(fs.readdirSync(dir), ['old.y4m']);
  assert.is(fs.readFileSync(old, 'utf8'), 'old');
});

test('a PNG shows the last frame, though its memory has been used again since', () => {
  for (const end of ['close', 'abort'] as const) {
    const dir = folder();
    const file = path.join(dir, 'out.PNG');
    const sink = openSink(file, FORMAT);
    const frame = grey(10);
    sink.frame(frame);
    frame.pixels.fill(0x203040);
    sink.frame(frame);
    frame.pixels.fill(0);
    sink[end]();
    sink.close();
    assert.equal(fs.readdirSync(dir), ['out.PNG']);
    const png = PNG.sync.read(fs.readFileSync(file));
    assert.equal([...png.data.subarray(0, 4)], [0x20, 0x30, 0x40, 255]);
    assert.is(sink.frames, 2);
    assert.throws(() => sink.frame(frame), TypeError);
  }
});

test('a numbered name gives every frame a PNG of its own, from 1', () => {
  const dir = folder();
  const sink = openSink(path.join(dir, 'f-%03d.png'), FORMAT);
  for (const level of [1, 2, 3]) sink.frame(grey(level));
  sink.close();
  assert.equal(fs.readdirSync(dir), ['f-001.png', 'f-002.png', 'f-003.png']);
  assert.is(PNG.sync.read(fs.readFileSync(path.join(dir, 'f-002.png'))).data[0], 2);
  assert.is(numberedName('%d.png', 12), '12.png');
  const unused = folder();
  openSink(path.join(unused, '%d.png'), FORMAT).close();
  assert.equal(fs.readdirSync(unused), []);
});

test('another ending is EINVAL that names the accepted ones', () => {
  assert.throws(
    () => openSink('out.mp4', FORMAT),
    (error: unknown) =>
      error instanceof DmaBufError && error.code === 'EINVAL' && /\.png.*\.y4m/.test(error.message),
  );
});

test('what cannot be written is refused up front, with nothing left behind', () => {
  const dir = folder();
  fs.mkdirSync(path.join(dir, 'sub.png'));
  fs.writeFileSync(path.join(dir, 'plain'), '');
  const isFolder = refusal(path.join(dir, 'sub.png'));
  assert.is(isFolder.code, 'EISDIR');
  assert.match(
    isFolder.message,
    /^EISDIR: illegal operation on a directory, open: output ".*sub\.png": it is a folder/,
  );
  const missing = refusal(path.join(dir, 'nowhere', 'x.y4m'));
  assert.is(missing.code, 'ENOENT');
  assert.is(missing.errno, -os.constants.errno.ENOENT);
  assert.match(missing.message, /create the folder first/);
  assert.ok(/^(ENOTDIR|ENOENT)$/.test(refusal(path.join(dir, 'plain', 'x.png')).code));
  assert.is(refusal(path.join(dir, `${'n'.repeat(300)}.png`)).code, 'ENAMETOOLONG');
  assert.equal(fs.readdirSync(dir), ['plain', 'sub.png']);
});

const mayWriteAll = process.getuid?.() === 0 || process.platform === 'win32';
if (mayWriteAll) process.stdout.write('# skip: EACCES needs a user who is refused something\n');
onlyIf(!mayWriteAll, 'a folder or file without write permission is EACCES', () => {
  const dir = folder();
  fs.writeFileSync(path.join(dir, 'locked.png'), '', { mode: 0o444 });
  assert.is(refusal(path.join(dir, 'locked.png')).code, 'EACCES');
  fs.chmodSync(dir, 0o555);
  const refused = refusal(path.join(dir, 'new.y4m'));
  fs.chmodSync(dir, 0o755);
  assert.is(refused.code, 'EACCES');
});

const devices = fs.existsSync('/dev/full');
if (!devices) process.stdout.write('# skip: no /dev/full here\n');
onlyIf(devices, 'a full disk is ENOSPC, and a device is never renamed over', () => {
  const link = path.join(folder(), 'full.y4m');
  fs.symlinkSync('/dev/full', link);
  const error = refusal(link);
  assert.is(error.code, 'ENOSPC');
  assert.match(error.message, /disk is full/);
  assert.ok(fs.statSync('/dev/full').isCharacterDevice());
});

test('a symbolic link stays one, and its target is replaced', () => {
  const dir = folder();
  const target = path.join(dir, 'target.y4m');
  const link = path.join(dir, 'link.y4m');
  fs.writeFileSync(target, 'old');
  try {
    fs.symlinkSync(target, link);
  } catch {
    process.stdout.write('# skip: no symbolic links here\n');
    return;
  }
  const sink = openSink(link, FORMAT);
  sink.frame(grey(255));
  sink.close();
  assert.ok(fs.lstatSync(link).isSymbolicLink());
  assert.equal(luma(target), [235]);
});

test.after(() => {
  for (const made of folders) fs.rmSync(made, { recursive: true, force: true });
});

test.run();
