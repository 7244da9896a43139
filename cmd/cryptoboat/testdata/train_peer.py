"""Trains the forest of another library on the matrix that the benchmark wrote:
the columns and the target of the training rows, then those of the unseen rows.
The settings are those of the benchmark."""

import json
import sys
import time

import numpy

library, path = sys.argv[1:3]
rows, columns, jobs = map(int, sys.argv[3:])
values = numpy.fromfile(path)
split = rows * (columns + 1)
seen = values[:split].reshape(columns + 1, rows)
unseen = values[split:].reshape(columns + 1, -1)
features = numpy.ascontiguousarray(seen[:columns].T, dtype=numpy.float32)
target = seen[columns]

if library == "sklearn":
    from sklearn.ensemble import RandomForestRegressor

    forest = RandomForestRegressor(
        n_estimators=100,
        max_depth=12,
        min_samples_leaf=200,
        max_features=1 / 3,
        max_samples=0.5,
        n_jobs=jobs,
        random_state=1,
    )
else:
    from xgboost import XGBRFRegressor

    # With squared error a row's hessian is 1: the weight of a child is its rows.
    forest = XGBRFRegressor(
        n_estimators=100,
        tree_method="hist",
        max_depth=12,
        min_child_weight=200,
        subsample=0.5,
        colsample_bynode=1 / 3,
        reg_lambda=0,
        base_score=float(target.mean()),
        n_jobs=jobs,
        random_state=1,
    )

began = time.perf_counter()
forest.fit(features, target)
seconds = time.perf_counter() - began

predicted = forest.predict(numpy.ascontiguousarray(unseen[:columns].T, dtype=numpy.float32))
residuals = unseen[columns] - predicted
print(json.dumps({"seconds": seconds, "mse": float((residuals**2).mean())}))
