import pandas as pd
import pytest

from sample_app.model import HELD_OUT_YEAR, classify, main, measured, penguins, trained


def test_the_data_set_travels_with_the_package() -> None:
    assert len(penguins()) == 344
    assert set(penguins()["species"]) == {"Adelie", "Chinstrap", "Gentoo"}


def test_typical_penguins_are_recognised() -> None:
    typical = pd.DataFrame(
        {"bill_length_mm": [38.8, 48.8, 47.5], "flipper_length_mm": [190.0, 196.0, 217.0]}
    )
    assert classify(typical).tolist() == ["Adelie", "Chinstrap", "Gentoo"]


def test_a_penguin_that_was_not_measured_has_no_species() -> None:
    birds = pd.DataFrame({"bill_length_mm": [38.8, None], "flipper_length_mm": [None, None]})
    assert classify(birds).isna().all()


def test_predictions_keep_the_index_of_the_penguins() -> None:
    shuffled = penguins().sample(frac=1, random_state=0)
    assert classify(shuffled).sort_index().equals(classify(penguins()))


def test_no_prediction_is_a_close_call() -> None:
    """Another processor rounds otherwise; the expected result must not hang on a last digit."""
    birds = penguins()[measured(penguins())]
    probabilities = trained().predict_proba(birds[list(trained().feature_names_in_)])
    probabilities.sort(axis=1)
    assert (probabilities[:, -1] - probabilities[:, -2]).min() > 0.01


def test_training_reports_the_held_out_year(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    assert capsys.readouterr().out == '{"held_out": 119, "held_out_correct": 112}\n'
    assert (penguins()["year"] == HELD_OUT_YEAR).sum() == 120
