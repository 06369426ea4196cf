"""MLflow: a detector is logged, loaded and served with the types that skae says to trust."""

import mlflow
import pytest

import skae

pytestmark = [
    # From MLflow's own modules, when they are imported. Look again in 2027-06.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]


def test_recipe(run_recipe):
    names = run_recipe("log_with_mlflow.py")
    detector, served = names["detector"], names["served"]
    flavor = names["model"].flavors["sklearn"]
    assert flavor["serialization_format"] == "skops"
    assert flavor["skops_trusted_types"] == list(skae.TRUSTED_TYPES)
    assert served.metadata.signature.inputs.is_tensor_spec()
    losses = mlflow.MlflowClient().get_metric_history(names["run"].info.run_id, "loss")
    by_step = {point.step: point.value for point in losses}  # the last one is there twice
    assert by_step == dict(enumerate(detector.history_["loss"]))


def test_types_that_are_not_trusted_are_refused(run_recipe):
    detector = run_recipe("log_with_mlflow.py")["detector"]
    with pytest.raises(mlflow.MlflowException, match="skops_trusted_types"):
        mlflow.sklearn.log_model(detector, name="detector")


def test_cloudpickle(run_recipe):
    names = run_recipe("log_with_mlflow.py")
    model = mlflow.sklearn.log_model(
        names["detector"], name="detector", serialization_format="cloudpickle"
    )
    loaded = mlflow.sklearn.load_model(model.model_uri)
    X = names["X"]
    assert (loaded.score_samples(X) == names["detector"].score_samples(X)).all()
