"""SAMA-AVS, AP-SAM and vanilla SAM: `build_model(ModelConfig(...))`."""

from avs_train.model_config import MODELS, SIZES, ModelConfig
from avs_train.models.build import build_model, normalise, trainable_parameters

__all__ = ["MODELS", "SIZES", "ModelConfig", "build_model", "normalise", "trainable_parameters"]
