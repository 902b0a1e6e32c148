#!/bin/bash
# Makes the sample clips of this folder from the phone video in Debian's package
# forensics-samples-files. See README.md for origin, licence and what is changed.
#   apt-get install ffmpeg && apt-get download forensics-samples-files
#   dpkg -x forensics-samples-files_*.deb extracted
#   ./make.sh extracted/usr/share/forensics-samples/original-files/movie1/VID_20191220_170832.mp4
set -euo pipefail
source_clip=$1
out=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ff() { ffmpeg -nostdin -v error -y "$@"; }

# 40 frames of the phone video (its first frame stands 0.18 s alone and is left out), forward
# and back without repeating the ends, looped to 180 frames at a constant 30 fps. Lossless.
ff -i "$source_clip" -an -sn -dn -map_metadata -1 -filter_complex "
  [0:v]trim=start_frame=1:end_frame=41,scale=1280:720:flags=lanczos,hqdn3d=2:2:4:4,
    setpts=N/30/TB,split[a][b];
  [b]reverse,trim=start_frame=1:end_frame=39,setpts=N/30/TB[back];
  [a][back]concat=n=2,fps=30,loop=loop=2:size=78,trim=end_frame=180,setpts=N/30/TB[v]" \
  -map '[v]' -r 30 -c:v ffv1 -color_range tv -colorspace bt709 -color_primaries bt709 -color_trc bt709 \
  "$work/loop.mkv"
ff -i "$work/loop.mkv" -vf scale=320:180:flags=lanczos -frames:v 60 -c:v ffv1 "$work/tiny.mkv"

colour=(-color_range tv -colorspace bt709 -color_primaries bt709 -color_trc bt709)
plain=(-an -map_metadata -1 -fflags +bitexact -flags:v +bitexact -pix_fmt yuv420p)

# H.264 constrained baseline: no B-frames, one reference, a key frame each second and nowhere else.
h264() { # input output crf gop
  ff -i "$1" "${plain[@]}" "${colour[@]}" -c:v libx264 -preset veryslow -threads 1 \
    -profile:v baseline -crf "$3" -g "$4" -keyint_min "$4" -sc_threshold 0 -bf 0 -refs 1 \
    -movflags +faststart "$2"
}
h264 "$work/loop.mkv" "$out/dog-h264.mp4" 25 30
h264 "$work/tiny.mkv" "$out/dog-h264-tiny.mp4" 28 15

# VP9 profile 0 and VP8: no hidden frames, so that each packet is one shown picture.
vpx() { # input output codec gop rate...
  local input=$1 output=$2 codec=$3 gop=$4
  shift 4
  local pass
  for pass in 1 2; do
    ff -i "$input" "${plain[@]}" "${colour[@]}" -c:v "$codec" -threads 1 -deadline good -cpu-used 1 \
      -g "$gop" -keyint_min "$gop" -auto-alt-ref 0 "$@" -pass "$pass" -passlogfile "$work/pass" \
      -f webm "$([ "$pass" = 1 ] && echo /dev/null || echo "$output")"
  done
}
vpx "$work/loop.mkv" "$out/dog-vp9.webm" libvpx-vp9 30 -b:v 0 -crf 30
vpx "$work/loop.mkv" "$out/dog-vp8.webm" libvpx 30 -b:v 780k -minrate 0 -maxrate 1500k -bufsize 3000k
vpx "$work/tiny.mkv" "$out/dog-vp9-tiny.webm" libvpx-vp9 15 -b:v 0 -crf 40

# MD5 of every decoded frame (tightly packed I420), by which tests check the decoders.
cd "$out"
for clip in dog-*.mp4 dog-*.webm; do
  ffmpeg -nostdin -v error -y -i "$clip" -fflags +bitexact -pix_fmt yuv420p -f framemd5 \
    "$clip.i420.framemd5"
done
ls -l "$out"
