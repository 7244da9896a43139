package timescale

import (
	"database/sql"
	"database/sql/driver"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// nullable reads and writes an absent value as NULL.
type nullable[T any] struct{ value *market.Optional[T] }

// Scan implements sql.Scanner.
func (n nullable[T]) Scan(column any) error {
	var scanned sql.Null[T]
	err := scanned.Scan(column)
	*n.value = market.Optional[T]{Value: scanned.V, Valid: scanned.Valid}
	return err
}

// Value implements driver.Valuer.
func (n nullable[T]) Value() (driver.Value, error) {
	return sql.Null[T]{V: n.value.Value, Valid: n.value.Valid}.Value()
}
