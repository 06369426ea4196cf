import mlflow
from mlflow.models import infer_signature
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

import skae
from skae.datasets import make_heartbeats

X, y = make_heartbeats(400, anomaly_share=0.2, random_state=0)
detector = skae.FitOnInliers(
    make_pipeline(MinMaxScaler(), skae.AutoencoderOutlierDetector(epochs=20, random_state=0))
).fit(X, y)

with mlflow.start_run() as run:
    mlflow.log_params(detector.estimator.named_steps["autoencoderoutlierdetector"].get_params())
    for epoch, loss in enumerate(detector.history_["loss"]):
        mlflow.log_metric("loss", loss, step=epoch)
    model = mlflow.sklearn.log_model(
        detector,
        name="detector",
        signature=infer_signature(X, detector.predict(X)),
        skops_trusted_types=list(skae.TRUSTED_TYPES),
    )

loaded = mlflow.sklearn.load_model(model.model_uri)  # the detector, scores and all
served = mlflow.pyfunc.load_model(model.model_uri)  # what a server has: predict alone
assert (loaded.score_samples(X) == detector.score_samples(X)).all()
assert (served.predict(X) == detector.predict(X)).all()
