import optuna
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skae import AutoencoderOutlierDetector, FitOnInliers
from skae.datasets import make_heartbeats
from skae.metrics import anomaly_scorer
from skae.model_selection import StratifiedOutlierKFold

X, y = make_heartbeats(400, anomaly_share=0.2, random_state=0)


def average_precision(trial):
    latent_dim = trial.suggest_int("latent_dim", 1, 16, log=True)
    network = AutoencoderOutlierDetector(latent_dim=latent_dim, epochs=20, random_state=0)
    detector = FitOnInliers(make_pipeline(MinMaxScaler(), network))
    scorer = anomaly_scorer("average_precision")
    folds = StratifiedOutlierKFold(3)
    return cross_val_score(detector, X, y, scoring=scorer, cv=folds).mean()


study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
study.optimize(average_precision, n_trials=5)
print(study.best_params, study.best_value)
