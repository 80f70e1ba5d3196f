"""Sound to a media file's bytes: the same bytes from the same samples, whatever the format.

Container muxers put a random stream number (Ogg) or their version into a file unless told to be bit-exact:
all go through FFmpeg with that flag, and Ogg Vorbis, which FFmpeg's builds here cannot encode well, is encoded by
libsndfile and then put into a new container without being encoded again.
"""

import io
from collections.abc import Callable
from typing import cast

import av
import numpy as np
import soundfile

_BIT_EXACT = {"fflags": "+bitexact"}
_EXACT_CODEC = {"flags": "+bitexact"}
_CHUNK = 8192  # samples a frame given to an encoder


def _sndfile(container: str, subtype: str) -> Callable[[np.ndarray, int], bytes]:
    def encode(sound: np.ndarray, rate_hz: int) -> bytes:
        file = io.BytesIO()
        soundfile.write(file, sound, rate_hz, format=container, subtype=subtype)
        return file.getvalue()

    return encode


def _ogg(sound: np.ndarray, rate_hz: int) -> bytes:
    vorbis = io.BytesIO(_sndfile("OGG", "VORBIS")(sound, rate_hz))
    file = io.BytesIO()
    with (
        av.open(vorbis, "r") as source,
        av.open(file, "w", format="ogg", container_options=_BIT_EXACT) as target,
    ):
        stream = source.streams.audio[0]
        copy = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None:  # the last packet is empty: it flushes decoders
                packet.stream = copy
                target.mux(packet)
    return file.getvalue()


def _ffmpeg(container: str, codec: str, picture: bool = False) -> Callable[[np.ndarray, int], bytes]:
    def encode(sound: np.ndarray, rate_hz: int) -> bytes:
        file = io.BytesIO()
        layout = "stereo" if sound.shape[1] == 2 else "mono"
        with av.open(file, "w", format=container, container_options=_BIT_EXACT) as target:
            stream = cast(
                av.AudioStream, target.add_stream(codec, rate=rate_hz, options=_EXACT_CODEC, layout=layout)
            )
            stream.bit_rate = 96_000
            video = target.add_stream("mpeg4", rate=1, options=_EXACT_CODEC) if picture else None
            if video is not None:
                video.width, video.height, video.pix_fmt, video.thread_count = 64, 48, "yuv420p", 1
                for second in range(max(1, len(sound) // rate_hz)):
                    still = np.full((48, 64, 3), (60 + 12 * second, 90, 140), np.uint8)
                    frame = av.VideoFrame.from_ndarray(still, format="rgb24")
                    frame.pts = second
                    target.mux(video.encode(frame))
                target.mux(video.encode())
            for start in range(0, len(sound), _CHUNK):
                planes = np.ascontiguousarray(sound[start : start + _CHUNK].T)
                chunk = av.AudioFrame.from_ndarray(planes, format="fltp", layout=layout)
                chunk.sample_rate, chunk.pts = rate_hz, start
                target.mux(stream.encode(chunk))
            target.mux(stream.encode())
        return file.getvalue()

    return encode


ENCODERS: dict[str, Callable[[np.ndarray, int], bytes]] = {
    "wav": _sndfile("WAV", "PCM_16"),
    "flac": _sndfile("FLAC", "PCM_16"),
    "ogg": _ogg,
    "mp3": _ffmpeg("mp3", "libmp3lame"),
    "m4a": _ffmpeg("ipod", "aac"),
    "mp4": _ffmpeg("mp4", "aac", picture=True),
}


def encode(sound: np.ndarray, rate_hz: int, extension: str) -> bytes:
    """A media file. `sound` is (n, channels) float32 in [-1, 1], one or two channels; `extension` a key of ENCODERS."""
    return ENCODERS[extension](sound, rate_hz)
