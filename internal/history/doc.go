// Package history makes stored candles complete: it imports archive files and
// says what is there and what is missing.
package history
