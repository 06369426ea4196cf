import os

import joblib
import numpy as np
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

detector = joblib.load(os.environ["DETECTOR"])
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
        if all(value is None for value in row):
            raise HTTPException(422, f"row {position} has no value at all.")
    X = np.array(given.rows, dtype=np.float64).reshape(-1, expected)
    try:
        decision = detector.decision_function(X)
    except ValueError as error:  # no rows, infinity, a missing cell where none may be
        raise HTTPException(422, str(error)) from error
    return {"is_outlier": (decision < 0).tolist(), "decision": decision.tolist()}
