"""What a changed file can make of a detector: nothing that runs code."""

import base64
import io
import json
import marshal
import zipfile

import keras
import numpy as np
import pytest
import skops.io
from skops.io.exceptions import UntrustedTypesFoundException

import skae
from skae import AutoencoderOutlierDetector, ReconstructionOutlierDetector

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).random((60, 5), dtype=np.float32)
SHOUT = "echo run > ran"  # in the folder of the test


def own_network(input_shape):
    return keras.Sequential(
        [keras.Input(input_shape), keras.layers.Dense(2), keras.layers.Dense(5)]
    )


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """Run each test in a folder in which no forged file may leave anything."""
    monkeypatch.chdir(tmp_path)
    yield
    assert not list(tmp_path.iterdir())


def forged(detector, change):
    """Return the skops file of a detector, each record in it changed in place by a function."""

    def walk(node):
        if isinstance(node, dict):
            change(node)
            node = list(node.values())
        if isinstance(node, list):
            for item in node:
                walk(item)

    source, target = zipfile.ZipFile(io.BytesIO(skops.io.dumps(detector))), io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in source.namelist():
            content = source.read(name)
            if name == "schema.json":
                schema = json.loads(content)
                walk(schema)
                content = json.dumps(schema)
            archive.writestr(name, content)
    return target.getvalue()


def with_function(name):
    """Return the file of a detector whose network `name` builds, called with a command."""
    module, _, function = name.rpartition(".")

    def change(node):
        if node.get("__loader__") == "FunctionNode":
            node |= {"__module__": module, "__class__": function}
        if "input_shape" in node and node["input_shape"].get("__loader__") == "TupleNode":
            node["input_shape"] = {
                "__class__": "str",
                "__module__": "builtins",
                "__loader__": "JsonNode",
                "content": json.dumps(SHOUT),
                "is_json": True,
            }

    return forged(AutoencoderOutlierDetector(own_network, epochs=1).fit(X), change)


def with_keras_json(detector, key, config):
    """Return the file of a detector in which Keras' configuration under a key is another one."""

    def change(node):
        if isinstance(node.get(key), dict):
            node[key]["content"] = json.dumps(json.dumps(config))

    return forged(detector, change)


OWN = f"{own_network.__module__}.own_network"


@pytest.mark.parametrize("name", ["os.system", "posix.system", "builtins.exec", "subprocess.call"])
def test_a_function_swapped_for_a_command_is_listed_and_refused(name):
    data = with_function(name)
    assert name in skops.io.get_untrusted_types(data=data)
    with pytest.raises(UntrustedTypesFoundException, match=name):
        skops.io.loads(data, trusted=[*skae.TRUSTED_TYPES, OWN])


# Imported by modules of skae, so these names begin with "skae.".
@pytest.mark.parametrize("name", ["skae.import_module", "skae.datasets._ecg5000.urlopen"])
def test_a_function_that_skae_imports_is_refused(name):
    with pytest.raises(UntrustedTypesFoundException, match=name):
        skops.io.loads(with_function(name), trusted=[*skae.TRUSTED_TYPES, OWN])


def test_the_forged_file_would_run_the_function_where_it_is_trusted(tmp_path):
    detector = skops.io.loads(
        with_function("posix.system"), trusted=[*skae.TRUSTED_TYPES, "posix.system"]
    )
    assert not list(tmp_path.iterdir())  # loading runs nothing
    with pytest.raises(TypeError, match="must return a keras.Model"):
        detector.score_samples(X)
    (tmp_path / "ran").unlink()


def record(module, class_name, config):
    return {
        "module": module,
        "class_name": class_name,
        "config": config,
        "registered_name": class_name if module is None else None,
    }


def function(module, name):
    return record(module, "function", name) | {"registered_name": name}


def _command(tensor):
    __import__("os").system("echo run > ran")


BYTECODE = base64.encodebytes(marshal.dumps(_command.__code__)).decode()
CODE = {
    "class_name": "__lambda__",
    "config": {"value": {"code": BYTECODE, "defaults": None, "closure": None}},
}
LAMBDAS = {
    "code": CODE,
    "exec": function("builtins", "exec"),
    "system": function("os", "system"),
    "func_load": function("keras.src.utils.python_utils", "func_load"),
    "unsafe": function("keras.config", "enable_unsafe_deserialization"),
    "get_file": function("keras.utils", "get_file"),
}
LAYERS = {
    **{name: record("keras.layers", "Lambda", {"function": f}) for name, f in LAMBDAS.items()},
    "saved_model": record("keras.layers", "TFSMLayer", {"filepath": "model"}),
    "private_name": record("keras.src.export.tfsm_layer", "TFSMLayer", {"filepath": "model"}),
    "torch": record("keras.layers", "TorchModuleWrapper", {"module": ""}),
    "class": record("subprocess", "Popen", {"args": SHOUT, "shell": True}),
}


def network(layer):
    row = record("keras.layers", "InputLayer", {"batch_shape": [None, 5], "dtype": "float32"})
    return record("keras", "Sequential", {"name": "forged", "layers": [row, layer]})


FORGED_NETWORKS = {
    **{name: network(layer) for name, layer in LAYERS.items()},
    "no_network": record("keras.layers", "Dense", {"units": 5}),
    "no_object": "text",
    "no_keras": record("os", "system", {"command": SHOUT}),
}
FORGED_OPTIMIZERS = {
    "class": record("subprocess", "Popen", {"args": SHOUT, "shell": True}),
    "function": function("os", "system"),
    "layer": LAYERS["saved_model"],
    "unknown": record(None, "Unheard", {}),
    **{
        f"schedule_{name}": record("keras.optimizers", "Adam", {"learning_rate": part})
        for name, part in {
            **LAMBDAS,
            **LAYERS,
            "floatx": function("keras.config", "floatx"),
        }.items()
    },
}


@pytest.mark.parametrize("name", FORGED_NETWORKS)
@pytest.mark.parametrize("is_template", [True, False])
def test_forged_network_is_refused_at_load(name, is_template):
    if is_template:
        detector = AutoencoderOutlierDetector(own_network((5,)), epochs=1).fit(X)
    else:
        detector = ReconstructionOutlierDetector(own_network((5,))).fit(X)
    data = with_keras_json(detector, "keras_model", FORGED_NETWORKS[name])
    with pytest.raises((ValueError, TypeError)):
        skops.io.loads(data, trusted=skae.TRUSTED_TYPES)
    assert keras.config.floatx() == "float32"


@pytest.mark.parametrize("name", FORGED_NETWORKS)
def test_forged_blueprint_is_refused_when_it_scores(name):
    detector = AutoencoderOutlierDetector(own_network((5,)), epochs=1).fit(X)
    data = with_keras_json(detector, "config", FORGED_NETWORKS[name])
    loaded = skops.io.loads(data, trusted=skae.TRUSTED_TYPES)
    with pytest.raises((ValueError, TypeError)):
        loaded.score_samples(X)


@pytest.mark.parametrize("name", FORGED_OPTIMIZERS)
def test_forged_optimizer_is_refused_at_load(name):
    detector = AutoencoderOutlierDetector(optimizer=keras.optimizers.Adam(), epochs=1).fit(X)
    data = with_keras_json(detector, "keras_optimizer", FORGED_OPTIMIZERS[name])
    with pytest.raises((ValueError, TypeError)):
        skops.io.loads(data, trusted=skae.TRUSTED_TYPES)


@keras.saving.register_keras_serializable("forged_files")
class OwnOptimizer(keras.optimizers.SGD):
    pass


@keras.saving.register_keras_serializable("forged_files")
class OwnSchedule(keras.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step):
        return 0.01

    def get_config(self):
        return {}


@keras.saving.register_keras_serializable("forged_files")
def own_rate():
    return 0.01


@pytest.mark.parametrize(
    "optimizer",
    [
        keras.optimizers.AdamW(0.01),
        keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.01, 10)),
        keras.optimizers.SGD(
            keras.optimizers.schedules.PiecewiseConstantDecay([5], np.array([0.01, 0.001]))
        ),
        keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam()),
        OwnOptimizer(0.01),
        keras.optimizers.Adam(OwnSchedule()),
        keras.optimizers.Adam(own_rate),
    ],
    ids=lambda optimizer: optimizer.name,
)
def test_optimizers_that_keras_can_rebuild_are_loaded(optimizer):
    detector = AutoencoderOutlierDetector(optimizer=optimizer, epochs=1)
    loaded = skops.io.loads(skops.io.dumps(detector), trusted=skae.TRUSTED_TYPES)
    assert type(loaded.optimizer) is type(optimizer)
    assert loaded.optimizer.get_config() == optimizer.get_config()
