"""Optuna: a search over parameters, and trials that end early."""

import pytest
from optuna.trial import TrialState


def test_search(run_recipe):
    study = run_recipe("search_with_optuna.py")["study"]
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 5
    assert 0.5 < study.best_value <= 1


# Some of the learning rates that are tried are too small, which is the point.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_pruning(run_recipe):
    study = run_recipe("prune_with_optuna.py")["study"]
    states = [trial.state for trial in study.trials]
    assert set(states) == {TrialState.COMPLETE, TrialState.PRUNED}
    for trial in study.trials:
        steps = sorted(trial.intermediate_values)
        assert steps == list(range(len(steps)))
        # The value of a trial is the last one reported, and a pruned one has fewer.
        assert trial.intermediate_values[steps[-1]] == trial.value
        assert (len(steps) == 20) == (trial.state == TrialState.COMPLETE)
