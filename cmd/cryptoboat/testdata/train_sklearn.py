"""Trains scikit-learn's forest on the matrix that the benchmark wrote: the
columns and the target of the training rows, then those of the unseen rows."""

import json
import sys
import time

import numpy
from sklearn.ensemble import RandomForestRegressor

path, rows, columns = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
values = numpy.fromfile(path)
split = rows * (columns + 1)
seen = values[:split].reshape(columns + 1, rows)
unseen = values[split:].reshape(columns + 1, -1)
features = numpy.ascontiguousarray(seen[:columns].T, dtype=numpy.float32)

forest = RandomForestRegressor(
    n_estimators=100, min_samples_leaf=200, max_features=1 / 3, max_samples=0.5, n_jobs=2, random_state=1
)
began = time.perf_counter()
forest.fit(features, seen[columns])
seconds = time.perf_counter() - began

residuals = unseen[columns] - forest.predict(numpy.ascontiguousarray(unseen[:columns].T, dtype=numpy.float32))
print(json.dumps({"seconds": seconds, "mse": float((residuals**2).mean())}))
