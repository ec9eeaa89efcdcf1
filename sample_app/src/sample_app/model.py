"""The model: pandas and scikit-learn, no Spark, so that it can be tested and tried without."""

import functools
import importlib.resources
import io
import json
from typing import Final

import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

MEASUREMENTS: Final = ("bill_length_mm", "flipper_length_mm")
HELD_OUT_YEAR: Final = 2009
"""The model learns from the penguins of the other years, and is judged by those of this one."""


def penguins_csv() -> str:
    """Read the data set through importlib.resources, which finds it wherever the package is."""
    return (importlib.resources.files("sample_app") / "data/penguins.csv").read_text("utf-8")


def penguins() -> pd.DataFrame:
    return pd.read_csv(io.StringIO(penguins_csv()))


def measured(penguins: pd.DataFrame) -> pd.Series:
    """Say for each penguin whether all its measurements are there."""
    return penguins[list(MEASUREMENTS)].notna().all(axis="columns")


@functools.cache
def trained() -> Pipeline:
    """Train the model: some milliseconds, once per process and so once per Python worker."""
    known = penguins()
    known = known[measured(known) & (known["year"] != HELD_OUT_YEAR)]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return model.fit(known[list(MEASUREMENTS)], known["species"])


def classify(penguins: pd.DataFrame) -> pd.Series:
    """Name the species of each penguin; missing, and so null, for one that was not measured."""
    usable = measured(penguins)
    species = pd.Series(None, index=penguins.index, dtype="object", name="prediction")
    if usable.any():
        species[usable] = trained().predict(penguins.loc[usable, list(MEASUREMENTS)])
    return species


def main() -> None:
    """Print how well the held-out year is told apart (`sample-app-train`)."""
    unseen = penguins()
    unseen = unseen[measured(unseen) & (unseen["year"] == HELD_OUT_YEAR)]
    correct = int((classify(unseen) == unseen["species"]).sum())
    print(json.dumps({"held_out": len(unseen), "held_out_correct": correct}))
