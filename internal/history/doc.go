// Package history makes stored candles complete: it imports archive files, asks
// an exchange for what is missing, compares what is stored with what the
// exchange has, and says what is there and what is not.
package history
