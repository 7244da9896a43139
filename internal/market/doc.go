// Package market is the vocabulary of the service: symbols, intervals,
// candles, time ranges and error codes. It imports the standard library only,
// so that every other package can speak it.
package market
