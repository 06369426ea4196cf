import keras
import optuna
from sklearn.preprocessing import MinMaxScaler

from skae import AutoencoderOutlierDetector
from skae.datasets import make_heartbeats

X, y = make_heartbeats(400, anomaly_share=0.2, random_state=0)
X = MinMaxScaler().fit(X[y == 1]).transform(X[y == 1])


class ReportToTrial(keras.callbacks.Callback):
    def __init__(self, trial):
        super().__init__()
        self.trial = trial

    def on_epoch_end(self, epoch, logs=None):
        self.trial.report(logs["val_loss"], step=epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def validation_loss(trial):
    learning_rate = trial.suggest_float("learning_rate", 1e-5, 1e-2, log=True)
    network = AutoencoderOutlierDetector(
        learning_rate=learning_rate,
        epochs=20,
        validation_fraction=0.2,
        random_state=0,
        callbacks=[ReportToTrial(trial)],
    )
    return network.fit(X).history_["val_loss"][-1]


study = optuna.create_study(
    sampler=optuna.samplers.RandomSampler(seed=0),
    pruner=optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=5),
)
study.optimize(validation_loss, n_trials=6)
print(study.best_params, [trial.state.name for trial in study.trials])
