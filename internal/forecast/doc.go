// Package forecast answers where the candle that is still open will close: it
// computes features, trains models, evaluates them walk-forward against
// baselines and predicts.
package forecast
