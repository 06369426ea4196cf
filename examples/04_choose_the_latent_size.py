"""
Choose the latent size
======================

How narrow should the middle of an autoencoder be? A search over latent sizes answers, scored by how
well held-out outliers are found. The winner is then compared with other detectors on beats that
the search never saw.
"""

from pathlib import Path

import pandas as pd
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import OneClassSVM

from skae import AutoencoderOutlierDetector, FitOnInliers
from skae.datasets import fetch_ecg5000, make_heartbeats
from skae.metrics import anomaly_scorers
from skae.model_selection import StratifiedOutlierKFold, compare_detectors

# %%
# The heartbeats
# --------------
try:
    X, y = fetch_ecg5000(return_X_y=True, n_retries=0)
except (OSError, ValueError) as error:
    print(f"The real heartbeats are unavailable ({error}); synthesized ones are used instead.")
    X, y = make_heartbeats(5000, anomaly_share=0.4, random_state=0)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.2, stratify=y, random_state=42
)

# %%
# The search
# ----------
# The pipeline is inside `FitOnInliers`: in each fold the scaler and the network see normal beats
# only, while the scorers see held-out beats of both kinds. The outlier is the positive class of
# every scorer.
pipeline = Pipeline(
    [
        ("scaler", MinMaxScaler()),
        ("ae", AutoencoderOutlierDetector(noise=0.05, epochs=60, random_state=0)),
    ]
)
search = GridSearchCV(
    FitOnInliers(pipeline),
    {"estimator__ae__latent_dim": [2, 4, 8, 16, 32]},
    scoring=anomaly_scorers(["roc_auc", "average_precision"]),
    refit="average_precision",
    cv=StratifiedOutlierKFold(n_splits=3, random_state=0),
)
search.fit(X_train, y_train)
results = pd.DataFrame(search.cv_results_)
table = results[["param_estimator__ae__latent_dim", "mean_test_roc_auc"]].assign(
    mean_test_average_precision=results["mean_test_average_precision"],
    spread=results["std_test_average_precision"],
)
print(table.round(4).to_string(index=False))
print(f"chosen: {search.best_params_}")

# %%
# On beats that the search never saw
# ----------------------------------
others = {
    "IsolationForest": IsolationForest(random_state=0),
    "LocalOutlierFactor": LocalOutlierFactor(novelty=True),
    "OneClassSVM": OneClassSVM(nu=0.05),
}
detectors = {"searched autoencoder": search.best_estimator_}
for name, detector in others.items():
    detectors[name] = FitOnInliers(make_pipeline(MinMaxScaler(), detector)).fit(X_train, y_train)
rows = []
for name, detector in detectors.items():
    errors = -detector.score_samples(X_test)
    rows.append(
        {
            "detector": name,
            "ROC-AUC": roc_auc_score(y_test == -1, errors),
            "PR-AUC": average_precision_score(y_test == -1, errors),
        }
    )
print(pd.DataFrame(rows).set_index("detector").round(4).to_string())

# %%
# Is the difference more than chance?
# -----------------------------------
# `compare_detectors` gives every detector the same folds and tests the paired differences.
comparison = compare_detectors(
    {
        "autoencoder": search.best_estimator_,
        **{name: detectors[name] for name in ("IsolationForest", "LocalOutlierFactor")},
    },
    X_train,
    y_train,
    cv=3,
    scoring=["average_precision", "roc_auc"],
    baseline="IsolationForest",
)
print(comparison.frame().round(4).T.to_string())
comparison.plot()
path = Path("figures") / "04_comparison.png"
path.parent.mkdir(exist_ok=True)
comparison.figure_.savefig(path, dpi=120)
print(f"saved {path}")
