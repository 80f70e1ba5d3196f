"""Vocabularies from label files and from corpora, whole and with parts missing."""

import csv
import json
from pathlib import Path

import pytest

from pipelines.corpora.source import CorpusError
from pipelines.matching import sources
from pipelines.matching.own_vocabularies import read_audio, read_visual
from pipelines.matching.sources import read_corpora, read_labels
from pipelines.matching.vocabularies import VocabularyError

AUDIO_SOURCES, VISUAL_SOURCES = ("vggsound", "audioset", "fsd50k"), ("lvis", "open_images")

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
    {"id": "/m/sounds", "name": "Human sounds", "child_ids": ["/m/voice"], "description": ""},
    {"id": "/m/voice", "name": "Human voice", "child_ids": ["/m/shout"], "description": ""},
    {"id": "/m/shout", "name": "Shout", "child_ids": [], "description": "A loud voice."},
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
    assert [(one.label, one.source, one.id, one.group) for one in found.audio] == [
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
    shout = found.audio[-1]
    assert shout.parents == (("Human voice", "Human sounds"),)
    assert shout.definition == "A loud voice."


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
    both = [sources.Source(name) for name in VISUAL_SOURCES]
    with pytest.raises(VocabularyError, match="holds no labels of LVIS or Open Images"):
        sources.read(str(labels), None, [sources.Source("vggsound")], both)


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
    (labels / "audioset_class_labels_indices.csv").rename(root / "audioset" / "class_labels_indices.csv")
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


def test_a_class_with_two_ways_up_has_two_parents_and_no_group(labels: Path) -> None:
    more = [
        {"id": "/m/animal", "name": "Animal", "child_ids": ["/m/shout"], "description": ""},
        {"id": "/m/top", "name": "Top", "child_ids": ["/m/animal", "/m/sounds"], "description": ""},
        {"id": "/m/other", "name": "Other", "child_ids": ["/m/animal"], "description": ""},
    ]
    (labels / "audioset_ontology.json").write_text(json.dumps(ONTOLOGY + more))
    (shout,) = read_labels(str(labels), ("fsd50k",)).audio
    assert shout.parents == (
        ("Human voice", "Human sounds", "Top"),
        ("Animal",),
    )  # what is above Animal is not one
    assert shout.group == ""


def test_a_vocabulary_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(
        "\ufeffLabel,ID,group,parent,synonyms,definition,clips\n"
        "Bark,/m/1,animals,Dog; Loud  sounds,woof;bow-wow,The cry of a dog.,7\n"
        '"Dog",,animals,Animal,,,9\n'
    )
    bark, dog = read_audio(str(path), "mine")
    assert (bark.label, bark.source, bark.id, bark.group) == ("Bark", "mine", "/m/1", "animals")
    assert bark.parents == (("Dog", "Animal"), ("Loud sounds",))
    assert (bark.synonyms, bark.definition) == (("woof", "bow-wow"), "The cry of a dog.")
    assert (dog.parents, dog.children) == ((("Animal",),), ("Bark",))
    seen, other = read_visual(str(path), "mine")
    assert (seen.id, other.id) == ("/m/1", "Dog")
    assert seen.names == ("Bark", "woof", "bow-wow")
    assert seen.ancestors == ("Dog", "Loud sounds", "Animal")


def test_parents_in_a_circle_end(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("label,parent\na,b\nb,a\nc,c\n")
    assert [one.parents for one in read_audio(str(path), "mine")] == [(("b",),), (("a",),), ()]
    assert [one.ancestors for one in read_visual(str(path), "mine")] == [("b",), ("a",), ()]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name,id\ndog,1\n", "the header is name,id; a vocabulary has a column `label`"),
        ("label,synonym\ndog,hound\n", "a column is called 'synonym'; did you mean 'synonyms'"),
        ("label,label\ndog,hound\n", "two columns are called 'label'"),
        ("label\n", "no rows below the header"),
        ("label\ndog\n ,\n", "line 3: more values than columns"),
        ("label,id\ndog,1\ncat,2\ndog,3\n", "line 4: 'dog' stands in line 2 already"),
        ("label,id\n!!,1\n", "line 2: label is '!!'; it needs a letter or digit"),
        ('label\n"dog\n', "it must be CSV in UTF-8"),
    ],
)
def test_a_faulty_vocabulary_of_ones_own_says_where(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "mine.csv").write_text(text)
    with pytest.raises(VocabularyError) as error:
        read_audio(str(tmp_path / "mine.csv"), "mine")
    assert says in str(error.value)


def test_a_vocabulary_in_another_encoding_says_so(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_bytes("label\nB\u00e4r\n".encode("latin-1"))
    with pytest.raises(VocabularyError, match="UTF-8"):
        read_audio(str(tmp_path / "mine.csv"), "mine")
