"""What is checked before a file gets its name: photos, masks, sound; and near duplicates."""

import io

import media
import numpy as np
import pytest
from PIL import Image

from pipelines.fetch import audio, fingerprints, photos
from pipelines.fetch.causes import Cause, Failure

RULES = photos.PhotoRules(min_side_px=64, max_pixels=1_000_000)


def cause(
    content: bytes, content_type: str = "image/jpeg", rules: photos.PhotoRules = RULES, form: str = "JPEG"
) -> Cause:
    with pytest.raises(Failure) as caught:
        photos.check(content, content_type, rules, form)
    return caught.value.cause


def test_photos() -> None:
    good = media.photo(1)
    fingerprint = photos.check(good, "image/jpeg", RULES)
    assert fingerprint is not None
    assert len(fingerprint) == 8
    assert photos.check(good, "", photos.PhotoRules(decode=False)) is None
    assert cause(b"<html>Not here</html>", "text/html") is Cause.BAD_CONTENT
    assert cause(good, "text/html") is Cause.BAD_CONTENT
    assert cause(media.mask(1), "image/png") is Cause.BAD_CONTENT
    assert cause(good[: len(good) // 2]) is Cause.DECODE_ERROR
    assert cause(media.photo(1, 160, 40)) is Cause.TOO_SMALL
    assert cause(media.photo(1, 1200, 1000)) is Cause.TOO_LARGE
    assert cause(good[:100] + b"\xff\xd9") is Cause.DECODE_ERROR
    spoiled = bytearray(good)
    spoiled[300:-2] = b""  # the header and an end marker, little between
    assert cause(bytes(spoiled)) is Cause.DECODE_ERROR
    assert cause(good[:1500] + b"\xff\xd9" + good[1500:]) is Cause.DECODE_ERROR


def test_a_decompression_bomb_is_refused_from_its_header() -> None:
    small = io.BytesIO()
    Image.new("1", (12_000, 12_000)).save(small, "PNG")
    assert len(small.getvalue()) < 200_000
    assert cause(small.getvalue(), "image/png", photos.PhotoRules(), "PNG") in (
        Cause.TOO_LARGE,
        Cause.DECODE_ERROR,
    )


def test_what_is_cut_is_long_enough_or_has_its_cause(tmp_path) -> None:
    path = tmp_path / "recording.wav"
    media.record(path, media.sound(6.5, 44_100), 44_100, "pcm_s16le")
    assert len(audio.cut(str(path), 3.0, 10.0)) == 56_000
    for start_s in (6.0, 6.5, 100.0):
        with pytest.raises(Failure, match="too_short"):
            audio.cut(str(path), start_s, 10.0)
    path.write_bytes(path.read_bytes()[:80_000])
    with pytest.raises(Failure, match="audio_truncated"):
        audio.cut(str(path), 0.0, 10.0)
    path.write_text("<html>nothing</html>")
    with pytest.raises(Failure, match="decode_error"):
        audio.cut(str(path), 0.0, 10.0)


def test_silence_and_clipping() -> None:
    rules = audio.AudioRules()
    sound = media.sound(2.0, 16_000)
    audio.check(sound, rules)
    with pytest.raises(Failure, match="silent"):
        audio.check(sound * 1e-4, rules)
    with pytest.raises(Failure, match="silent"):
        audio.check(np.zeros(16_000, np.float32), rules)
    with pytest.raises(Failure, match="clipped"):
        audio.check(np.clip(sound * 50, -1, 1), rules)


def test_photo_pairs_are_those_of_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2**63, 400, dtype=np.uint64)
    for number in range(100, 200):  # some lie near the first hundred
        flips = int(rng.integers(0, 7))
        bits = rng.choice(64, flips, replace=False)
        values[number] = values[number - 100] ^ np.uint64(sum(1 << int(bit) for bit in bits))
    hashes = {f"coco:{n}": int(value).to_bytes(8, "big") for n, value in enumerate(values)}
    expected = {
        (a, b, (int.from_bytes(hashes[a], "big") ^ int.from_bytes(hashes[b], "big")).bit_count())
        for a in hashes
        for b in hashes
        if a < b and (int.from_bytes(hashes[a], "big") ^ int.from_bytes(hashes[b], "big")).bit_count() <= 4
    }
    table = fingerprints.photo_pairs(hashes, max_bits=4)
    found = set(zip(*(table.column(name).to_pylist() for name in table.column_names), strict=True))
    assert found == expected
    assert len(found) > 50
    assert len(fingerprints.photo_pairs({})) == 0


def test_a_photo_rescaled_and_recompressed_is_found() -> None:
    hashes = {}
    for seed in range(40):
        content = media.photo(seed, 320, 240, 95)
        again = io.BytesIO()
        Image.open(io.BytesIO(content)).resize((256, 192)).save(again, "JPEG", quality=60)
        for name, one in ((f"coco:{seed}", content), (f"open_images:{seed}", again.getvalue())):
            hashes[name] = photos.check(one, "", RULES)
    table = fingerprints.photo_pairs(hashes)
    pairs = set(zip(table["photo_key_a"].to_pylist(), table["photo_key_b"].to_pylist(), strict=True))
    assert pairs == {(f"coco:{seed}", f"open_images:{seed}") for seed in range(40)}


def test_the_same_sound_shifted_noisy_and_quieter_is_found() -> None:
    words = {}
    for seed in range(12):
        sound = media.sound(10.0, 16_000, seed)
        words[f"vggsound:{seed:02d}"] = fingerprints.sound_words(sound)
        if seed < 6:  # the same recording uploaded again: 1.3 s later, quieter, with noise 30 dB below
            noise = np.random.default_rng(seed).standard_normal(len(sound)) * 0.003
            other = np.r_[media.sound(1.3, 16_000, 100 + seed), 0.5 * sound + noise][:160_000].astype(
                np.float32
            )
            words[f"vggsound:{seed:02d}_again"] = fingerprints.sound_words(other)
    table = fingerprints.clip_pairs(words)
    pairs = set(zip(table["clip_id_a"].to_pylist(), table["clip_id_b"].to_pylist(), strict=True))
    assert pairs == {(f"vggsound:{seed:02d}", f"vggsound:{seed:02d}_again") for seed in range(6)}
    assert max(table["distance"].to_pylist()) <= 0.30
    assert len(fingerprints.clip_pairs({})) == 0
