package market

// Optional is a value that its source may not have published. Unlike a pointer
// it can be compared with == and costs no allocation.
type Optional[T any] struct {
	Value T
	Valid bool
}

// Some returns a published value.
func Some[T any](value T) Optional[T] { return Optional[T]{Value: value, Valid: true} }
