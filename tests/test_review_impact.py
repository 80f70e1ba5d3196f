"""Impact against plain loops over the rows of the index tables."""

import random
from dataclasses import astuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from review_world import BASE_LINKS, PROPOSALS, make_world

from label_maps import Kinds, LabelMap, Link, load
from pipelines.corpora.records import CLIPS, MASKS
from pipelines.review import application, corpus_index
from pipelines.review.categories import AcceptedLink, candidate, long_name, resolve, short_name
from pipelines.review.errors import ReviewError
from pipelines.review.impact import ImpactTable, Size, impact
from pipelines.review.queue import Queue
from pipelines.review.records import Answer


def accepted(item_id, audio, visual_id, name=None, category=""):
    return AcceptedLink(
        item_id,
        ("vggsound", audio),
        audio,
        "lvis",
        visual_id,
        name or f"v{visual_id}",
        category,
        "same",
        "anna",
        "2026-01-01",
        "",
    )


def random_index(folder, rng, images=60, labels=8, sounds=6):
    masks = [
        {
            "mask_id": f"lvis:{n}",
            "corpus": rng.choice(["lvis", "open_images"]),
            "image_id": f"im:{rng.randrange(images)}",
            "label_id": str(rng.randrange(labels)),
            "label": "v",
        }
        for n in range(400)
    ]
    clips = [
        {"clip_id": f"c{n}", "corpus": "vggsound", "label_ids": [f"s{rng.randrange(sounds)}"]}
        for n in range(50)
    ]
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(masks, MASKS), folder / "masks.parquet", row_group_size=37)
    pq.write_table(pa.Table.from_pylist(clips, CLIPS), folder / "clips.parquet")
    return masks, clips


def plain_size(masks, clips, nodes):
    images = set()
    for mask in masks:
        if (mask["corpus"], mask["label_id"]) in nodes:
            images.add(mask["image_id"])
    count = sum(("vggsound", clip["label_ids"][0]) in nodes for clip in clips)
    return (len(images) if count else 0, len(images), count)


@pytest.mark.parametrize("seed", range(5))
def test_impact_is_the_difference_a_plain_count_finds(tmp_path, seed):
    rng = random.Random(seed)
    masks, clips = random_index(tmp_path / "index", rng)
    with Queue(str(tmp_path / "q.sqlite"), create=True) as queue:
        corpus_index.load_index(queue, str(tmp_path / "index"))
        table = ImpactTable(queue)
    base = LabelMap(
        "m",
        "1.0.0",
        (
            *(Link("big", "lvis", str(n), f"v{n}", "v.n.01", "same", "p", "2026-01-01", "") for n in (0, 1)),
            Link("big", "vggsound", "s0", "s0", "", "same", "p", "2026-01-01", ""),
        ),
    )
    others = [accepted(1, "s1", "2"), accepted(2, "s1", "3")]
    for link in (
        accepted(3, "s2", "0"),
        accepted(3, "s0", "4"),
        accepted(3, "s1", "5"),
        accepted(3, "s3", "6"),
    ):
        after = resolve(base, [*others, link])
        category = after.category[3]

        def nodes(links, resolution, category=category):
            held = {(row.source, row.source_id) for row in base.links if row.category == category}
            return held | {
                n for x in links if resolution.category.get(x.item_id) == category for n in x.nodes
            }

        was = plain_size(masks, clips, nodes(others, resolve(base, others)))
        now = plain_size(masks, clips, nodes([*others, link], after))
        found = impact(table, base, [*others, link] if seed % 2 else others, link)
        assert found.category == category
        assert found.before == Size(*was)
        assert found.added == Size(*(b - a for a, b in zip(was, now, strict=True)))


@pytest.mark.parametrize("narrower_sounds", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_impact_counts_kinds_as_the_build_pairs_them(tmp_path, seed, narrower_sounds):
    """s0 is any creature's, s1 a bird's alone; v0 shows creatures, v1 birds, v2 and v3 fish."""
    rng = random.Random(seed)
    masks, clips = random_index(tmp_path / "index", rng)
    with Queue(str(tmp_path / "q.sqlite"), create=True) as queue:
        corpus_index.load_index(queue, str(tmp_path / "index"))
        table = ImpactTable(queue)
    about = ("same", "p", "2026-01-01", "")
    links = [
        Link("creature", "vggsound", "s0", "s0", "", *about),
        Link("bird", "vggsound", "s1", "s1", "", *about),
    ]
    links += [
        Link(category, "lvis", str(n), f"v{n}", "v.n.01", *about)
        for n, category in enumerate(("creature", "bird", "fish", "fish"))
    ]
    kinds = Kinds({"bird": "creature", "fish": "creature"}, {"s2": ("fish",)})
    base = LabelMap("m", "1.0.0", tuple(links), kinds, narrower_sounds)

    def size(labels, sounds):
        """`labels`, `sounds`: category -> ids."""
        images = {
            category: {m["image_id"] for m in masks if m["corpus"] == "lvis" and m["label_id"] in ids}
            for category, ids in labels.items()
        }
        heard = {category: [c for c in clips if c["label_ids"][0] in ids] for category, ids in sounds.items()}
        return Size(
            sum(len(images[category]) for category in labels if heard[category]),
            len(set().union(*images.values())),
            len({c["clip_id"] for found in heard.values() for c in found}),
        )

    labels = {"creature": {"0"}, "bird": {"1"}, "fish": {"2", "3"}}
    wide = {"s0", "s1"} if narrower_sounds else {"s0"}
    before = size(labels, {"creature": wide, "bird": {"s0", "s1"}, "fish": {"s0"}})
    found = impact(
        table, base, [], accepted(1, "s2", "0")
    )  # a sound of creatures that fish share, birds do not
    after = size(labels, {"creature": wide | {"s2"}, "bird": {"s0", "s1"}, "fish": {"s0", "s2"}})
    assert (found.category, found.before) == ("creature", before)
    assert found.added == Size(*(b - a for a, b in zip(astuple(before), astuple(after), strict=True)))
    found = impact(table, base, [], accepted(1, "s3", "1"))
    bird = {"bird": {"1"}}
    before, after = size(bird, {"bird": {"s0", "s1"}}), size(bird, {"bird": {"s0", "s1", "s3"}})
    assert (found.category, found.before) == ("bird", before)
    assert found.added == Size(*(b - a for a, b in zip(astuple(before), astuple(after), strict=True)))


def test_a_first_clip_brings_the_photos_that_waited(tmp_path):
    """A category of photos without sound has no triplet; the link that brings the sound adds them all."""
    with make_world(tmp_path).open() as queue:
        base = LabelMap(
            "m", "1.0.0", (Link("cow", "lvis", "80", "cow", "c.n.01", "same", "p", "2026-01-01", ""),)
        )
        item = next(i for i in queue.items() if i.proposal.visual_label == "Cattle")
        link = candidate(item)
        link = AcceptedLink(**{**link.__dict__, "category": "cow"})
        found = impact(ImpactTable(queue), base, [], link)
        assert (found.before, found.added) == (Size(0, 3, 0), Size(4, 1, 2))
        assert str(found) == "+4 triplets in `cow` (+1 photos, +2 clips)"


def test_examples_hold_every_mask_of_a_photo_once(tmp_path):
    with make_world(tmp_path).open() as queue:
        rows = queue.connection.execute(
            "SELECT item, masks FROM examples WHERE kind = 'photo' AND source_id = '80' ORDER BY item"
        ).fetchall()
        assert [row["item"] for row in rows] == ["lvis:0", "lvis:2", "lvis:3"]
        assert rows[0]["masks"].count("[[") == 2
        assert sum(row["masks"].count("[[") for row in rows) == 4
        before = [
            tuple(row) for row in queue.connection.execute("SELECT item, place FROM examples ORDER BY id")
        ]
        corpus_index.load_index(queue, str(tmp_path / "index"))
        again = [
            tuple(row) for row in queue.connection.execute("SELECT item, place FROM examples ORDER BY id")
        ]
        assert again == before


def test_a_missing_table_is_named(tmp_path):
    with (
        Queue(str(tmp_path / "q.sqlite"), create=True) as queue,
        pytest.raises(ReviewError, match=r"no masks.parquet.*avs-data index"),
    ):
        corpus_index.load_index(queue, str(tmp_path))


def test_names_of_new_categories():
    assert short_name("bus_(vehicle)") == "bus"
    assert long_name("bus_(vehicle)") == "bus_vehicle"
    assert short_name("Musical keyboard") == "musical_keyboard"
    base = LabelMap("m", "1.0.0", (Link("bat", "lvis", "1", "bat", "b.n.01", "same", "p", "2026-01-01", ""),))
    one = accepted(1, "squeaking", "2", "bat_(animal)")
    two = accepted(2, "neighing", "3", "horse_(animal)")
    assert resolve(base, [one, two]).category == {1: "bat_animal", 2: "horse"}


def test_labels_joined_by_links_share_a_category_or_clash():
    base = LabelMap(
        "m",
        "1.0.0",
        (
            Link("cow", "lvis", "80", "cow", "c.n.01", "same", "p", "2026-01-01", ""),
            Link("bell", "lvis", "81", "bell", "b.n.01", "same", "p", "2026-01-01", ""),
        ),
    )
    links = [accepted(1, "mooing", "80"), accepted(2, "mooing", "99"), accepted(3, "ringing", "98")]
    assert resolve(base, links).category == {1: "cow", 2: "cow", 3: "v98"}
    clash = resolve(base, [*links, accepted(4, "mooing", "81")]).clashes[4]
    assert clash.categories == ("bell", "cow")
    for part in (
        "'bell' and 'cow' would be joined",
        "lvis '80'",
        "lvis '81'",
        "link 4, mooing = lvis 81",
        "Undo one",
    ):
        assert part in clash.text
    assert resolve(base, [accepted(5, "x", "97", category="zebu")]).category == {5: "zebu"}


def test_the_map_that_impact_starts_from_leaves_out_what_the_queue_wrote(tmp_path):
    world = make_world(tmp_path)
    with world.open() as queue:
        item = next(i for i in queue.items() if i.key == PROPOSALS[0].key)
        table = ImpactTable(queue)

        def effect():
            base = application.without_own(load(world.map_path), application.own_links(queue))
            return impact(table, base, application.accepted_links(queue), candidate(item)).added

        before = effect()
        queue.decide(item.id, "anna", Answer("accept"))
        application.apply(application.plan(queue, world.map_path, {"80": "cow.n.01"}))
        assert len(load(world.map_path).links) == len(BASE_LINKS) + 2
        assert effect() == before == Size(3, 3, 2)
