"""`avs-train eval`."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avs_train import config as configuration
from avs_train.commands import options
from shards.command_line import NOTHING, Command

if TYPE_CHECKING:
    from avs_train.config import Config
    from avs_train.data.loader import Batch, Loader
    from avs_train.data.pairing import Hearing
    from avs_train.data.samples import Split
    from avs_train.display import RunDisplay
    from avs_train.report import Evaluated


@click.command(cls=Command, kept=NOTHING)
@click.argument("model")
@options.OVERRIDES
@options.DATA
@click.option(
    "--split",
    type=click.Choice(["train", "val", "test"]),
    default="test",
    show_default=True,
    help="What to measure on.",
)
@click.option(
    "--robustness", is_flag=True, help="Also with swapped and with silent audio; of scenes the positives."
)
@click.option(
    "--picture",
    metavar="PNG",
    help="Of scenes: draw what is marked in six photos under each of their sounds.",
)
@click.option("--out", metavar="FILE", help="JSON result.  [default: beside the checkpoint]")
@options.JSON
def command(
    model: str,
    overrides: tuple[str, ...],
    data: str,
    split: str,
    robustness: bool,
    picture: str | None,
    out: str | None,
    as_json: bool,
) -> None:
    """Measure MODEL: a run folder (its best checkpoint), a checkpoint, or `sam_oracle`.

    mJ and mF are the per-frame protocol of AVSBench at the model's input size; `evaluate.resolution=224` measures at
    AVSBench's own size. mF comes in five variants that must not be compared with each other. A model that tells classes
    is measured by class instead, in three variants, where `avss_official` is AVSBench-semantic's own.

    Of scenes, where a photo is heard in several ways, mJ and mF are of what sounds and is seen (single, mixture); of
    silence, noise and off-screen sound the share of pixels marked (FPR) is told, kind by kind; and how low a photo's
    mask falls over its sounds (IIoU). `avs-train report` spells the formulas out.

    Example: avs-train eval out/runs/tiny --data out/train-data --robustness
    """
    from avs_train.display import RunDisplay
    from shards import terminal

    if peeked := configuration.of_model(model, overrides):
        configuration.check_weights(peeked)
    with RunDisplay(f"Measure {model} on the {split} split of {data}", "Measure", "samples") as display:
        result, target = _measure(model, overrides, data, split, robustness, picture, out, display)
    if result and as_json:
        terminal.out_json({"written": str(target), **asdict(result)})
    elif result:
        _show(result, target)


def _measure(
    model: str,
    overrides: tuple[str, ...],
    data: str,
    split: str,
    robustness: bool,
    picture: str | None,
    out: str | None,
    bar: "RunDisplay",
) -> "tuple[Evaluated | None, Path]":
    """The result, written, and where; None on all ranks but the first."""
    from avs_train import assembly
    from avs_train.data.order import SettingError
    from avs_train.data.pairing import frozen
    from avs_train.data.samples import of_kinds, open_split
    from avs_train.distributed import joined
    from avs_train.evaluate import evaluate
    from avs_train.report import Evaluated, write_evaluated
    from avs_train.robustness import SOUNDS, measure
    from shards.records import NEGATIVES, RECORDING

    settings, step = assembly.open_settings(model, overrides)
    with joined(settings.train.device) as place:
        found = open_split(data, split)
        assembly.refuse_other_classes(settings, found)
        assembly.refuse_unfit_sound(settings, found)
        sounding = of_kinds(found, [kind for kind in found.counts if kind not in NEGATIVES])
        if picture and found.counts.keys() <= {RECORDING, "single"}:
            raise SettingError(f"--picture: {split} of {data} has no photo under several sounds")
        network = assembly.open_model(settings, place.device).eval()
        embeddings = assembly.open_embeddings(settings, place.device)
        predict = assembly.open_predict(settings, network, place.device)
        seen, total = 0, len(found) + len(sounding) * len(SOUNDS) * robustness

        def open_loader(of: "Split", hearing: "Hearing") -> "Loader":
            return assembly.open_loader(settings, of, embeddings, place.device, hearing)

        def count(batch: "Batch", shown: object) -> None:
            nonlocal seen
            seen += len(batch.keys) * place.world
            bar.step(min(seen, total), {})

        bar.begin({"samples": len(found), "split": split}, total)
        size = settings.evaluate.batch_size
        summary = evaluate(
            predict, open_loader(found, frozen), place, batch_size=size, on_batch=count
        ).summary()
        robust = None
        if robustness:
            robust = measure(
                predict,
                partial(open_loader, sounding),
                sounding,
                place,
                batch_size=size,
                on_sound=lambda name: bar.say(f"{name} audio"),
                on_batch=count,
            ).summary()
        if not place.first:
            return None, Path()
        if picture:
            from avs_train import scene_pictures  # matplotlib

            shown = partial(open_loader, hearing=frozen)
            title = f"{settings.name}: what it marks stays bright, what should be marked has an outline"
            scene_pictures.draw(
                predict, shown, found, place.device, batch_size=size, title=title, path=Path(picture)
            )
            bar.say(f"drawn: {picture}")
        identity = {**found.identity(), "shards": len(found.shards)}
        weights = _weights(model, settings)
        result = Evaluated(settings.name, step, identity, settings.mask_size, summary, robust, weights)
        target = Path(out or _beside(model, found.dataset, split, weights))
        write_evaluated(result, target)
        return result, target


def _weights(model: str, settings: "Config") -> str:
    """What was measured, where it is no run: nothing trained, or a checkpoint's file name. SAM alone trains nothing."""
    from avs_train.report import UNTRAINED

    if Path(model).is_dir() or settings.model.name == "sam":
        return ""
    return Path(settings.train.init).name if Path(settings.train.init).is_file() else UNTRAINED


def _beside(model: str, dataset: str, split: str, weights: str) -> str:
    from shards import storage

    folder = model if Path(model).is_dir() else f"runs/{Path(model).stem}"
    return storage.join(folder, "-".join(["eval", dataset, split, *([weights] if weights else [])]) + ".json")


def _show(result: "Evaluated", target: Path) -> None:
    from shards import terminal

    summary = result.summary
    if result.is_semantic:
        table = terminal.Table("class", "frames", "mJ", "F")
        for name, values in summary["classes"].items():
            table.add_row(name, str(values["frames"]), f"{values['mJ']:.4f}", f"{values['F']:.4f}")
        terminal.console().print(table)
        for variant, values in summary["semantic"].items():
            terminal.out(
                f"{variant}: mJ {values['mJ']:.4f}, F {values['F']:.4f}, {values['seen']} classes seen"
            )
        for kind, found in summary["negatives"].items():
            terminal.out(f"{kind}: FPR {found['FPR']:.4f} of {found['samples']} samples")
        terminal.out(f"{summary['samples']} samples, {summary['padding']} frames of padding in avss_official")
    else:
        table = terminal.Table("category", "samples", "mJ", "mF (dataset)")
        for category, values in summary["categories"].items():
            table.add_row(
                category, str(values["samples"]), f"{values['mJ']:.4f}", f"{values['mF_dataset']:.4f}"
            )
        terminal.console().print(table)
        variants = ", ".join(f"{name} {value:.4f}" for name, value in summary["mF"].items())
        counted = f"{summary['samples']} samples"
        if scenes := summary.get("scenes"):
            _show_scenes(scenes)
            counted = (
                f"of {sum(found['samples'] for found in scenes['positives'].values())} positives of {counted}"
            )
        if found := summary.get("IIoU"):
            _show_lowest("of a photo's samples", found)
        terminal.out(f"mJ {summary['mJ']:.4f}; mF {variants}; {counted}")
    if result.robustness:
        scores, same = result.robustness["mJ"], result.robustness["agreement"]
        for name in ("swapped", "silent"):
            terminal.out(
                f"{name} audio: mJ {scores[name]:.4f} (true audio {scores['true']:.4f}); "
                f"IoU with the mask under true audio {same[name]:.4f}"
            )
    for key, reason in result.summary["corrupt"].items():
        terminal.out(f"left out, corrupt: {key}: {reason}")
    terminal.out(f"written to {target}")


def _show_scenes(scenes: dict[str, Any]) -> None:
    """Positives and negatives, each by kind, and how they go together."""
    from shards import terminal

    table = terminal.Table("something sounds", "samples", "mJ", "mF (dataset)")
    for kind, found in scenes["positives"].items():
        table.add_row(kind, str(found["samples"]), f"{found['mJ']:.4f}", f"{found['mF']:.4f}")
    terminal.console().print(table)
    if scenes["negatives"]:
        table = terminal.Table("nothing seen sounds", "samples", "FPR", "marked", "mJ_silent", "mF_silent")
        for kind, found in scenes["negatives"].items():
            silent = [f"{found[name]:.4f}" if name in found else "-" for name in ("mJ_silent", "mF_silent")]
            table.add_row(
                kind, str(found["samples"]), f"{found['FPR']:.4f}", f"{found['marked']:.4f}", *silent
            )
        terminal.console().print(table)
    for name, found in scenes["IIoU"].items():
        _show_lowest(name, found)
    for name, values in scenes.get("G", {}).items():
        terminal.out(f"{name}: " + ", ".join(f"{kind} {value:.4f}" for kind, value in values.items()))


def _show_lowest(name: str, found: dict[str, Any]) -> None:
    from shards import terminal

    terminal.out(
        f"IIoU ({name}) {found['IIoU']:.4f}, success {found['success']:.4f} of {found['photos']} photos"
    )
