/**
 * Decoders whose wasm traps: the packet is a fault, and a new context goes on at a key frame.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { joinNalUnits, splitNalUnits } from '../bitstream/annexb.js';
import type { Decoder, Packet } from './codec.js';
import { H264Decoder } from './h264.js';
import { H264Wasm, MAX_INPUT_BYTES } from './h264-wasm.js';
import { LibAvDecoder, VP9_CODEC } from './libav.js';
import { loadLibAv } from './libav-api.js';
import { frameMd5s, loadClip, pictureMd5 } from './test/clips.js';

/** MD5s of the pictures of packets, one each; '-' where there was a fault. */
async function md5s(decoder: Decoder, packets: readonly Packet[]): Promise<string[]> {
  const found: string[] = [];
  for (const packet of packets) {
    const { pictures, fault } = await decoder.decode(packet);
    found.push(...(fault === undefined ? pictures.map(pictureMd5) : ['-']));
  }
  return found;
}

test('h264bsd that traps is started anew, with the parameter sets it had', async () => {
  const name = 'dog-h264-tiny.mp4';
  const { packets } = await loadClip(name);
  const expected = frameMd5s(name);
  // Parameter sets once and never again, as some streams have them.
  const isHeader = (type: number): boolean => type === 7 || type === 8;
  const pick = (packet: Packet | undefined, headers: boolean): Uint8Array =>
    joinNalUnits(
      splitNalUnits(packet?.data ?? new Uint8Array(0))
        .filter(({ type }) => isHeader(type) === headers)
        .map(({ data }) => data),
    );
  const wasm = await H264Wasm.open();
  const decoder = new H264Decoder(wasm);
  decoder.configure(pick(packets[0], true));
  const bare = packets.map((packet) => ({ ...packet, data: pick(packet, false) }));
  assert.equal(await md5s(decoder, bare.slice(0, 3)), expected.slice(0, 3));
  wasm.bytes.fill(0xff); // its storage, heap and stack are rubbish now
  const after = await md5s(decoder, bare.slice(3));
  const firstGood = after.findIndex((md5) => md5 !== '-');
  assert.ok(firstGood > 0, 'the packet after the trap is a fault');
  assert.equal(after.slice(firstGood), expected.slice(3 + firstGood));
  decoder.close();
});

test('an access unit beyond h264decoder’s own 1 MiB buffer decodes; an absurd one is a fault', async () => {
  const name = 'dog-h264-tiny.mp4';
  const { packets } = await loadClip(name);
  const expected = frameMd5s(name);
  const padded = (packet: Packet | undefined, bytes: number): Packet => {
    const filler = new Uint8Array(bytes).fill(0xff);
    filler[0] = 12; // filler data
    const units = splitNalUnits(packet?.data ?? filler).map(({ data }) => data);
    return { timestamp: packet?.timestamp ?? 0, data: joinNalUnits([filler, ...units]) };
  };
  const decoder = new H264Decoder(await H264Wasm.open());
  const stream = [padded(packets[0], 5 << 20), ...packets.slice(1, 3)];
  assert.equal(await md5s(decoder, stream), expected.slice(0, 3));
  const { fault } = decoder.decode(padded(packets[3], MAX_INPUT_BYTES));
  assert.match(fault?.message ?? '', /^EIO.*are more than/);
  assert.equal(await md5s(decoder, packets.slice(0, 3)), expected.slice(0, 3));
  decoder.close();
});

test('libvpx that traps is loaded anew', async () => {
  const name = 'dog-vp9-tiny.webm';
  const { packets } = await loadClip(name);
  const expected = frameMd5s(name);
  let loads = 0;
  const decoder = await LibAvDecoder.open(VP9_CODEC, async () => {
    const libav = await loadLibAv('VP9');
    if (loads++ > 0) return libav;
    let sent = 0;
    const send = libav.avcodec_send_packet_sync.bind(libav);
    return Object.assign(libav, {
      avcodec_send_packet_sync: (context: number, packet: number): number => {
        if (++sent === 4) throw new WebAssembly.RuntimeError('memory access out of bounds');
        return send(context, packet);
      },
    });
  });
  assert.equal(await md5s(decoder, packets.slice(0, 5)), [...expected.slice(0, 3), '-', '-']);
  assert.is(loads, 2);
  assert.equal(await md5s(decoder, packets.slice(0, 3)), expected.slice(0, 3));
  decoder.close();
});

test.run();
