"""`python -m label_maps`: check a label map, and sort its rows where asked."""

import argparse
import sys

from label_maps.label_map import LabelMapError, load, path_of, sort
from shards.command_line import printable


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m label_maps",
        description="Check a label map and print what it holds. Exit 1 where a rule is broken.",
    )
    parser.add_argument("map", nargs="?", default="avs", help="a shipped name or a .csv file (default: avs)")
    parser.add_argument("--sort", action="store_true", help="first rewrite its rows in canonical order")
    options = parser.parse_args(argv)
    try:
        if options.sort:
            sort(path_of(options.map))
        label_map = load(options.map)
    except (LabelMapError, OSError) as error:
        print(printable(str(error)), file=sys.stderr)
        return 1
    print(
        f"{printable(label_map.name)} {printable(label_map.version)}: {len(label_map.categories)} categories, "
        f"{len(label_map.kinds.wider)} of them kinds of others, {len(label_map.links)} links, sha256 {label_map.sha256}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
