"""The loader, the checks and the canonical form of label maps."""

import csv
import hashlib
import io
import os
import random
import string
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import label_maps
from label_maps.__main__ import main
from label_maps.faults import BrokenRule, check, parse
from label_maps.label_map import write
from label_maps.links import COLUMNS, to_csv

ROOT = Path(__file__).parents[1]
HEADER = "category,source,source_id,label,synset,relation,decided_by,decided_on,note"
GOOD = (
    "bus,lvis,173,bus_(vehicle),bus.n.01,same,maintainers,2026-11-22,",
    "bus,vggsound,driving buses,driving buses,,same,maintainers,2026-11-22,",
    "violin,lvis,1145,violin,violin.n.01,same,maintainers,2026-11-22,",
    'violin,vggsound,"playing violin, fiddle","playing violin, fiddle",,same,maintainers,2026-11-22,bowed',
)
TOML = 'name = "small"\nversion = "1.2.3"\nlicence = "Apache-2.0"\ndescription = "Two categories."\n'


def text_of(*rows: str) -> str:
    return "\n".join([HEADER, *rows]) + "\n"


def small(tmp_path: Path, content: str | bytes, about: str = TOML) -> Path:
    path = tmp_path / "small.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.with_suffix(".toml").write_text(about)
    return path


def faults_of(path: Path) -> tuple[BrokenRule, ...]:
    with pytest.raises(label_maps.LabelMapError) as error:
        label_maps.load(path)
    for fault in error.value.faults:
        assert str(fault) in str(error.value)
    return error.value.faults


def test_load_gives_the_rows_of_the_file(tmp_path: Path) -> None:
    label_map = label_maps.load(small(tmp_path, text_of(*GOOD)))
    assert (label_map.name, label_map.version) == ("small", "1.2.3")
    rows = list(csv.DictReader(io.StringIO(text_of(*GOOD))))
    assert [vars(link) for link in label_map.links] == rows
    assert label_map.categories == ("bus", "violin")
    link = label_map.link("vggsound", "playing violin, fiddle")
    assert link is not None
    assert (link.category, link.note) == ("violin", "bowed")
    assert label_map.link("lvis", "playing violin, fiddle") is None


def test_hash_is_of_the_canonical_text_and_not_of_the_file(tmp_path: Path) -> None:
    canonical = text_of(*GOOD)
    quoted = canonical.replace("bus,lvis,173", '"bus","lvis","173"')
    expected = hashlib.sha256(canonical.encode()).hexdigest()
    for content in (canonical, canonical.replace("\n", "\r\n"), "\ufeff" + canonical, quoted):
        assert label_maps.load(small(tmp_path, content)).sha256 == expected
    changed = canonical.replace("bowed", "plucked")
    assert label_maps.load(small(tmp_path, changed)).sha256 != expected


def test_restricted_keeps_whole_categories_and_names_near_misses(tmp_path: Path) -> None:
    label_map = label_maps.load(small(tmp_path, text_of(*GOOD)))
    violin = label_map.restricted(["violin"])
    assert violin.links == tuple(link for link in label_map.links if link.category == "violin")
    assert violin.sha256 == hashlib.sha256(text_of(*GOOD[2:]).encode()).hexdigest()
    assert violin.link("lvis", "173") is None
    with pytest.raises(ValueError, match=r"no category 'viola' \(near: violin\)"):
        label_map.restricted(["viola"])


KINDS = (
    "adult,vggsound,rapping,rapping,,act_of,maintainers,2026-11-22,",
    "baby,vggsound,baby crying,baby crying,,same,maintainers,2026-11-22,",
    "boat,lvis,118,boat,boat.n.01,same,maintainers,2026-11-22,",
    "child,open_images,/m/01bl7v,Boy,,kind_of,maintainers,2026-11-22,",
    "man,open_images,/m/04yx4,Man,,same,maintainers,2026-11-22,",
    "man,vggsound,male singing,male singing,,same,maintainers,2026-11-22,",
    "motorboat,vggsound,motorboat,motorboat,,same,maintainers,2026-11-22,",
    "person,lvis,793,person,person.n.01,same,maintainers,2026-11-22,",
    "person,vggsound,people clapping,people clapping,,same,maintainers,2026-11-22,",
    "person,vggsound,people screaming,people screaming,,same,maintainers,2026-11-22,",
)
WIDER = {"adult": "person", "man": "adult", "child": "person", "baby": "child", "motorboat": "boat"}
ABOUT_KINDS = (
    TOML
    + "[kind_of]\n"
    + "".join(f'{kind} = "{wider}"\n' for kind, wider in WIDER.items())
    + '[heard_over]\n"people screaming" = ["adult"]\n'
)


@pytest.fixture
def people(tmp_path: Path) -> label_maps.LabelMap:
    return label_maps.load(small(tmp_path, text_of(*KINDS), ABOUT_KINDS))


def heard(label_map: label_maps.LabelMap) -> dict[str, tuple[str, ...]]:
    return {link.label: label_map.heard(link) for link in label_map.links if link.source == "vggsound"}


def test_a_sound_is_heard_over_its_category_and_the_kinds_below(people: label_maps.LabelMap) -> None:
    assert heard(people) == {
        "rapping": ("man",),
        "baby crying": (),  # no mask shows a baby, and a child is not always one
        "male singing": ("man",),
        "motorboat": (),
        "people clapping": ("child", "man", "person"),
        "people screaming": ("man", "person"),
    }
    unused = [link.label for link in people.links if not people.is_used(link)]
    assert unused == ["baby crying", "boat", "motorboat"]


def test_narrower_sounds_are_heard_over_what_they_are_kinds_of(people: label_maps.LabelMap) -> None:
    wide = replace(people, narrower_sounds=True)
    assert heard(wide) == {
        "rapping": ("man", "person"),
        "baby crying": ("child", "person"),
        "male singing": ("man", "person"),
        "motorboat": ("boat",),
        "people clapping": ("child", "man", "person"),
        "people screaming": ("man", "person"),
    }
    assert all(map(wide.is_used, wide.links))


def test_kinds_are_part_of_the_hash(people: label_maps.LabelMap) -> None:
    kinds = people.kinds
    changes = [
        label_maps.Kinds(),
        replace(kinds, wider={**kinds.wider, "man": "person"}),
        replace(kinds, heard_over={}),
        replace(kinds, heard_over={"people screaming": ("man",)}),
    ]
    assert len({people.sha256, *(replace(people, kinds=change).sha256 for change in changes)}) == 5
    turned = label_maps.Kinds(dict(reversed(kinds.wider.items())), kinds.heard_over)
    assert replace(people, kinds=turned).sha256 == people.sha256


def test_restricted_takes_kinds_along_and_the_sounds_from_above(people: label_maps.LabelMap) -> None:
    assert people.restricted(["person"]).categories == ("adult", "baby", "child", "man", "person")
    man = people.restricted(["man"])
    assert [link.label for link in man.links] == [
        "rapping", "Man", "male singing", "people clapping", "people screaming",
    ]  # fmt: skip
    assert man.shown == man.hearing == {"man"}
    assert heard(man) == {name: ("man",) for name in heard(man)}
    wide = replace(people, narrower_sounds=True).restricted(["person"])
    assert heard(wide)["baby crying"] == ("child", "person")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("boat", r"no samples of 'boat': its sounds \(motorboat\) are narrower .* \(boat\)"),
        ("motorboat", r"narrower_sounds = true to have them over boat"),
        ("baby", r"\(child, person\); set labels.narrower_sounds = true to have them over child"),
    ],
)
def test_a_category_that_can_have_no_sample_is_refused(
    people: label_maps.LabelMap, name: str, words: str
) -> None:
    with pytest.raises(label_maps.CategoryError, match=words):
        people.restricted(["man", name])
    assert "boat" in replace(people, narrower_sounds=True).restricted(["boat"]).hearing


@pytest.mark.parametrize(
    ("old", "new", "column", "value", "words"),
    [
        ('man = "adult"', 'man = "grown_up"', "kind_of", "grown_up", "both are categories that have links"),
        ('man = "adult"', 'mann = "adult"', "kind_of", "mann", "both are categories that have links"),
        ('adult = "person"', 'adult = "man"', "kind_of", "adult", "a category a kind of itself"),
        ('baby = "child"', 'baby = "baby"', "kind_of", "baby", "a category a kind of itself"),
        ('man = "adult"', "man = 3", "small.toml kind_of", "3", "man takes a category's name"),
        ('["adult"]', '"adult"', "small.toml heard_over", "adult", "takes a list of kinds"),
        ('["adult"]', '["boat"]', "heard_over", "boat", "only its kinds and what it is a kind of"),
        ("people screaming", "people crying", "heard_over", "people crying", "must be a sound of the map"),
        ('motorboat = "boat"\n', "", "category", "boat", "at least one audio link"),
        ('motorboat = "boat"\n', "", "category", "motorboat", "at least one visual link"),
        ("[kind_of]", "kind_off = 1\n[kind_of]", "small.toml", "kind_off", "keys are name, version"),
    ],
)
def test_kinds_that_do_not_fit_are_named(
    tmp_path: Path, old: str, new: str, column: str, value: str, words: str
) -> None:
    assert old in ABOUT_KINDS
    faults = faults_of(small(tmp_path, text_of(*KINDS), ABOUT_KINDS.replace(old, new)))
    assert [
        fault for fault in faults if (fault.column, fault.value) == (column, value) and words in fault.rule
    ]


def test_a_kind_with_masks_hears_something(tmp_path: Path) -> None:
    rows = text_of(*(row for row in KINDS if not row.startswith(("baby", "child,vgg"))))
    about = ABOUT_KINDS.replace('baby = "child"\n', "") + '"people clapping" = []\n'
    (fault,) = faults_of(small(tmp_path, rows, about))
    assert (fault.column, fault.value) == ("category", "child")
    assert "at least one audio link" in fault.rule
    assert "nor one that a category above or below it shares" in fault.rule


def test_write_keeps_to_the_kinds(tmp_path: Path) -> None:
    path = small(tmp_path, text_of(*KINDS), ABOUT_KINDS)
    links = label_maps.load(path).links
    write(path, links[::-1])
    assert path.read_text() == text_of(*KINDS)
    with pytest.raises(label_maps.LabelMapError, match="motorboat = 'boat': both are categories"):
        write(path, [link for link in links if link.category != "motorboat"])
    assert main(["--sort", str(path)]) == 0


BUS, DRIVING, VIOLIN, FIDDLE = GOOD

# name: row to change (the header is 1), text in it, its replacement, column, value, words of the message
EDITS = {
    "unknown source": (2, "lvis", "ade20k", "source", "ade20k", "a source is one of vggsound"),
    "unknown relation": (2, "same", "like", "relation", "like", "a relation is one of same, kind_of, act_of"),
    "impossible date": (2, "11-22", "02-30", "decided_on", "2026-02-30", "a calendar day written YYYY-MM-DD"),
    "date without dashes": (2, "2026-11-22", "20261122", "decided_on", "20261122", "written YYYY-MM-DD"),
    "capitals and space": (3, "bus", "Big Bus", "category", "Big Bus", "for instance to 'big_bus'"),
    "LVIS without synset": (2, "bus.n.01", "", "synset", "", "such as dog.n.01"),
    "synset elsewhere": (3, ",,same", ",bus.n.01,same", "synset", "bus.n.01", "VGGSound has no synsets"),
    "LVIS id in words": (2, "173", "bus", "source_id", "bus", "a whole number from 1"),
    "MID in words": (2, "lvis,173", "open_images,Bus", "source_id", "Bus", "a MID such as /m/0bt9lr"),
    "id and label differ": (3, "driving", "drive", "source_id", "drive buses", "label is its own id"),
    "space at the end": (
        2,
        "maintainers",
        "maintainers ",
        "decided_by",
        "maintainers ",
        "no spaces at the ends",
    ),
    "line break in a note": (5, "bowed", '"a\nb"', "note", "a\nb", "no line breaks"),
    "nobody decided": (2, "maintainers", "", "decided_by", "", "must not be empty"),
    "too few values": (
        5,
        ",bowed",
        "",
        "row",
        FIDDLE.replace('"', "")[:-6],
        "a row has 9 values and this one has 8",
    ),
    "comma not quoted": (5, '"', "", "row", FIDDLE.replace('"', ""), "quote values that hold a comma"),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_broken_row_is_named_with_value_rule_and_remedy(name: str, tmp_path: Path) -> None:
    number, old, new, column, value, message = EDITS[name]
    rows = list(GOOD)
    rows[number - 2] = rows[number - 2].replace(old, new, -1 if old == '"' else 1)
    assert_fault(small(tmp_path, text_of(*rows)), number, column, value, message)


@pytest.mark.parametrize(
    ("rows", "number", "column", "value", "message"),
    [
        (
            (BUS, DRIVING, FIDDLE),
            4,
            "category",
            "violin",
            "at least one visual link (lvis or open_images or coco or folder_images)",
        ),
        ((BUS, DRIVING, VIOLIN), 4, "category", "violin", "at least one audio link (vggsound or audioset"),
        ((*GOOD, BUS), 6, "category", "bus", "lvis '173' is already in 'bus', row 2"),
        (
            (BUS, DRIVING, "coach" + BUS[3:], VIOLIN, FIDDLE),
            4,
            "category",
            "coach",
            "already in 'bus', row 2",
        ),
        ((DRIVING, BUS, VIOLIN, FIDDLE), 3, "source_id", "173", "this one belongs before row 2"),
    ],
)
def test_rows_that_do_not_fit_together_are_named(
    rows: tuple[str, ...], number: int, column: str, value: str, message: str, tmp_path: Path
) -> None:
    assert_fault(small(tmp_path, text_of(*rows)), number, column, value, message)


def assert_fault(path: Path, row: int, column: str, value: str, message: str) -> None:
    faults = faults_of(path)
    (fault,) = (fault for fault in faults if message in str(fault))
    assert (fault.row, fault.column, fault.value) == (row, column, value)
    assert fault.rule
    assert fault.remedy


def test_all_faults_of_both_files_come_together(tmp_path: Path) -> None:
    rows = (
        BUS.replace("same", "like").replace("2026", "26"),
        DRIVING.removesuffix(","),
        VIOLIN.replace("violin.n.01", ""),
        FIDDLE,
    )
    about = TOML.replace("1.2.3", "1.2").replace("small", "other").replace("licence", "license")
    faults = faults_of(small(tmp_path, text_of(*rows), about))
    assert [(fault.row, fault.column) for fault in faults] == [
        (0, "small.toml licence"),
        (0, "small.toml"),
        (0, "small.toml name"),
        (0, "small.toml version"),
        (3, "row"),
        (2, "relation"),
        (2, "decided_on"),
        (4, "synset"),
    ]


def test_a_cut_file_is_refused_wherever_it_was_cut(tmp_path: Path) -> None:
    whole = text_of(*GOOD).encode()
    row_ends = {i + 1 for i, byte in enumerate(whole) if byte == ord("\n")}
    for length in range(len(whole)):
        if length in row_ends - {len(HEADER) + 1}:
            continue  # a file that ends after a whole row: only a category that lost a side can tell
        path = small(tmp_path, whole[:length])
        assert faults_of(path), length
    faults_of(small(tmp_path, text_of(*GOOD[:3])))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (text_of(*GOOD).encode() + b"\xff\xfe", "is not UTF-8"),
        (text_of(*GOOD).encode("utf-16"), "is not UTF-8"),
        (b"", "cut short"),
        (text_of(*GOOD).replace("source_id", "id", 1).encode(), "the header is category,source,"),
        (text_of(*GOOD).replace('fiddle",,', "fiddle,,").encode(), "not readable as CSV"),
        (text_of().encode(), "at least one link"),
    ],
)
def test_a_file_that_is_no_map_is_refused(content: bytes, words: str, tmp_path: Path) -> None:
    assert any(words in str(fault) for fault in faults_of(small(tmp_path, content)))


def test_toml_that_is_no_toml_is_one_fault(tmp_path: Path) -> None:
    (fault,) = faults_of(small(tmp_path, text_of(*GOOD), "name = small"))
    assert fault.column == "small.toml"
    assert "must be TOML" in fault.rule


def test_unknown_names_list_what_ships() -> None:
    with pytest.raises(FileNotFoundError, match=r"no label map 'vas': give a name that ships \(avs\)"):
        label_maps.load("vas")
    with pytest.raises(FileNotFoundError):
        label_maps.load("nowhere/avs")


words = st.text(string.ascii_letters + string.digits + "éß,\"' ();=-", min_size=1, max_size=12).map(str.strip)
words = words.filter(bool)
names = st.from_regex(r"[a-z][a-z0-9]{0,4}(_[a-z0-9]{1,4}){0,2}", fullmatch=True)
dates = st.dates().map(str)


@st.composite
def maps(draw: st.DrawFn) -> list[label_maps.Link]:
    """Valid links of one to six categories, in any order."""
    categories = draw(st.lists(names, min_size=1, max_size=6, unique=True))
    sounds = draw(st.lists(words, min_size=6, max_size=6, unique=True))
    links = []
    for number, category in enumerate(categories, start=1):
        decided = (
            draw(st.sampled_from(label_maps.RELATIONS)),
            draw(words),
            draw(dates),
            draw(words | st.just("")),
        )
        sound = sounds[number - 1]
        links.append(label_maps.Link(category, "vggsound", sound, sound, "", *decided))
        links.append(label_maps.Link(category, "lvis", str(number), draw(words), "thing.n.01", *decided))
        if draw(st.booleans()):
            links.append(label_maps.Link(category, "open_images", f"/m/{number}", draw(words), "", *decided))
    return draw(st.permutations(links))


# A busy machine draws slowly, which is no fault of what is drawn.
patient = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)


def hash_of(links: list[label_maps.Link]) -> str:
    return label_maps.LabelMap("m", "1.0.0", tuple(links)).sha256


@patient
@given(maps())
def test_round_trip_is_canonical_and_hash_ignores_order(links: list[label_maps.Link]) -> None:
    data = to_csv(links)
    rows, unreadable = parse(data)
    assert unreadable == []
    assert check(rows) == []
    read = [link for _, link in rows]
    assert read == sorted(links)
    assert to_csv(read) == data
    assert data == to_csv(links[::-1])
    assert hash_of(links) == hash_of(links[::-1]) == hashlib.sha256(data).hexdigest()
    assert tuple(next(csv.reader(io.StringIO(data.decode())))) == COLUMNS


@patient
@given(maps(), st.randoms(use_true_random=False))
def test_any_single_change_changes_the_hash(links: list[label_maps.Link], chance: random.Random) -> None:
    place, column = chance.randrange(len(links)), chance.choice(COLUMNS)
    changed = [*links]
    changed[place] = replace(links[place], **{column: getattr(links[place], column) + "x"})
    assert hash_of(changed) != hash_of(links)
    assert hash_of(links[1:]) != hash_of(links)


def test_write_sorts_and_leaves_the_file_when_a_rule_is_broken(tmp_path: Path) -> None:
    path = small(tmp_path, text_of(*GOOD))
    links = label_maps.load(path).links
    write(path, links[::-1])
    assert path.read_text() == text_of(*GOOD)
    with pytest.raises(label_maps.LabelMapError, match="relation 'near'"):
        write(path, [replace(links[0], relation="near"), *links[1:]])
    assert path.read_text() == text_of(*GOOD)
    assert sorted(os.listdir(tmp_path)) == ["small.csv", "small.toml"]


def test_command_sorts_and_checks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = small(tmp_path, text_of(*GOOD[::-1]))
    assert main([str(path)]) == 1
    assert "python -m label_maps --sort FILE" in capsys.readouterr().err
    assert main(["--sort", str(path)]) == 0
    assert "small 1.2.3: 2 categories, 0 of them kinds of others, 4 links" in capsys.readouterr().out
    assert path.read_text() == text_of(*GOOD)
    own = [row.replace("vggsound", "barks") for row in GOOD[::-1]]
    path = small(tmp_path, text_of(*own), TOML + '[sources]\nbarks = "audio"\n')
    assert main(["--sort", str(path)]) == 0  # a map with sources of its own, too
    result = subprocess.run(
        [sys.executable, "-m", "label_maps"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert label_maps.load().sha256 in result.stdout
