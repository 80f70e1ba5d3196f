"""Vocabularies from label files and from corpora, whole and with parts missing."""

import csv
import json
from pathlib import Path

import pytest

from pipelines.corpora.source import CorpusError
from pipelines.matching.corpora_vocabularies import read_corpora
from pipelines.matching.vocabularies import AUDIO_SOURCES, VocabularyError, read_labels

CATEGORIES = [
    {
        "id": 2,
        "name": "bus_(vehicle)",
        "synonyms": ["bus_(vehicle)", "autobus"],
        "def": "a vehicle",
        "synset": "bus.n.01",
    },
    {"id": 1, "name": "monitor_(computer_equipment) computer_monitor", "synonyms": [], "def": None},
]
HIERARCHY = {
    "LabelName": "/m/top",
    "Subcategory": [
        {
            "LabelName": "/m/animal",
            "Subcategory": [{"LabelName": "/m/dog"}],
            "Part": [{"LabelName": "/m/ear"}],
        },
    ],
}
ONTOLOGY = [
    {"id": "/m/sounds", "name": "Human sounds", "child_ids": ["/m/voice"]},
    {"id": "/m/voice", "name": "Human voice", "child_ids": ["/m/shout"]},
    {"id": "/m/shout", "name": "Shout", "child_ids": []},
]


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    (tmp_path / "vggsound_stat.csv").write_text(
        '"bird chirping, tweeting",1050,animals\ndog barking,7,animals\n'
    )
    (tmp_path / "lvis_v1_categories.json").write_text(json.dumps(CATEGORIES))
    (tmp_path / "openimages_class-descriptions-boxable.csv").write_text(
        "/m/dog,Dog\n/m/animal,Animal\n/m/ear,Ear\n/m/blank,\n/m/nameless,\n"
    )
    (tmp_path / "openimages_challenge2019_segmentable300.csv").write_text("/m/blank,Ambulance\n")
    (tmp_path / "openimages_bbox_labels_600_hierarchy.json").write_text(json.dumps(HIERARCHY))
    (tmp_path / "audioset_ontology.json").write_text(json.dumps(ONTOLOGY))
    (tmp_path / "audioset_class_labels_indices.csv").write_text(
        'index,mid,display_name\n0,/m/shout,"Shout, yell"\n'
    )
    (tmp_path / "fsd50k_vocabulary.csv").write_text("0,Shout,/m/shout\n")
    return tmp_path


def test_all_label_files(labels: Path) -> None:
    found = read_labels(str(labels), AUDIO_SOURCES)
    assert [(one.label, one.source, one.mid, one.group) for one in found.audio] == [
        ("bird chirping, tweeting", "vggsound", "", "animals"),
        ("dog barking", "vggsound", "", "animals"),
        ("Shout, yell", "audioset", "/m/shout", "people"),
        ("Shout", "fsd50k", "/m/shout", "people"),
    ]
    assert [(one.source, one.id, one.names) for one in found.visual] == [
        ("lvis", "1", ("monitor", "computer monitor")),
        ("lvis", "2", ("bus", "autobus")),
        ("open_images", "/m/animal", ("Animal",)),
        ("open_images", "/m/blank", ("Ambulance",)),
        ("open_images", "/m/dog", ("Dog",)),
        ("open_images", "/m/ear", ("Ear",)),
    ]
    assert found.visual[1].senses == ("vehicle", "")
    ancestors = {one.name: one.ancestors for one in found.visual}
    assert ancestors["Dog"] == ("Animal",)
    assert ancestors["Ear"] == ()  # a part of an animal is no animal


@pytest.mark.parametrize(
    "missing",
    [
        "lvis_v1_categories.json",
        "openimages_class-descriptions-boxable.csv",
        "openimages_challenge2019_segmentable300.csv",
        "openimages_bbox_labels_600_hierarchy.json",
        "audioset_ontology.json",
    ],
)
def test_one_file_may_be_missing(labels: Path, missing: str) -> None:
    (labels / missing).unlink()
    found = read_labels(str(labels), AUDIO_SOURCES)
    assert found.audio
    assert found.visual


@pytest.mark.parametrize(
    ("missing", "source"),
    [
        ("vggsound_stat.csv", "vggsound"),
        ("audioset_class_labels_indices.csv", "audioset"),
        ("fsd50k_vocabulary.csv", "fsd50k"),
    ],
)
def test_sounds_asked_for_must_be_there(labels: Path, missing: str, source: str) -> None:
    (labels / missing).unlink()
    with pytest.raises(VocabularyError, match=f"{missing} is not there.*leave its source out of --audio"):
        read_labels(str(labels), (source,))


def test_something_must_be_seen(labels: Path) -> None:
    (labels / "lvis_v1_categories.json").unlink()
    (labels / "openimages_class-descriptions-boxable.csv").unlink()
    with pytest.raises(VocabularyError, match="holds neither LVIS categories nor Open Images"):
        read_labels(str(labels))


@pytest.mark.parametrize("name", ["lvis_v1_categories.json", "openimages_class-descriptions-boxable.csv"])
def test_a_file_that_is_no_text_is_named(labels: Path, name: str) -> None:
    (labels / name).write_bytes(b"\xff\xfe{")
    with pytest.raises(VocabularyError, match=name):
        read_labels(str(labels))


def test_a_table_with_too_few_columns_is_named(labels: Path) -> None:
    (labels / "fsd50k_vocabulary.csv").write_text("0,Shout\n")
    with pytest.raises(VocabularyError, match=r"fsd50k_vocabulary.csv: line 1 has 2 columns.*3"):
        read_labels(str(labels), ("fsd50k",))


@pytest.fixture
def corpora(tmp_path: Path, labels: Path) -> Path:
    root = tmp_path / "corpora"
    for name in ("vggsound", "lvis", "open_images", "audioset"):
        (root / name).mkdir(parents=True)
    (root / "vggsound" / "vggsound.csv").write_text(
        'aaaaaaaaaaa,1,"dog barking",train\n'
        "bbbbbbbbbbb,2,rowboat, canoe, kayak rowing,test\n"
        "ccccccccccc,3,dog barking,test\n"
    )
    annotations = [
        {"id": number, "image_id": 1, "category_id": 1, "segmentation": [[0, 0, 1, 1, 0, 1]]}
        for number in range(500)
    ]
    for split in ("train", "val"):
        (root / "lvis" / f"lvis_v1_{split}.json").write_text(
            json.dumps({"info": {"categories": "[]"}, "annotations": annotations, "categories": CATEGORIES})
        )
    (root / "open_images" / "class-descriptions-boxable.csv").write_text(
        "LabelName,DisplayName\n/m/dog,Dog\n/m/animal,Animal\n"
    )
    (root / "open_images" / "bbox_labels_600_hierarchy.json").write_text(json.dumps(HIERARCHY))
    (labels / "audioset_class_labels_indices.csv").rename(
        root / "audioset" / "audioset_class_labels_indices.csv"
    )
    return root


def test_corpora_give_their_vocabularies(corpora: Path) -> None:
    found = read_corpora(str(corpora), ("vggsound", "audioset"))
    assert [one.label for one in found.audio] == [
        "dog barking",
        "rowboat, canoe, kayak rowing",
        "Shout, yell",
    ]
    assert [one.name for one in found.visual] == [
        "monitor_(computer_equipment) computer_monitor",
        "bus_(vehicle)",
        "Animal",
        "Dog",
    ]
    assert found.visual[-1].ancestors == ("Animal",)


def test_corpora_need_no_lvis(corpora: Path) -> None:
    for file in (corpora / "lvis").iterdir():
        file.unlink()
    assert [one.name for one in read_corpora(str(corpora)).visual] == ["Animal", "Dog"]


def test_corpora_without_sounds_say_so(corpora: Path) -> None:
    (corpora / "vggsound" / "vggsound.csv").unlink()
    with pytest.raises(VocabularyError, match=r"vggsound.csv is not there"):
        read_corpora(str(corpora))


def test_a_broken_lvis_file_is_named(corpora: Path) -> None:
    (corpora / "lvis" / "lvis_v1_val.json").write_text("[]")
    with pytest.raises(CorpusError, match=r"lvis_v1_val\.json"):
        read_corpora(str(corpora))


def test_labels_are_those_of_the_csv_module(labels: Path) -> None:
    with (labels / "vggsound_stat.csv").open(newline="") as file:
        expected = [row[0] for row in csv.reader(file)]
    assert [one.label for one in read_labels(str(labels)).audio] == expected
