import os

import joblib
import numpy as np
import pandas as pd
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

detector = joblib.load(os.environ["DETECTOR"])
names = getattr(detector, "feature_names_in_", None)  # of one that was fitted on a frame
app = FastAPI()


class Rows(BaseModel):
    rows: list[list[float | None]]  # null is a missing cell


@app.get("/ready")
def ready():
    return {"n_features": detector.n_features_in_}


@app.post("/judge")
def judge(given: Rows):  # not async: rows are judged in threads, beside each other
    expected = detector.n_features_in_
    for position, row in enumerate(given.rows):
        if len(row) != expected:
            problem = f"row {position} has {len(row)} values, but the detector takes {expected}."
            raise HTTPException(422, problem)
    X = np.array(given.rows, dtype=np.float64).reshape(-1, expected)
    empty = np.flatnonzero(np.isnan(X).all(axis=1))
    if len(empty):
        raise HTTPException(422, f"row {empty[0]} has no value at all.")
    if names is not None:
        X = pd.DataFrame(X, columns=names)
    try:
        decision = detector.decision_function(X)
    except ValueError as error:  # no rows, infinity, a missing cell where none may be
        raise HTTPException(422, str(error)) from error
    return {"is_outlier": (decision < 0).tolist(), "decision": decision.tolist()}
