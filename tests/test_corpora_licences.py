"""Licences as corpora write them, and the one spelling of each."""

import csv
from pathlib import Path

import pytest

from pipelines.corpora import licences


@pytest.mark.parametrize(
    ("written", "licence"),
    [
        # the licence table of COCO and LVIS, by address and by name
        ("http://creativecommons.org/licenses/by-nc-sa/2.0/", "cc-by-nc-sa-2.0"),
        ("http://creativecommons.org/licenses/by-nc/2.0/", "cc-by-nc-2.0"),
        ("http://creativecommons.org/licenses/by-nc-nd/2.0/", "cc-by-nc-nd-2.0"),
        ("http://creativecommons.org/licenses/by/2.0/", "cc-by-2.0"),
        ("http://creativecommons.org/licenses/by-sa/2.0/", "cc-by-sa-2.0"),
        ("http://creativecommons.org/licenses/by-nd/2.0/", "cc-by-nd-2.0"),
        ("http://flickr.com/commons/usage/", "no-known-restrictions"),
        ("http://www.usa.gov/copyright.shtml", "us-government-work"),
        ("Attribution-NonCommercial-ShareAlike License", "cc-by-nc-sa"),
        ("Attribution License", "cc-by"),
        ("No known copyright restrictions", "no-known-restrictions"),
        ("United States Government Work", "us-government-work"),
        # Open Images
        ("https://creativecommons.org/licenses/by/2.0/", "cc-by-2.0"),
        # sounds
        ("CC-BY", "cc-by"),
        ("CC BY 4.0", "cc-by-4.0"),
        ("CC-BY-NC-3.0", "cc-by-nc-3.0"),
        ("CC0", "cc0"),
        ("cc0-1.0", "cc0"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "cc0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "public-domain-mark"),
        ("GPL-3+", "gpl-3.0-or-later"),
        ("GPL-3.0-or-later", "gpl-3.0-or-later"),
        ("GPLv2", "gpl-2.0"),
        ("  Apache   License 2.0 ", "apache-2.0"),
        ("MIT", "mit"),
        # unknown
        ("all rights reserved", None),
        ("not CC-BY at all", None),
        ("", None),
        (None, None),
    ],
)
def test_one_spelling(written, licence):
    assert licences.normalise(written) == licence


def test_a_spelling_is_its_own():
    table = Path(licences.__file__).with_name("licences.csv")
    fixed = {row["licence"] for row in csv.DictReader(table.open()) if "\\" not in row["licence"]}
    for licence in fixed | {"cc-by-nc-nd-2.0", "cc-by-sa-4.0", "gpl-3.0-or-later", "gpl-2.0", "agpl-3.0"}:
        assert licences.normalise(licence) == licence
