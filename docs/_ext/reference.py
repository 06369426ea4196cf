"""Sphinx extension for the pages of the API reference: what the templates and docstrings lack."""

import inspect
import re
from importlib import import_module

# The part of the guide that each page points to; the longest name that fits counts.
READ_MORE = {
    "skae": "user_guide/how_it_works",
    "skae.AveragedOutlierDetector": "choosing_a_model",
    "skae.ConformalOutlierDetector": "from_scores_to_decisions",
    "skae.FitOnInliers": "user_guide/novelty_and_contamination",
    "skae.ReconstructionOutlierDetector": "user_guide/coming_from",
    "skae.ThresholdedOutlierDetector": "from_scores_to_decisions",
    "skae.WindowedOutlierDetector": "user_guide/series",
    "skae.clear_cache": "user_guide/speed",
    "skae.datasets": "getting_started",
    "skae.datasets.make_ecg_strip": "user_guide/series",
    "skae.datasets.make_sensor_table": "user_guide/table_of_your_own",
    "skae.displays.DetectorComparisonDisplay": "choosing_a_model",
    "skae.displays.DetectionCurveDisplay": "from_scores_to_decisions",
    "skae.displays.DriftDisplay": "user_guide/serving",
    "skae.displays.ErrorDistributionDisplay": "from_scores_to_decisions",
    "skae.displays.ExplanationDisplay": "user_guide/table_of_your_own",
    "skae.displays.LatentSpaceDisplay": "user_guide/latent_dimension",
    "skae.displays.PValueDisplay": "from_scores_to_decisions",
    "skae.displays.SeriesDisplay": "user_guide/series",
    "skae.inspection": "user_guide/serving",
    "skae.inspection.explain": "user_guide/table_of_your_own",
    "skae.inspection.threshold_report": "from_scores_to_decisions",
    "skae.layers": "user_guide/variants",
    "skae.metrics": "choosing_a_model",
    "skae.metrics.event": "user_guide/series",
    "skae.metrics.false_alarms": "user_guide/series",
    "skae.model_selection": "choosing_a_model",
    "skae.onnx": "user_guide/saving",
    "skae.preprocessing": "user_guide/scaling",
    "skae.report": "user_guide/table_of_your_own",
    "skae.show_versions": "user_guide/saving",
    "skae.streaming": "user_guide/streams",
    "skae.streaming.SeriesScorer": "user_guide/series",
    "skae.thresholds": "from_scores_to_decisions",
}
_GROUPS = {
    "Training": ("fit", "partial_fit", "update", "fit_predict", "fit_transform"),
    "Scoring": (
        *("score_samples", "decision_function", "predict", "predict_fdr", "p_values", "events"),
        *("error_parts", "feature_errors", "feature_errors_", "reconstruction_error"),
        *("member_scores", "nearest_known", "flush", "n_pending_"),
    ),
    "Network": (
        *("autoencoder_", "encoder_", "decoder_", "transform", "inverse_transform"),
        *("reconstruct", "member_weights_", "estimators_samples_"),
    ),
}
_SKLEARN = "As in scikit-learn"
_OF_SKLEARN = re.compile(r"get_params|get_metadata_routing|get_feature_names_out|set_\w+")
# Before which parameters of the detectors that train a network a heading goes.
_PARAMETERS = {
    "architecture": "Network",
    "n_estimators": "Network",
    "loss": "Loss and error",
    "optimizer": "Training",
    "threshold": "Threshold",
    "callbacks": "Repetition and progress",
}
_WITH_HEADINGS = ("skae.AutoencoderOutlierDetector", "skae.AutoencoderEnsembleOutlierDetector")


def read_more(fullname):
    """Return the page of the guide for a public name."""
    return "/" + READ_MORE[max(filter(fullname.startswith, READ_MORE), key=len)]


def members_of(fullname):
    """Return groups of documented members: a title, and the directive and the name of each."""
    module, _, name = fullname.rpartition(".")
    cls = getattr(import_module(module), name)
    # In the order of the source, the class's own before those that it inherits.
    found = dict.fromkeys(
        member
        for one in cls.__mro__
        if not one.__module__.startswith("keras")
        for member in vars(one)
        if not member.startswith("_")
    )
    kinds = {member: _directive(cls, member) for member in found}
    rest = [member for member, kind in kinds.items() if kind]
    groups = {title: [name for name in names if name in rest] for title, names in _GROUPS.items()}
    groups[_SKLEARN] = [name for name in rest if _OF_SKLEARN.fullmatch(name)]
    grouped = set().union(*groups.values())
    groups = {"": [name for name in rest if name not in grouped], **groups}
    groups = {title: names for title, names in groups.items() if names}
    return [(title, [(kinds[name], name) for name in names]) for title, names in groups.items()]


def _directive(cls, name):
    """Return which directive documents a member; None for one without a docstring."""
    if isinstance(inspect.getattr_static(cls, name), property):
        return "autoproperty" if inspect.getdoc(getattr(cls, name)) else None
    member = getattr(cls, name)
    return "automethod" if callable(member) and inspect.getdoc(member) else None


def _process_docstring(app, what, name, obj, options, lines):
    """Add headings between parameters, and make words of what cannot be resolved.

    In methods inherited from scikit-learn, these are references into its guide; in the type of an
    attribute, the name of another that ends in an underscore, such as (n_features_in_,).
    """
    text = re.sub(r":(?:ref|term):`([^`<]+?)(?:\s*<[^`]*>)?`", r"\1", "\n".join(lines))
    text = re.sub(r"(?<=[(,])( ?)(\w+_)(?=[,)])", r"\1`\2`", text)
    for parameter, title in _PARAMETERS.items() if name in _WITH_HEADINGS else ():
        heading = rf"\1.. rubric:: {title}\n\n\1**{parameter}** :"
        text = re.sub(rf"^( +)\*\*{parameter}\*\* :", heading, text, count=1, flags=re.MULTILINE)
    lines[:] = text.split("\n")


def setup(app):
    """Connect the extension to Sphinx, after numpydoc."""
    app.config.autosummary_context.update(members_of=members_of, read_more=read_more)
    app.connect("autodoc-process-docstring", _process_docstring, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
