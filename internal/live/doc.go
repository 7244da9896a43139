// Package live follows the market as it moves: it keeps a connection to the
// exchange's stream, samples it into ticks, stores candles as they close, has
// what was missed repaired and accounted for, and hands prices, candles and
// forecasts on to whoever listens.
package live
