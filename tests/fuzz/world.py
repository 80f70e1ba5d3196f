"""What is right before it is damaged: small inputs of every kind, made once, copied for each trial."""

import json
import shutil
from pathlib import Path

from generated_shards import write_dataset

import label_maps
from avs_train import checkpoints
from avs_train import config as configuration
from avs_train.models import build_model, trainable_parameters
from avs_train.run_folder import RunFolder
from pipelines.fetch.ledger import Attempt, Ledger
from pipelines.matching import proposals
from pipelines.matching.proposals import Proposal
from pipelines.publish import profiles, takedown
from pipelines.recipes import recipe
from shards.reader import Dataset

SMALL = ["model.image_size=64", "train.batch_size=2", "data.workers=0"]


def make(root: Path) -> Path:
    """data/ (a dataset), edition/ (the same without sounds), run/ and weights.pth, ledger/, and the texts."""
    data = root / "data"
    write_dataset(
        data, {"train": 3, "val": 1, "test": 2}, size=48, samples_per_shard=4, clips=1, duration_s=1.0
    )
    manifest = json.loads((data / "manifest.json").read_text())
    manifest["recipe"]["text"] = 'name = "generated"\n'
    (data / "manifest.json").write_text(json.dumps(manifest))
    (data / takedown.TAKEDOWNS).write_bytes(takedown.dump([takedown.Takedown("video", ("gone",), "asked")]))
    profiles.without_sounds(Dataset(str(data)), str(root / "edition"))
    shutil.copy(recipe.RECIPES / "demo.toml", root / "recipe.toml")
    for suffix in (".csv", ".toml"):
        shutil.copy(Path(label_maps.__file__).parent / f"avs{suffix}", root / f"map{suffix}")
    about = (root / "map.toml").read_text()
    (root / "map.toml").write_text(about.replace('name = "avs"', 'name = "map"'))
    found = [
        Proposal("vggsound", f"dog barking {n}", "lvis", "dog", str(n), n / 20, "exact", decision, "as named")
        for n, decision in enumerate(proposals.DECISIONS * 4)
    ]
    proposals.write(str(root / "proposals.csv"), found)
    _train(root)
    with Ledger(str(root / "ledger")) as ledger:
        for n, cause in enumerate(("ok", "removed", "timeout")):
            item = f"vggsound:aaaaaaaaaa{n}_000010"
            ledger.append(Attempt(item, 1, ledger.session, 1e9, cause, "", 0.0, 1, "", "none"))
    return root


def _train(root: Path) -> None:
    settings = configuration.load("tiny", SMALL)
    weights = {
        name: value.detach() for name, value in trainable_parameters(build_model(settings.model)).items()
    }
    state = {
        "config": configuration.to_values(settings),
        "data": {},
        "best": None,
        "last": None,
        "frozen": "",
    }
    RunFolder(root / "run").save(1, weights, {}, state, best=True)
    some = dict(sorted(weights.items(), key=lambda item: item[1].numel())[:4])
    for name in ("weights.pth", "weights.safetensors"):
        checkpoints.write(root / name, some, {})
