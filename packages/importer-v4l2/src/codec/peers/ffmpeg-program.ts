/**
 * The ffmpeg program of the system (5.1 or newer), found in PATH, or named by DMABUF_FFMPEG. One run a
 * group of pictures; packets and pictures go through pipes, so that nothing is left on disk.
 */
import { spawn } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { DmaBufError } from '@dmabuf/core';
import type { DecoderBackend } from './backend.js';
import { GroupDecoder } from './group-decoder.js';

const FORMATS = ['AV01', 'H264', 'HEVC', 'MPG1', 'MPG2'];

/** Arguments between input and output that every run of ffmpeg has. */
export const DECODE_ARGS: readonly string[] = [
  ...['-map', '0:v:0', '-fps_mode', 'passthrough', '-vf', 'setfield=prog'],
  ...['-pix_fmt', 'yuv420p', '-f', 'yuv4mpegpipe'],
];

/** Where the program is; undefined where there is none. */
export function findFfmpeg(): string | undefined {
  const named = process.env['DMABUF_FFMPEG'];
  if (named !== undefined && named !== '') return isProgram(named) ? named : undefined;
  const file = process.platform === 'win32' ? 'ffmpeg.exe' : 'ffmpeg';
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, file)).find(isProgram);
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function run(program: string, input: Uint8Array, demuxer: string): Promise<Uint8Array> {
  const from = ['-nostdin', '-v', 'error', '-f', demuxer, '-i', 'pipe:0'];
  const args = [...from, ...DECODE_ARGS, 'pipe:1'];
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], windowsHide: true });
    const out: Buffer[] = [];
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(0, 2000);
    });
    // It may end before it has read everything; its exit code tells why.
    child.stdin.on('error', () => {});
    child.on('error', (error) => reject(failure(error.message)));
    child.on('close', (code, signal) => {
      if (code === 0) resolve(Buffer.concat(out));
      else reject(failure(`it ended with ${signal ?? `code ${code}`}: ${said.trim()}`));
    });
    child.stdin.end(input);
  });
}

function failure(detail: string): DmaBufError {
  return new DmaBufError('EIO', 'decode', detail);
}

export const ffmpegProgram: DecoderBackend = {
  name: 'ffmpeg',
  install: 'install ffmpeg 5.1 or newer (apt install ffmpeg, brew install ffmpeg)',
  takes: (fourcc) => FORMATS.includes(fourcc),
  present: () => findFfmpeg() !== undefined,
  async open(format, header) {
    const program = findFfmpeg();
    if (program === undefined) {
      throw new DmaBufError('ENOENT', 'open_codec', 'there is no ffmpeg in PATH');
    }
    return new GroupDecoder('ffmpeg', format, header, (file, demuxer) =>
      run(program, file, demuxer),
    );
  },
};
