"""The map that ships, against the sources' own lists and against hand-made truth."""

import csv
import json
import re
from collections import defaultdict
from pathlib import Path

import pytest
from real_data import LABELS

import label_maps
from label_maps.label_map import path_of
from pipelines.review import rejected

ROOT = Path(__file__).parents[1]
AVS = label_maps.load()
REFUSED = rejected.read(rejected.path_for(path_of("avs")))
AUDIOSET = "audioset_class_labels_indices.csv"

needs_labels = pytest.mark.skipif(not LABELS.is_dir(), reason=f"the sources' label lists are not at {LABELS}")

# The ten categories that Table 2 of the AVS-Synthetic paper names.
NAMED = {"ambulance", "cat", "dog", "bus", "horse", "lion", "bird", "guitar", "piano", "computer_keyboard"}

# Gold links that the map does not follow. A board is struck and the knife is heard; a pickup truck does not beep;
# shears have no motor; of the last four no masks are known.
NOT_FOLLOWED = {
    ("chopping food", "chopping_board"),
    ("hedge trimmer running", "clippers_(for_plants)"),
    ("firing cannon", "Cannon"),
    ("playing accordion", "Accordion"),
    ("playing harmonica", "Harmonica"),
    ("playing harp", "Harp"),
}


def rows_of(name: str) -> list[list[str]]:
    with open(LABELS / name, encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def open_images_names() -> dict[str, str]:
    """MID to name; the list of mask classes fills in what the list of boxable classes leaves empty."""
    return {
        mid: name
        for mid, name in rows_of("openimages_class-descriptions-boxable.csv")
        + rows_of("openimages_challenge2019_segmentable300.csv")
    }


def lvis_categories() -> dict[str, dict]:
    return {str(c["id"]): c for c in json.loads((LABELS / "lvis_v1_categories.json").read_bytes())}


def test_the_file_is_in_canonical_form() -> None:
    assert (ROOT / "label_maps" / "avs.csv").read_bytes() == label_maps.links.to_csv(AVS.links)


def test_at_least_a_hundred_categories_and_the_ten_named_ones() -> None:
    assert len(AVS.categories) >= 100
    assert set(AVS.categories) >= NAMED


def test_a_voice_is_heard_over_those_who_have_it() -> None:
    heard = {link.label: AVS.heard(link) for link in AVS.links if link.source == "vggsound"}
    assert heard["baby crying"] == ()
    assert heard["child singing"] == ("child",)
    assert heard["male speech, man speaking"] == ("man",)
    assert heard["female singing"] == ("woman",)
    assert heard["people screaming"] == ("person",)
    assert heard["people clapping"] == ("child", "man", "person", "woman")
    assert {AVS.link("open_images", mid).category for mid in ("/m/01bl7v", "/m/05r655")} == {"child"}


def test_no_narrower_sound_is_left_with_a_wider_category() -> None:
    """Of sounds that name a kind, only those that sound like the category; the README judges each."""
    narrower = {link.label for link in AVS.links if link.source == "vggsound" and link.relation == "kind_of"}
    assert narrower == {"playing bugle"}


def test_the_readme_judges_every_category_with_kinds() -> None:
    readme = (ROOT / "label_maps" / "README.md").read_text(encoding="utf-8")
    judged = {name for names in re.findall(r"^\| ([a-z_, ]+) \|", readme, re.M) for name in names.split(", ")}
    assert set(AVS.kinds.wider.values()) - {"child"} <= judged


@needs_labels
def test_vggsound_labels_exist() -> None:
    labels = {row[0] for row in rows_of("vggsound_stat.csv")}
    assert {link.source_id for link in AVS.links if link.source == "vggsound"} <= labels


@needs_labels
def test_lvis_ids_names_and_synsets_agree() -> None:
    categories = lvis_categories()
    for link in AVS.links:
        if link.source == "lvis":
            category = categories[link.source_id]
            assert (link.label, link.synset) == (category["name"], category["synset"])


@needs_labels
def test_open_images_mids_and_names_agree() -> None:
    names = open_images_names()
    for link in AVS.links:
        if link.source == "open_images":
            assert names[link.source_id] == link.label


@needs_labels
def test_audioset_which_shares_the_mids_calls_them_by_the_same_words() -> None:
    """An independent list of names for the same ids: a homonym's MID would show another name here."""
    audioset = {mid: set(re.findall(r"[a-z]+", name.lower())) for _, mid, name in rows_of(AUDIOSET)[1:]}
    shared = [link for link in AVS.links if link.source == "open_images" and link.source_id in audioset]
    assert len(shared) > 40
    for link in shared:
        assert audioset[link.source_id] & set(re.findall(r"[a-z]+", link.label.lower())), link


@needs_labels
def test_every_category_has_a_label_with_known_masks_and_notes_tell_the_others() -> None:
    with_masks = {mid for mid, _ in rows_of("openimages_challenge2019_segmentable300.csv")}
    sure = defaultdict(set)
    for link in AVS.links:
        known = link.source == "lvis" or link.source_id in with_masks
        if known:
            sure[link.category].add(link.label)
        if link.source == "open_images":
            assert ("not in the 2019 list of 300 mask classes" in link.note) is not known, link
    assert set(sure) >= AVS.shown - set(AVS.kinds.wider)


@needs_labels
def test_every_vggsound_label_is_linked_or_explained() -> None:
    readme = (ROOT / "label_maps" / "README.md").read_text(encoding="utf-8")
    table = readme.split("<!-- left out: begin -->")[1].split("<!-- left out: end -->")[0]
    left_out = re.findall(r"`([^`]+)`", table)
    linked = [link.label for link in AVS.links if link.source == "vggsound"]
    assert sorted(left_out + linked) == sorted(row[0] for row in rows_of("vggsound_stat.csv"))


LISTS = {
    "audioset": lambda: [(mid, name) for _, mid, name in rows_of(AUDIOSET)[1:]],
    "fsd50k": lambda: [(mid, name) for _, name, mid in rows_of("fsd50k_vocabulary.csv")],
    "coco": lambda: [
        (str(about["coco_cat_id"]), name)
        for name, about in json.loads((LABELS / "coco_to_synset.json").read_bytes()).items()
    ],
}


@needs_labels
@pytest.mark.parametrize("source", LISTS)
def test_every_label_of_a_source_is_linked_under_its_own_name_or_explained(source: str) -> None:
    readme = (ROOT / "label_maps" / "README.md").read_text(encoding="utf-8")
    table = readme.split(f"<!-- left out of {source}: begin -->")[1].split(
        f"<!-- left out of {source}: end -->"
    )[0]
    linked = {link.source_id: link.label for link in AVS.links if link.source == source}
    known = dict(LISTS[source]())
    assert {number: known.get(number) for number in linked} == linked
    assert sorted([*re.findall(r"`([^`]+)`", table), *linked.values()]) == sorted(known.values())


def test_every_label_of_esc50_is_linked_or_explained() -> None:
    readme = (ROOT / "label_maps" / "README.md").read_text(encoding="utf-8")
    table = readme.split("<!-- left out of esc50: begin -->")[1].split("<!-- left out of esc50: end -->")[0]
    linked = {int(link.source_id): link.label for link in AVS.links if link.source == "esc50"}
    left_out = re.findall(r"`([^`]+)`", table)
    assert len({*left_out, *linked.values()}) == len(left_out) + len(linked) == 50
    real = {8: "sheep", 37: "clock_alarm", 40: "helicopter", 44: None, 14: "chirping_birds"}
    assert {number: linked.get(number) for number in real} == real


def test_one_mid_means_one_category_in_audioset_and_fsd50k() -> None:
    audioset = {link.source_id: link.category for link in AVS.links if link.source == "audioset"}
    for link in AVS.links:
        if link.source == "fsd50k" and link.source_id in audioset:
            assert audioset[link.source_id] == link.category


def test_who_reads_the_usual_corpora_alone_has_the_map_that_was() -> None:
    """The links of 1.1.0: no other source's changes them."""
    usual = AVS.of_sources({"vggsound", "lvis", "open_images"})
    assert usual.sha256 == "438c1d2045d7ae3009c9c2427ca8b350b134c0fc1f962aea1010887897decf06"
    assert {"bicycle", "scissors"} & set(usual.categories) == set()
    assert "scissors" in AVS.of_sources({"vggsound", "lvis", "audioset"}).categories
    assert AVS.of_sources({"lvis", "coco"}) is AVS
    mixed = AVS.of_sources({"esc50", "coco"})
    assert {link.source for link in mixed.links} == {"esc50", "coco"}
    assert "sheep" in mixed.categories
    assert "zebra" not in mixed.categories  # seen, and not heard


@needs_labels
def test_refusals_name_labels_as_their_sources_do_and_contradict_neither_the_map_nor_gold() -> None:
    names = {("lvis", number): c["name"] for number, c in lvis_categories().items()}
    names |= {("open_images", mid): name for mid, name in open_images_names().items()}
    sounds = {row[0] for row in rows_of("vggsound_stat.csv")}
    same = {(row[0], row[2]) for row in rows_of("gold_links_sample.csv")[1:] if row[3] == "same"}
    for row in REFUSED:
        assert row.audio_label in sounds, row
        assert row.note, row
        if row.visual_id == rejected.ANY:
            assert AVS.link("vggsound", row.audio_label) is None, row
            continue
        assert names[row.source, row.visual_id] == row.visual_label, row
        heard, seen = AVS.link("vggsound", row.audio_label), AVS.link(row.source, row.visual_id)
        assert heard is not None, row
        assert seen is None or seen.category not in AVS.reached(heard), row
        kinds = seen is not None and related(heard.category, seen.category)
        assert kinds or (row.audio_label, row.visual_label) not in same - NOT_FOLLOWED, row


def test_every_sound_that_is_left_out_is_refused_with_all_labels_of_lvis() -> None:
    readme = (ROOT / "label_maps" / "README.md").read_text(encoding="utf-8")
    table = readme.split("<!-- left out: begin -->")[1].split("<!-- left out: end -->")[0]
    left_out = {"lvis": set(re.findall(r"`([^`]+)`", table))}
    boxes = next(line for line in table.splitlines() if "Open Images has boxes" in line)
    left_out["open_images"] = left_out["lvis"] - set(re.findall(r"`([^`]+)`", boxes))
    refused = {(row.source, row.audio_label) for row in REFUSED if row.visual_id == rejected.ANY}
    assert refused == {(source, sound) for source, sounds in left_out.items() for sound in sounds}
    assert rejected.to_csv(REFUSED) == rejected.path_for(path_of("avs")).read_bytes()


def related(a: str, b: str) -> bool:
    return a == b or a in AVS.kinds.above(b) or b in AVS.kinds.above(a)


@needs_labels
def test_gold_links_are_followed() -> None:
    ids = {("lvis", c["name"]): number for number, c in lvis_categories().items()}
    ids |= {("open_images", name): mid for mid, name in open_images_names().items()}
    missed = set()
    for sound, source, sight, relation in rows_of("gold_links_sample.csv")[1:]:
        heard = AVS.link("vggsound", sound)
        if relation == "none":
            assert heard is None, f"gold has no sight for {sound!r}, the map puts it into {heard.category!r}"
        if relation == "same":
            seen = AVS.link(source, ids[source, sight])
            if heard is None or seen is None or not related(heard.category, seen.category):
                missed.add((sound, sight))
    assert missed == NOT_FOLLOWED
