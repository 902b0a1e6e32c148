/** What cannot be played gets one line that says what is wrong and what is accepted, and exit code 2. */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { clipPath, runPlayer, withFolder } from './run-player.test-helper.js';

async function refused(args: readonly string[], ...says: RegExp[]): Promise<void> {
  const { code, stdout, stderr } = await runPlayer(args);
  assert.is(code, 2, `${args.join(' ')}: ${stderr}`);
  assert.is(stdout, '');
  assert.match(stderr, /^video-player: [^\n]+\n$/);
  for (const pattern of says) assert.match(stderr, pattern);
}

test('a flag that makes no sense', async () => {
  await refused(['--mode', '9x9@60'], /width 9 is not between 64 and 8192/, /1280x720@60/);
  await refused(['--nonsense'], /--help lists the flags/);
});

test('a file that is not there, or is no file, or is empty', async () => {
  await withFolder(async (folder) => {
    await refused(['--input', join(folder, 'none.mp4')], /none\.mp4: no such file/);
    await refused(['--input', folder], /it is not a file/);
    writeFileSync(join(folder, 'empty.mp4'), '');
    await refused(['--input', join(folder, 'empty.mp4')], /the file is empty/, /accepted: MP4/);
  });
});

test('a file that is no video', async () => {
  await withFolder(async (folder) => {
    const text = join(folder, 'text.mp4');
    writeFileSync(text, 'once upon a time '.repeat(1000));
    await refused(['--input', text], /it is not a video file/, /accepted: MP4/);
  });
});

/** The tiny clip with its avcC (and SPS) claiming another profile. */
function withProfile(folder: string, profile: number): string {
  const bytes = readFileSync(clipPath('dog-h264-tiny.mp4'));
  const at = bytes.indexOf('avcC', 0, 'latin1') + 4;
  const [version, old, flags, level] = bytes.subarray(at, at + 4);
  assert.is(version, 1);
  const sps = Buffer.from([old ?? 0, flags ?? 0, level ?? 0]);
  for (let i = bytes.indexOf(sps, at); i >= 0; i = bytes.indexOf(sps, i + 1)) {
    bytes[i] = profile;
    bytes[i + 1] = 0;
  }
  const file = join(folder, `profile-${profile}.mp4`);
  writeFileSync(file, bytes);
  return file;
}

test('a profile that no decoder here handles, with what would do', async () => {
  await withFolder(async (folder) => {
    const file = withProfile(folder, 100);
    await refused(
      ['--input', file],
      /H\.264 High/,
      /Baseline/,
      /ffmpeg .*-profile:v baseline/,
      /examples\/media/,
    );
  });
});

test('an output that cannot be written', async () => {
  const clip = ['--input', clipPath('dog-h264-tiny.mp4')];
  await refused([...clip, '--out', 'x.mkv'], /--out must end in \.y4m/);
  await withFolder(async (folder) => {
    const nowhere = join(folder, 'none', 'x.y4m');
    await refused([...clip, '--out', nowhere], /--out: .*its folder does not exist/);
    await refused(
      [...clip, '--trace', join(folder, 'none', 't.json')],
      /--trace .*cannot be written/,
    );
    await refused([...clip, '--trace', folder], /--trace .*it is a folder/);
    mkdirSync(join(folder, 'x.png'));
    await refused([...clip, '--out', join(folder, 'x.png')], /--out: .*it is a folder/);
    assert.not(existsSync(nowhere));
  });
});

const title = 'an output in a folder that is not writable';
const notWritable = async () => {
  await withFolder(async (folder) => {
    chmodSync(folder, 0o500);
    const clip = ['--input', clipPath('dog-h264-tiny.mp4')];
    await refused([...clip, '--out', join(folder, 'x.y4m')], /--out: .*may not be written/);
    chmodSync(folder, 0o700);
  });
};
if (process.getuid?.() === 0 || process.platform === 'win32') {
  console.log('# skip: permissions do not bind root, nor anybody on Windows');
  test.skip(title, notWritable);
} else {
  test(title, notWritable);
}

test.run();
